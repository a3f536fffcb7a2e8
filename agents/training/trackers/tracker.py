"""Observers that show a training in an experiment tracker, from a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import ClassVar

from agents.runs.directory import RunDirectory
from agents.runs.manifest import Snapshot
from agents.training.observers import Observer

PATIENCE = 0.005
"""How long the end of a training waits for a tracker, as a share of the time it took."""
MOST_PATIENCE_S = 60.0
"""How long it waits at most."""

# The path is handed over, so that a folder `agents` in the current one is not taken for this one.
_START = (
    "import sys; sys.path[:] = sys.argv.pop(1).split({separator!r}); "
    "from agents.training.trackers.follower import main; main(*sys.argv[1:])"
)


class TrackerFailed(RuntimeError):
    """The process that follows a run for a tracker has ended with an error."""


class Tracker(Observer):
    """Shows a training in an experiment tracker.

    The training itself only starts a process and looks after it at snapshots. That process reads
    the run's tables as they grow and passes the rows on, with the lowest priority, so whatever the
    tracker or its network does, the training neither waits for it nor fails with it. When the
    training ends, or is killed, the process sends what is left, however long that takes it.

    Args:
        run: The run; `trackers/` in its folder gets what the process writes.

    Attributes:
        name: Name of the tracker, which its files in `trackers/` have.
        sink: Where the class that talks to the tracker is, as `module:Class`.
    """

    name: ClassVar[str]
    sink: ClassVar[str]

    def __init__(self, run: RunDirectory) -> None:
        folder = run.path.resolve() / "trackers"
        folder.mkdir(exist_ok=True)
        self._log = folder / f"{self.name}.log"
        start = _START.format(separator=os.pathsep)
        arguments = [os.pathsep.join(sys.path), self.name, self.sink, str(run.path.resolve())]
        with self._log.open("ab") as log:
            self._follower = subprocess.Popen(
                [sys.executable, "-c", start, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the training
            )
        self._started = time.monotonic()

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Checks that the process is well.

        Args:
            snapshot: The snapshot.

        Raises:
            TrackerFailed: If it has failed.
        """
        self._check()

    def on_end(self) -> None:
        """Tells the process that no more rows will come, and waits for a moment.

        Raises:
            TrackerFailed: If it has failed.
        """
        assert self._follower.stdin is not None
        self._follower.stdin.close()
        elapsed_s = time.monotonic() - self._started
        with suppress(subprocess.TimeoutExpired):
            self._follower.wait(min(PATIENCE * elapsed_s, MOST_PATIENCE_S))
        self._check()

    def _check(self) -> None:
        if (code := self._follower.poll()) in (None, 0):
            return
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
        raise TrackerFailed(f"{last} ({self._log})")
