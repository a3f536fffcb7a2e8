"""`evaluation/episodes.csv`: every evaluation episode ever played, each once."""

from __future__ import annotations

import csv
import fcntl
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agents import RunDirectory, RunError
from agents.config import FIRST_EVALUATION_SEED
from agents.runs.files import write_atomically
from agents.runs.manifest import Snapshot
from eval.seeds import evaluation_seeds

if TYPE_CHECKING:
    from eval.rollouts import Rollouts

COLUMNS = ("phase", "step", "state_sha256", "episode", "seed", "return", "length", "success")


@dataclass(frozen=True)
class StoredEpisode:
    """A row of the table.

    Attributes:
        phase: Index of the phase that ended at the snapshot.
        step: Step of the snapshot.
        state_sha256: Checksum of the snapshot's state, which tells agents apart.
        episode: Place among the evaluation episodes, from 0.
        seed: Seed of the reset.
        episode_return: Sum of the rewards.
        length: Actions taken.
        success: 1 if the goal was reached at the end, else 0.
    """

    phase: int
    step: int
    state_sha256: str
    episode: int
    seed: int
    episode_return: float
    length: int
    success: int


Episodes = Mapping[tuple[str, int], StoredEpisode]


def play_and_store(
    run: RunDirectory,
    agents: Mapping[int, Snapshot],
    episodes: int,
    known: Episodes | None = None,
) -> dict[int, tuple[StoredEpisode, ...]]:
    """Plays the evaluation episodes that are not stored yet and stores them.

    Args:
        run: The run.
        agents: The snapshots whose agents play, by the phase that ends there.
        episodes: How many evaluation episodes.
        known: Episodes of other runs, which may have an agent in the same state; where one has,
            its episodes are stored here too instead of being played again.

    Returns:
        The episodes of each phase, in the order of `evaluation_seeds(episodes)`.

    Raises:
        ConfigError: If `episodes` is out of range.
        RunError: If the table is damaged or cannot be written, or a snapshot is damaged.
    """
    seeds = evaluation_seeds(episodes)
    stored = read_episodes(run)
    shared = [
        replace(episode, phase=phase, step=agent.step)
        for phase, agent in agents.items()
        for key in ((agent.state_sha256, seed) for seed in seeds)
        if key not in stored and (episode := (known or {}).get(key)) is not None
    ]
    if shared:
        stored = _store(run, shared)
    missing = {
        phase: [seed for seed in seeds if (agent.state_sha256, seed) not in stored]
        for phase, agent in agents.items()
    }
    if any(missing.values()):
        # Imported late: SB3 takes seconds, and bad input should be reported sooner.
        from eval.rollouts import Rollouts

        with Rollouts(run) as rollouts:
            for phase, agent in agents.items():
                if missing[phase]:
                    # Stored agent by agent, so that stopping halfway loses little.
                    stored = _store(run, _play(rollouts, phase, agent, missing[phase]))
    return {
        phase: tuple(stored[agent.state_sha256, seed] for seed in seeds)
        for phase, agent in agents.items()
    }


def _play(
    rollouts: Rollouts, phase: int, agent: Snapshot, seeds: Iterable[int]
) -> list[StoredEpisode]:
    rollouts.load(agent)
    ends = map(rollouts.play, seeds)
    return [
        StoredEpisode(
            phase=phase,
            step=agent.step,
            state_sha256=agent.state_sha256,
            episode=end.seed - FIRST_EVALUATION_SEED,
            seed=end.seed,
            episode_return=end.episode_return,
            length=end.length,
            success=int(end.success),
        )
        for end in ends
    ]


def episodes_path(run: RunDirectory) -> Path:
    """Path of the table of a run.

    Args:
        run: The run.
    """
    return run.evaluation_path / "episodes.csv"


def read_episodes(run: RunDirectory) -> Episodes:
    """Reads and checks the table.

    Args:
        run: The run.

    Returns:
        The episodes by state checksum and seed; none if there is no table.

    Raises:
        RunError: If the file is not a table of this format, or a row cannot be right.
    """
    path = episodes_path(run)
    episodes: dict[tuple[str, int], StoredEpisode] = {}
    try:
        rows = list(
            csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}; move it away to evaluate anew") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise RunError(
            f"{path} was not written by this project: its columns must be {','.join(COLUMNS)}; "
            "move it away to evaluate anew"
        )
    for line, row in enumerate(rows[1:], start=2):
        try:
            episode = _parse(row)
        except ValueError:
            raise RunError(
                f"{path} is damaged at line {line}; move it away to evaluate anew"
            ) from None
        key = episode.state_sha256, episode.seed
        if key in episodes:
            raise RunError(
                f"{path} is damaged: line {line} has an episode for the second time; "
                "move it away to evaluate anew"
            )
        episodes[key] = episode
    return episodes


def _parse(row: list[str]) -> StoredEpisode:
    phase, step, state, number, seed, total, length, success = row
    episode = StoredEpisode(
        int(phase),
        int(step),
        state,
        int(number),
        int(seed),
        float(total),
        int(length),
        int(success),
    )
    if (
        len(state) != 64
        or not math.isfinite(episode.episode_return)
        or episode.seed != FIRST_EVALUATION_SEED + episode.episode
        or min(episode.phase, episode.step, episode.episode, episode.length) < 0
        or episode.success not in (0, 1)
    ):
        raise ValueError
    return episode


def _store(run: RunDirectory, new: Iterable[StoredEpisode]) -> Episodes:
    path = episodes_path(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / "lock").open("ab") as lock:
            # Another process may have added rows since this one read them.
            fcntl.flock(lock, fcntl.LOCK_EX)
            episodes = {(e.state_sha256, e.seed): e for e in new} | dict(read_episodes(run))
            write_atomically(path, _to_csv(episodes.values()))
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return episodes


def _to_csv(episodes: Iterable[StoredEpisode]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    # Sorted, so that the order of the commands does not show in the file.
    writer.writerows(
        astuple(e) for e in sorted(episodes, key=lambda e: (e.step, e.state_sha256, e.episode))
    )
    return text.getvalue().encode()
