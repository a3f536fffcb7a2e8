"""Films evaluation episodes, with phase, rate, return and outcome written on the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from imageio_ffmpeg import write_frames
from PIL import Image, ImageDraw, ImageFont

from agents import RunDirectory, RunError
from agents.pretrained.catalogue import Pretrained
from agents.runs.files import write_atomically
from eval.drawing import Frame, default_processes
from eval.phase_ends import ended_phase
from eval.players import load_player
from eval.seeds import evaluation_seeds

if TYPE_CHECKING:
    from agents.snapshots.agent import Agent
    from eval.rollouts import EpisodeProgress, Rollouts

# Reach takes a few steps, so many episodes fit; of episodes that fail, a few are enough.
MAXIMUM_EPISODES, ENOUGH_STEPS = 8, 200
WIDTH, HEIGHT, BAR = 720, 480, 64
# Time to see the goal, and then the outcome.
FRAMES_BEFORE, FRAMES_AFTER = 12, 25
_BAR_COLOUR, _TEXT, _FADED = (24, 26, 31), (240, 240, 240), (170, 174, 182)
_SUCCESS, _FAILURE = (86, 180, 233), (230, 159, 0)  # Okabe & Ito's, safe for colour-blind eyes

Shot = tuple[Callable[[], Frame], int]
"""What gives a frame when it is drawn, and how often it is shown."""


def video_path(run: RunDirectory, phase: int | None = None) -> Path:
    """Path of the video of a phase's agent, which need not exist.

    Args:
        run: The run.
        phase: Index of the phase; the last one that has ended if `None`.

    Raises:
        ConfigError: If the run has no such phase.
        RunError: If the phase has not ended yet.
    """
    return run.videos_path / f"phase-{ended_phase(run, phase)}.mp4"


def record_video(run: RunDirectory, phase: int | None = None, *, overwrite: bool = False) -> Path:
    """Films the first evaluation episodes of a phase's agent, in real time.

    At most 8 are filmed, and no new one after 200 steps. The file is H.264, which browsers play.
    The same snapshot and seeds give the same episodes, so a video that exists is kept.

    Args:
        run: The run.
        phase: Index of the phase whose agent plays; the last one that has ended if `None`.
        overwrite: Film again, and replace a video that exists.

    Returns:
        Path of the video, `videos/phase-<index>.mp4` of the run.

    Raises:
        ConfigError: If the run has no such phase.
        RunError: If the phase has not ended yet, its snapshot is damaged, or the video cannot be
            written.
    """
    index = ended_phase(run, phase)
    path = video_path(run, index)
    if path.exists() and not overwrite:
        return path
    rate = next(p.learning_rate for p in run.effective_phases if p.index == index)
    subtitle = f"{run.config.env}, {run.config.algo}"
    _write(path, load_player(run, index), f"phase {index}, rate {rate:.3g}", subtitle)
    return path


def record_pretrained(agent: Pretrained, path: Path, *, overwrite: bool = False) -> Path:
    """Films an agent that comes with the lab, as `record_video` does that of a phase.

    Args:
        agent: The agent.
        path: Of the video, which ends in `.mp4`.
        overwrite: Film again, and replace a video that exists.

    Returns:
        Path of the video.

    Raises:
        RunError: If a file of the agent is damaged, or the video cannot be written.
    """
    if path.exists() and not overwrite:
        return path
    title = f"{agent.config.env}, {agent.config.algo}"
    _write(path, load_player(agent), title, f"trained {agent.step:,} steps")
    return path


def _write(path: Path, agent: Agent, title: str, subtitle: str) -> None:
    # Imported late: SB3 takes seconds, and bad input should be reported sooner.
    from eval.rollouts import Rollouts

    processes = default_processes()
    with Rollouts(
        agent,
        drawing=processes if processes > 1 else 0,
        render_mode="rgb_array",
        render_width=WIDTH,
        render_height=HEIGHT,
    ) as rollouts:
        frames = in_order(_film(rollouts, title, subtitle), processes)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            film = encode(frames, (WIDTH, HEIGHT + BAR), rollouts.frames_per_second)
            write_atomically(path, film)
        except OSError as error:
            # ffmpeg's own complaints are pages long.
            reason = error.strerror or str(error).strip().split("\n")[0]
            raise RunError(f"cannot write {path}: {reason}") from error


def _film(
    rollouts: Rollouts, title: str, subtitle: str
) -> Iterator[tuple[Callable[[], Frame], int]]:
    steps = 0
    for number, seed in enumerate(evaluation_seeds(MAXIMUM_EPISODES), start=1):
        if steps >= ENOUGH_STEPS:
            return
        for progress in rollouts.steps(seed):
            if progress.over:
                steps += progress.length
            below = f"episode {number}, return {progress.episode_return:.2f}"
            repeats = (
                FRAMES_AFTER if progress.over else FRAMES_BEFORE if progress.length == 0 else 1
            )
            picture = rollouts.picture()
            yield partial(_captioned, picture, title, subtitle, progress, below), repeats


def _captioned(picture: Callable[[], Frame], *caption: Any) -> Frame:  # noqa: ANN401 - of captioned
    return captioned(picture(), *caption)


def in_order(frames: Iterable[tuple[Callable[[], Frame], int]], processes: int) -> Iterator[Frame]:
    """Waits for frames no sooner than others have been begun.

    Args:
        frames: What gives each frame when it is drawn, and how often it is shown.
        processes: How many are drawn at once.

    Yields:
        The frames in their order.
    """
    begun: deque[tuple[Callable[[], Frame], int]] = deque()
    for one in frames:
        begun.append(one)
        if len(begun) > processes:
            frame, repeats = begun.popleft()
            yield from repeat(frame(), repeats)
    for frame, repeats in begun:
        yield from repeat(frame(), repeats)


def captioned(
    picture: Frame, title: str, subtitle: str, progress: EpisodeProgress, below: str
) -> Frame:
    """Writes above a picture whose it is, and how far the episode has got or how it ended.

    Args:
        picture: Shape (height, width, 3).
        title: On the left.
        subtitle: Below it.
        progress: The episode; its step or outcome stands on the right.
        below: Below that.

    Returns:
        The picture below a bar, of shape (height + BAR, width, 3).
    """
    height, width, _ = picture.shape
    canvas = Image.new("RGB", (width, height + BAR), _BAR_COLOUR)
    canvas.paste(Image.fromarray(picture), (0, BAR))
    draw = ImageDraw.Draw(canvas)
    small_picture = width < WIDTH // 2 + 1
    large, small = (
        ImageFont.load_default(size) for size in ((15, 12) if small_picture else (20, 15))
    )
    draw.text((14, 8), title, _TEXT, large)
    draw.text((14, 37), subtitle, _FADED, small)
    if progress.over:
        words, colour = ("success", _SUCCESS) if progress.success else ("no success", _FAILURE)
    else:
        words, colour = f"step {progress.length}", _TEXT
    draw.text((width - 14, 8), words, colour, large, anchor="ra")
    draw.text((width - 14, 37), below, _FADED, small, anchor="ra")
    return np.asarray(canvas, dtype=np.uint8)


def encode(frames: Iterable[Frame], size: tuple[int, int], frames_per_second: int) -> bytes:
    """Encodes frames as H.264; the same frames give the same file.

    Args:
        frames: Each of shape (height, width, 3).
        size: Width and height in pixels, both even.
        frames_per_second: How fast they play.

    Returns:
        The content of an MP4 file.

    Raises:
        OSError: If ffmpeg fails.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writer = write_frames(
            str(path),
            size,
            fps=frames_per_second,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            ffmpeg_log_level="error",
            # One thread and no version strings: the same frames then give the same file.
            output_params=[
                *("-crf", "20", "-threads", "1", "-movflags", "+faststart"),
                *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"),
            ],
        )
        writer.send(None)
        try:
            for frame in frames:
                writer.send(np.ascontiguousarray(frame))
        finally:
            writer.close()
        return path.read_bytes()
