"""Replays a run between its snapshots and checks that the bits come out the same."""

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
class ReplayedStretch:
    """A stretch of training between two snapshots, trained a second time.

    Attributes:
        start: Step of the snapshot at its beginning; 0 is the beginning of training.
        stop: Step of the snapshot at its end.
        expected: `state_sha256` of the snapshot at `stop`.
        found: `state_sha256` of the replayed state.
    """

    start: int
    stop: int
    expected: str
    found: str

    @property
    def agrees(self) -> bool:
        """Whether both states are the same, bit for bit."""
        return self.found == self.expected


def stretches(run: RunDirectory, start: int | None = None) -> tuple[tuple[int, int], ...]:
    """Lists the stretches of a run that can be replayed.

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
    pairs = tuple(pairwise(steps))
    if run.parent is not None:
        # The parent trained what lies before the fork.
        pairs = tuple(pair for pair in pairs if pair[0] >= run.parent.step)
    if not pairs:
        raise RunError(f"{run.path} has no stretch between two snapshots to replay")
    if start is None:
        return pairs
    chosen = tuple(pair for pair in pairs if pair[0] == start)
    if not chosen:
        valid = ", ".join(str(first) for first, _ in pairs)
        raise ConfigError(f"--from-step {start}: {run.path} can be replayed from {valid}")
    return chosen


def verify_run(run: RunDirectory, start: int | None = None) -> Iterator[ReplayedStretch]:
    """Trains a run again from snapshot to snapshot, in a temporary folder, and compares the states.

    The run itself is only read.

    Args:
        run: The run.
        start: Step of a snapshot, or 0, to replay only the stretch that begins there.

    Yields:
        Each stretch, with the state of the run and that of the replay.

    Raises:
        RunError: If a snapshot is damaged or the run has none.
        ConfigError: If no stretch begins at `start`.
    """
    for first, last in stretches(run, start):
        expected = read_snapshot(run, last)
        check_snapshot(run, expected)
        with TemporaryDirectory() as folder:
            yield ReplayedStretch(
                first, last, expected.state_sha256, _replay(run, first, expected, Path(folder))
            )


class _Reached(Exception):
    """The replay has reached its last step."""


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
