"""The progress bar of a training."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from agents.runs.directory import RunDirectory
from agents.training.observers import Episode, Observer, Update

_REFRESH_S = 0.2


class TrainingProgress(Observer):
    """A progress bar with phase, learning rate, success rate and time left.

    Args:
        run: The run in training.
        console: Where to draw; nothing is drawn unless it is a terminal.
    """

    def __init__(self, run: RunDirectory, console: Console) -> None:
        self._run = run
        self._progress = Progress(
            TextColumn("phase {task.fields[phase]}  lr {task.fields[rate]:.3g}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("success {task.fields[success]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(
            "training",
            total=run.config.total_timesteps,
            phase=run.timeline[0].index,
            rate=run.timeline[0].learning_rate,
            success="  -",
        )
        self._next_refresh = 0.0
        self._progress.start()

    def on_update(self, update: Update) -> None:
        """Updates the bar, at most a few times a second.

        Args:
            update: The update.
        """
        rate = update.success_rate
        self._show(update.step, "  -" if rate is None else f"{rate:4.0%}")

    def on_episode(self, episode: Episode) -> None:
        """Updates the bar, also during the warm-up, when there are no updates.

        Args:
            episode: The episode.
        """
        self._show(episode.step)

    def on_end(self) -> None:
        """Removes the bar."""
        self._progress.stop()

    def _show(self, step: int, success: str | None = None) -> None:
        now = time.monotonic()
        if now < self._next_refresh:
            return
        self._next_refresh = now + _REFRESH_S
        phase = self._run.phase_at(step)
        fields: dict[str, Any] = {"phase": phase.index, "rate": phase.learning_rate}
        if success is not None:
            fields["success"] = success
        self._progress.update(self._task, completed=step, **fields)
