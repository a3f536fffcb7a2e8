"""Films several agents side by side, on the same episodes and in step."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agents import ConfigError, RunDirectory, RunError
from agents.runs.files import write_atomically
from agents.runs.manifest import Snapshot
from agents.runs.spans import spans
from eval.comparison import evenly
from eval.drawing import Frame, default_processes
from eval.held_branches import held_branches
from eval.phase_ends import phase_ends
from eval.seeds import evaluation_seeds
from eval.video import (
    BAR,
    ENOUGH_STEPS,
    FRAMES_AFTER,
    FRAMES_BEFORE,
    MAXIMUM_EPISODES,
    captioned,
    encode,
)

if TYPE_CHECKING:
    from eval.rollouts import Rollouts

WIDTH, HEIGHT = 360, 240
MAXIMUM_AGENTS = 9
GIF_EVERY = 3
"""A GIF shows every third frame, in real time all the same."""
GIF_SAMPLES = 8
"""Frames from which its colours are taken."""


@dataclass(frozen=True)
class Performer:
    """An agent that is filmed.

    Attributes:
        run: The run whose it is.
        snapshot: Where it was saved.
        title: What is written above it.
    """

    run: RunDirectory
    snapshot: Snapshot
    title: str


def grid_path(run: RunDirectory, phase: int | None = None, kind: str = "mp4") -> Path:
    """Path of a film of several agents, which need not exist.

    Args:
        run: The run.
        phase: The phase whose decay effect is filmed; `None` for all phases.
        kind: `"mp4"` or `"gif"`.
    """
    name = "phases" if phase is None else f"decay-{phase}"
    return run.videos_path / f"{name}.{kind}"


def record_grid(
    run: RunDirectory, phase: int | None = None, *, kind: str = "mp4", overwrite: bool = False
) -> Path:
    """Films the agents of all phases, or the two of a decay effect, side by side.

    All play the first evaluation episodes, in step: where one has ended, its last picture stands
    until all have. Of more than 9 phases, 9 are filmed, spread evenly. A film that exists is kept.

    Args:
        run: The run.
        phase: Films the decay into this phase: the run's agent beside that of the held branch.
        kind: `"mp4"`, or `"gif"` for places that play no video.
        overwrite: Film again, and replace a film that exists.

    Returns:
        Path of the film.

    Raises:
        ConfigError: If the phase has no held branch that can be compared.
        RunError: If no phase has ended yet, a snapshot is damaged, or the film cannot be written.
    """
    performers = _phases(run) if phase is None else _decay(run, phase)
    path = grid_path(run, phase, kind)
    if path.exists() and not overwrite:
        return path
    # Imported late: SB3 takes seconds, and bad input should be reported sooner.
    from eval.rollouts import Rollouts

    with ExitStack() as stack:
        stage = []
        for performer in performers:
            rollouts = stack.enter_context(
                Rollouts(
                    performer.run,
                    drawing=int(default_processes() > 1),
                    render_mode="rgb_array",
                    render_width=WIDTH,
                    render_height=HEIGHT,
                )
            )
            rollouts.load(performer.snapshot)
            stage.append(rollouts)
        columns = math.ceil(math.sqrt(len(performers)))
        rows = math.ceil(len(performers) / columns)
        size = columns * WIDTH, rows * (HEIGHT + BAR)
        frames = _film(performers, stage, columns, rows)
        speed = stage[0].frames_per_second
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = encode(frames, size, speed) if kind == "mp4" else _gif(frames, speed)
            write_atomically(path, data)
        except OSError as error:
            reason = error.strerror or str(error).strip().split("\n")[0]
            raise RunError(f"cannot write {path}: {reason}") from error
    return path


def _phases(run: RunDirectory) -> tuple[Performer, ...]:
    rates = {phase.index: phase.learning_rate for phase in run.effective_phases}
    ends = phase_ends(run).snapshots
    return tuple(
        Performer(run, ends[index], f"phase {index}, rate {rates[index]:.3g}")
        for index in evenly(list(ends), MAXIMUM_AGENTS)
    )


def _decay(run: RunDirectory, phase: int) -> tuple[Performer, ...]:
    ends = phase_ends(run).snapshots
    held, notes = held_branches(run, ends)
    if phase not in held:
        there = spans(sorted(held)) or "none"
        reasons = "".join(f"; {note}" for note in notes)
        raise ConfigError(
            f"{run.path} has no held branch at the boundary into phase {phase}; it has {there}"
            f"{reasons}"
        )
    branch = held[phase]
    rates = {p.index: p.learning_rate for p in run.effective_phases}
    kept = branch.run.effective_phases[-1].learning_rate
    return (
        Performer(run, ends[branch.rival_phase], f"decayed to {rates[branch.rival_phase]:.3g}"),
        Performer(branch.run, branch.end, f"held at {kept:.3g}"),
    )


def _film(
    performers: Sequence[Performer], stage: Sequence[Rollouts], columns: int, rows: int
) -> Iterator[Frame]:
    """The frames; all agents are at the same step of the same episode."""
    steps = 0
    canvas = np.zeros((rows * (HEIGHT + BAR), columns * WIDTH, 3), dtype=np.uint8)
    for number, seed in enumerate(evaluation_seeds(MAXIMUM_EPISODES), start=1):
        if steps >= ENOUGH_STEPS:
            return
        episodes = [rollouts.steps(seed) for rollouts in stage]
        under_way, first = set(range(len(stage))), True
        while under_way:
            drawn = {
                place: (next(episodes[place]), stage[place].picture())
                for place in sorted(under_way)
            }
            for place, (progress, picture) in drawn.items():
                x, y = (place % columns) * WIDTH, (place // columns) * (HEIGHT + BAR)
                canvas[y : y + HEIGHT + BAR, x : x + WIDTH] = captioned(
                    picture(),
                    performers[place].title,
                    f"trained {performers[place].snapshot.step:,} steps",
                    progress,
                    f"episode {number}, return {progress.episode_return:.2f}",
                )
                if progress.over:
                    under_way.remove(place)
            steps += not first
            for _ in range(FRAMES_BEFORE if first else 1):
                yield canvas
            first = False
        for _ in range(FRAMES_AFTER):
            yield canvas


def _gif(frames: Iterator[Frame], frames_per_second: int) -> bytes:
    kept = [frame.copy() for place, frame in enumerate(frames) if place % GIF_EVERY == 0]
    palette = _palette(kept[:: max(1, len(kept) // GIF_SAMPLES)])
    pictures = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in kept
    ]
    file = io.BytesIO()
    pictures[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * GIF_EVERY / frames_per_second),
        loop=0,
        optimize=False,
    )
    return file.getvalue()


def _palette(frames: Sequence[Frame]) -> Image.Image:
    """Colours for all frames: half of them for what is large, half for what is small, as a goal."""
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    colours: list[int] = []
    different = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]))
    each_once = np.stack([different >> 16, different >> 8 & 255, different & 255], axis=1)
    for sample in (pixels, each_once.astype(np.uint8)):
        few = Image.fromarray(sample[None]).quantize(128).getpalette() or []
        colours += [*few, *([0] * 384)][:384]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette
