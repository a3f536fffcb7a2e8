"""Where runs are trained: what a study asks of it, and this machine's cores."""

from __future__ import annotations

from typing import Protocol

from agents.runs.directory import RunDirectory
from agents.training.workers import Outcome


class Dispatcher(Protocol):
    """Trains runs somewhere; all state stays in their directories.

    Use it as a context: whatever way the block is left, nothing trains on behind it, and each run
    can be continued. `agents.training.workers.RunPool` is one for this machine.
    """

    def __enter__(self) -> object:
        """Starts."""

    def __exit__(self, *exception: object) -> None:
        """Has every run that is in training take a snapshot and stop."""

    def capacity(self) -> int:
        """How many runs it can train at once, at least 1."""

    def submit(self, run: RunDirectory) -> None:
        """Has a run trained to its end, from wherever it is.

        Args:
            run: The run.
        """

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Waits until a run has ended, in whatever way.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Returns:
            What became of the runs that have ended since the last call.
        """
