"""What a person watching a study sees: a live table, or plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from agents.runs.directory import RunDirectory
from agents.runs.tables import last_row
from agents.studies.plan import Plan
from agents.studies.tree import Segment
from agents.training.workers import Outcome


class StudyProgress:
    """Shows the segments in training, and a line for each that has ended.

    Args:
        plan: The plan of the study.
        console: Where to draw; one that is no terminal gets the lines alone.
        segments: How many segments are to be trained.
    """

    def __init__(self, plan: Plan, console: Console, segments: int) -> None:
        self._names: dict[str, str] = {}
        for planned in plan.runs:
            for segment in plan.tree.last[planned.line.key].backwards():
                self._names.setdefault(segment.key, str(planned.path))
        self._console = console
        self._segments, self._ended = segments, 0
        self._began: dict[Path, tuple[float, int]] = {}
        self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> StudyProgress:
        """Starts the table where there is a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Takes the table away."""
        if self._console.is_terminal:
            self._live.stop()

    def ended(self, segment: Segment, outcome: Outcome) -> None:
        """Notes a segment that has ended.

        Args:
            segment: The segment.
            outcome: What became of it.
        """
        self._ended += 1
        words = outcome.kind if outcome.kind == "complete" else f"{outcome.kind}: {outcome.message}"
        self._console.print(
            f"{self._ended} of {self._segments}: {self._names[segment.key]} "
            f"steps {segment.start} to {segment.stop} {words}"
        )

    def show(self, under_way: Mapping[Path, Segment]) -> None:
        """Shows how far the segments in training are.

        Args:
            under_way: The segments by the folders of their runs.
        """
        if not self._console.is_terminal:
            return
        table = Table("run", "steps", "at", "rate", "success", "left", title="in training")
        for path, segment in under_way.items():
            step, success = _newest(path, segment.start)
            began, first = self._began.setdefault(path, (time.monotonic(), step))
            pace = (step - first) / max(time.monotonic() - began, 1e-9)
            left = f"{(segment.stop - step) / pace / 60:.0f} min" if step > first else "-"
            table.add_row(
                self._names[segment.key],
                f"{segment.start} to {segment.stop}",
                str(step),
                f"{segment.turns[-1].learning_rate:.3g}",
                success,
                left,
            )
        self._live.update(table, refresh=True)


def _newest(path: Path, start: int) -> tuple[int, str]:
    """Reads the step and the success rate in the last whole row of a run's metrics."""
    values = last_row(RunDirectory.open(path).metrics_path)
    step, success = values.get("step", ""), values.get("success_rate", "")
    return (int(step) if step.isdecimal() else start), (f"{float(success):.0%}" if success else "-")
