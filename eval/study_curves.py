"""Training episodes of a study against the step, as arrays over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # which imports its stats, for seconds, when they are first used
from numpy.typing import NDArray

from agents import RunDirectory
from agents.runs.divergence import read_divergence
from eval.comparison import evenly
from eval.statistics import CONFIDENCE, rolling_mean
from eval.study import StudyRuns
from eval.study_effects import RETURN, SUCCESS
from eval.training_tables import Columns, read_training_table

WINDOW = 100
POINTS = 200
MAXIMUM_CURVES = 7
LABELS = {RETURN: "return", SUCCESS: "success rate"}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A quantity of one arm against the step.

    Attributes:
        label: Name of the arm.
        steps: Shape (steps,), ascending.
        values: Shape (seeds, steps).
    """

    label: str
    steps: Array
    values: Array

    def band(self, limits: tuple[float, float]) -> tuple[Array, Array] | None:
        """The 95 % t interval of the mean over seeds, at each step by itself.

        Args:
            limits: What the quantity cannot leave, and the band neither.

        Returns:
            Its lower and upper ends, each of shape (steps,); `None` for a single seed.
        """
        seeds = len(self.values)
        if seeds < 2:
            return None
        mean = self.values.mean(axis=0)
        quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1)
        half = quantile * scipy.stats.sem(self.values, axis=0)
        return np.clip(mean - half, *limits), np.clip(mean + half, *limits)


@dataclass(frozen=True)
class TrainingCurves:
    """The curves of one task in one quantity.

    Attributes:
        task: Name of the task.
        quantity: `RETURN` or `SUCCESS`.
        curves: A curve for each arm that is drawn, at least one.
        boundaries: Steps at which the rate decays; none if they differ between the arms.
        limits: What the quantity cannot leave.
    """

    task: str
    quantity: str
    curves: tuple[Curve, ...]
    boundaries: tuple[int, ...]
    limits: tuple[float, float]


def training_curves(runs: StudyRuns, notes: list[str]) -> tuple[TrainingCurves, ...]:
    """Gathers the training episodes of each task.

    Args:
        runs: The study.
        notes: Gets a line for each thing that is left out.

    Returns:
        The curves; none of a task where a seed of every arm lacks episodes.

    Raises:
        RunError: If a table of a run is damaged.
    """
    gathered: list[TrainingCurves] = []
    for task in dict.fromkeys(runs.task(arm.config) for arm in runs.arms):
        arms = [arm for arm in runs.arms if runs.task(arm.config) == task]
        drawn = evenly(arms, MAXIMUM_CURVES)
        if len(drawn) < len(arms):
            notes.append(f"curves: {len(drawn)} of {len(arms)} arms are drawn, spread evenly")
        columns = {
            arm.name: [runs.runs[arm.name, seed].run for seed in runs.seeds] for arm in drawn
        }
        decays = {tuple(column[0].fork_steps.values()) for column in columns.values()}
        boundaries = next(iter(decays)) if len(decays) == 1 else ()
        tables = {name: [_training(run) for run in column] for name, column in columns.items()}
        stops = {name: [_stop(run) for run in column] for name, column in columns.items()}
        for quantity in (RETURN, SUCCESS):
            found = [
                learning_curve_over_seeds(
                    arm.name,
                    [(table["step"], table[quantity]) for table in tables[arm.name]],
                    stops[arm.name],
                    arm.config.total_timesteps,
                )
                for arm in drawn
            ]
            if curves := [curve for curve in found if curve is not None]:
                limits = (0.0, 1.0) if quantity == SUCCESS else (-np.inf, np.inf)
                complete = tuple(_with_failures(curves, quantity))
                gathered.append(TrainingCurves(task, quantity, complete, boundaries, limits))
    return tuple(gathered)


def learning_curve_over_seeds(
    label: str, episodes: Sequence[tuple[Array, Array]], stops: Sequence[float], last: float
) -> Curve | None:
    """The rolling mean of training episodes at common steps.

    Args:
        label: Name of the arm.
        episodes: For each seed the steps at which episodes ended, shape (n,), and a quantity of
            them, shape (n,).
        stops: Step at which each seed diverged; infinity for one that did not. From there on it
            has failed, and its value is `nan`.
        last: Last step of the arm.

    Returns:
        The curve, from where every seed has an episode; `None` if one never has.
    """
    if any(steps.size == 0 or steps[0] > last for steps, _ in episodes):
        return None
    first = max(float(steps[0]) for steps, _ in episodes)
    grid: Array = np.linspace(first, last, POINTS, dtype=np.float64)
    rows = []
    for (steps, values), stop in zip(episodes, stops, strict=True):
        newest = np.searchsorted(steps, grid, side="right") - 1
        row = rolling_mean(values, WINDOW)[newest]
        rows.append(np.where(grid >= stop, np.nan, row))
    return Curve(label, grid, np.stack(rows))


def _with_failures(curves: Sequence[Curve], quantity: str) -> list[Curve]:
    """Puts no success, or the lowest return of all curves, where a seed had diverged."""
    lowest = min(
        (float(np.nanmin(c.values)) for c in curves if np.isfinite(c.values).any()), default=0.0
    )
    failure = 0.0 if quantity == SUCCESS else lowest
    return [replace(c, values=np.where(np.isnan(c.values), failure, c.values)) for c in curves]


def _training(run: RunDirectory) -> Columns:
    return read_training_table(run.episodes_path, ("step", RETURN, SUCCESS))


def _stop(run: RunDirectory) -> float:
    divergence = read_divergence(run)
    return np.inf if divergence is None else divergence.step
