"""The process that follows a run and passes its rows on to an experiment tracker."""

from __future__ import annotations

import fcntl
import json
import math
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from agents.runs.files import write_atomically
from agents.runs.manifest import sha256

POINTS = 1000
"""How many points of a curve a tracker gets, evenly spread; `metrics.csv` has them all."""
_INTERVAL_S = 5.0
_LAST_WORDS_S = 600
_LOWEST_PRIORITY = 19

Row = Mapping[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        path: Folder of the run.
        identity: Checksum of `run.json`, which is written once: no other run has it.
        config: The run's config, as JSON data.
    """

    path: Path
    identity: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> TrackedRun:
        """Reads it from a run's folder, where tasks and robots need not be registered.

        Args:
            path: The folder.
        """
        data = (path / "run.json").read_bytes()
        return cls(path, sha256(data), json.loads(data)["config"])

    @property
    def name(self) -> str:
        """Task and folder of the run; a branch has its run's name before its own."""
        folders = [self.path.name]
        if self.path.parent.name == "branches":
            folders.insert(0, self.path.parents[1].name)
        return "/".join([self.config["env"], *folders])

    def outcome(self) -> str:
        """How its training ended: `"complete"`, `"diverged"` or `"interrupted"`."""
        if (self.path / "diverged.json").exists():
            return "diverged"
        steps = [int(p.name) for p in self.path.glob("snapshots/*") if p.name.isdecimal()]
        done = max(steps, default=0) >= self.config["total_timesteps"]
        return "complete" if done else "interrupted"


class Sink(Protocol):
    """Talks to a tracker; made without arguments."""

    def open(self, run: TrackedRun, known: str | None) -> str:
        """Begins a run of the tracker, or goes on with the one that is known.

        Args:
            run: The run.
            known: What `open` returned when the run was tracked before; `None` at first.

        Returns:
            What identifies the tracker's run.
        """

    def send(self, rows: Sequence[Row]) -> None:
        """Passes rows on.

        Args:
            rows: Values by the names in `metrics.csv`, each with its `step`, ascending.
        """

    def close(self, outcome: str) -> None:
        """Ends the tracker's run, until it is opened again.

        Args:
            outcome: The result of `TrackedRun.outcome`.
        """


class GrowingTable:
    """Reads the rows that another process appends to a table.

    Args:
        path: The CSV file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._columns: list[str] = []

    def new_rows(self) -> Iterator[Row]:
        """Yields the whole rows that came since the last call, without their empty cells."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return
        self._read += len(whole) + 1
        lines = whole.decode().split("\n")
        if not self._columns:
            self._columns = lines.pop(0).split(",")
        for line in lines:
            cells = zip(self._columns, line.split(","), strict=True)
            values = {name: float(cell) for name, cell in cells if cell}
            yield {name: value for name, value in values.items() if math.isfinite(value)}


class Thinning:
    """Keeps of the rows the last in each window of steps, and the first and last of each phase.

    Args:
        window: Length of a window in steps.
        after: Rows up to this step are left out: they have been sent before.
    """

    def __init__(self, window: int, after: int) -> None:
        self._window = window
        self._after = after
        self._last: Row | None = None
        self._kept = -1.0

    def keep(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yields the rows to keep; the newest may be held back until the next call.

        Args:
            rows: The rows that have come since the last call, ascending.
        """
        for row in rows:
            last, self._last = self._last, row
            begins = last is None or row["phase"] != last["phase"]
            if last is not None and (begins or self._place(row) != self._place(last)):
                yield from self._once(last)
            if begins:
                yield from self._once(row)

    def rest(self) -> Iterator[Row]:
        """Yields the row that is held back, if there is one."""
        if self._last is not None:
            yield from self._once(self._last)

    def _place(self, row: Row) -> float:
        return row["step"] // self._window

    def _once(self, row: Row) -> Iterator[Row]:
        if row["step"] > max(self._kept, self._after):
            self._kept = row["step"]
            yield row


def follow(run: TrackedRun, sink: Sink, note: Path, training: int) -> None:
    """Passes the updates of a run on to a tracker until its training ends.

    How far it has come is noted, so that a resumed training goes on from there: what it trains
    again are the same bits. A tracker that failed gets what it has missed.

    Args:
        run: The run.
        sink: Talks to the tracker.
        note: File for the identity of the tracker's run and the last step sent.
        training: File descriptor that is closed when the training ends.
    """
    noted: dict[str, Any] = {"id": None, "step": -1}
    if note.exists():
        noted = json.loads(note.read_bytes())
    identity = sink.open(run, noted["id"])
    sent = noted["step"] if identity == noted["id"] else -1
    table = GrowingTable(run.path / "metrics.csv")
    thinning = Thinning(max(1, run.config["total_timesteps"] // POINTS), sent)
    over = False
    while not over:
        over = _has_ended(training)
        rows = list(thinning.keep(table.new_rows()))
        rows += thinning.rest() if over else ()
        if rows:
            sink.send(rows)
            sent = int(rows[-1]["step"])
        write_atomically(note, json.dumps({"id": identity, "step": sent}).encode())
    sink.close(run.outcome())


def _has_ended(training: int) -> bool:
    """Waits for a while, or until the training ends."""
    readable, _, _ = select.select([training], [], [], _INTERVAL_S)
    if not readable:
        return False
    signal.alarm(_LAST_WORDS_S)  # a tracker that hangs does not stay for ever
    return True


def main(name: str, sink: str, path: str) -> None:
    """Follows a run; standard input is closed when its training ends.

    Args:
        name: Name of the tracker.
        sink: Where its class is, as `module:Class`.
        path: Folder of the run.
    """
    os.nice(_LOWEST_PRIORITY)
    run = TrackedRun.read(Path(path))
    module, _, attribute = sink.partition(":")
    # The process of an earlier training of this run may still be at work.
    with (run.path / "trackers" / f"{name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note = run.path / "trackers" / f"{name}.json"
        follow(run, getattr(import_module(module), attribute)(), note, sys.stdin.fileno())
