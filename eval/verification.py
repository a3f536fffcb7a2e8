"""Replaying a run between its snapshots, to see whether it comes to the same bits again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents import ConfigError, RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.keeping import copy_past
from agents.runs.manifest import Snapshot, check_snapshot, read_snapshot
from agents.training.observers import Observer


@dataclass(frozen=True)
class Replay:
    """A stretch of a run that was trained again.

    Attributes:
        start: Step of the snapshot it began with; 0 for the beginning of training.
        stop: Step of the next snapshot.
        expected: `state_sha256` of the snapshot at `stop`.
        found: What the replay came to.
    """

    start: int
    stop: int
    expected: str
    found: str

    @property
    def agrees(self) -> bool:
        """Whether the replay came to the same state, bit for bit."""
        return self.found == self.expected


def replays(run: RunDirectory, start: int | None = None) -> tuple[tuple[int, int], ...]:
    """The stretches of a run that can be replayed.

    Args:
        run: The run.
        start: Step of a snapshot, or 0, to replay only the stretch that begins there.

    Returns:
        Start and stop of each, in steps.

    Raises:
        RunError: If the run has no snapshot.
        ConfigError: If no stretch begins at `start`.
    """
    steps = (0, *snapshot_steps(run))
    stretches = tuple(pairwise(steps))
    if run.parent is not None:
        # What lies before the fork was trained by the parent.
        stretches = tuple(pair for pair in stretches if pair[0] >= run.parent.step)
    if not stretches:
        raise RunError(f"{run.path} has no stretch between two snapshots to replay")
    if start is None:
        return stretches
    chosen = tuple(pair for pair in stretches if pair[0] == start)
    if not chosen:
        valid = ", ".join(str(first) for first, _ in stretches)
        raise ConfigError(f"--from-step {start}: {run.path} can be replayed from {valid}")
    return chosen


def verify_run(run: RunDirectory, start: int | None = None) -> Iterator[Replay]:
    """Trains a run again from snapshot to snapshot, beside it, and compares the states.

    The run is read and left as it is.

    Args:
        run: The run.
        start: Step of a snapshot, or 0, to replay only the stretch that begins there.

    Yields:
        Each stretch with the state that was expected and the one that was found.

    Raises:
        RunError: If a snapshot is damaged or the run has none.
        ConfigError: If no stretch begins at `start`.
    """
    stretches = replays(run, start)

    for first, last in stretches:
        expected = read_snapshot(run, last)
        check_snapshot(run, expected)
        with TemporaryDirectory() as folder:
            yield Replay(
                first, last, expected.state_sha256, _replay(run, first, expected, Path(folder))
            )


class _Reached(Exception):
    """The replay has come to its last step."""


class _StopAt(Observer):
    """Ends a training at the snapshot of a step, and keeps the checksum of its state."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.state_sha256 = ""

    def on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.step == self._step:
            self.state_sha256 = snapshot.state_sha256
            raise _Reached


def _replay(run: RunDirectory, first: int, expected: Snapshot, folder: Path) -> str:
    from agents.training.loop import train_run

    # A snapshot comes at every multiple of `snapshot_every`: so there is one at the last step.
    config = dataclasses.replace(run.config, snapshot_every=expected.step, observers=())
    copy = RunDirectory.create(
        folder / "replay", config, run.steps_per_update, run.first_update, run.parent
    )
    if first > 0:
        snapshot = read_snapshot(run, first)
        check_snapshot(run, snapshot)
        copy_past(run, snapshot, copy)
    last = _StopAt(expected.step)
    try:
        train_run(copy, Console(quiet=True), [last])
    except _Reached:
        return last.state_sha256
    raise RunError(f"the replay of {run.path} never came to step {expected.step}")
