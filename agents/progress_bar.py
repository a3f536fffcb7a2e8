"""What a person watching a training sees."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import safe_mean

from schedules import Phase

_REFRESH_S = 0.2


class TrainingProgress:
    """A progress bar with phase, learning rate, success rate and time left.

    Args:
        total_timesteps: Steps of the whole run.
        first: The phase that the run begins with.
        console: Where to draw; a console that is no terminal gets nothing.
    """

    def __init__(self, total_timesteps: int, first: Phase, console: Console) -> None:
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
            total=total_timesteps,
            phase=first.index,
            rate=first.learning_rate,
            success="  -",
        )
        self._next_refresh = 0.0

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, model: BaseAlgorithm, phase: Phase) -> None:
        """Shows where the training is, a few times a second at most.

        Args:
            model: The model in training.
            phase: The phase that holds now.
        """
        now = time.monotonic()
        if now < self._next_refresh:
            return
        self._next_refresh = now + _REFRESH_S
        successes = [float(s) for s in model.ep_success_buffer or ()]
        self._progress.update(
            self._task,
            completed=model.num_timesteps,
            phase=phase.index,
            rate=phase.learning_rate,
            success=f"{safe_mean(successes):4.0%}" if successes else "  -",
        )
