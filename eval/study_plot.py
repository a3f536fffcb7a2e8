"""Draws the figures of a study and writes them below its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents import RunDirectory, RunError
from agents.runs.divergence import read_divergence
from eval.comparison import evenly
from eval.profiles import performance_profile
from eval.statistics import rolling_mean
from eval.study import StudyRuns
from eval.study_comparison import (
    InitialRates,
    StudyComparison,
    initial_rates,
    judged_decays,
    run_scores,
    write_evaluation,
)
from eval.study_effects import RETURN, SUCCESS
from eval.study_outcomes import StudyOutcomes, stored_study
from eval.training_tables import Columns, read_training_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eval.study_figures import Curve

WINDOW = 100
POINTS = 200
MAXIMUM_CURVES = 7
MAXIMUM_EFFECTS = 30
_LABELS = {RETURN: "return", SUCCESS: "success rate"}

Array = NDArray[np.float64]


def plot_study(runs: StudyRuns) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Writes the figures of a study below its `evaluation/`, as PNG and SVG; replaces older ones.

    `curves-<task>-<quantity>` shows the training episodes. If the study was compared, `effects-…`
    shows its decay effects, `profile` its whole runs and `rates-…` its initial rates.

    Args:
        runs: The study, which need not be complete or compared.

    Returns:
        Paths of the files, and a line for each thing that was left out.

    Raises:
        RunError: If there is nothing to draw, a file of a run is damaged, or a figure cannot be
            written.
    """
    notes = list(runs.notes)
    outcomes = stored_study(runs)
    figures = _curves(runs, notes)
    if outcomes is None and not figures:
        raise RunError(f"{runs.folder} has no finished training episode yet, so nothing to plot")
    if outcomes is None:
        notes.append("the study is not compared yet, so there are curves alone")
    else:
        figures |= evaluation_figures(outcomes, notes)
    return _write(runs.folder, figures), tuple(notes)


def evaluation_figures(outcomes: StudyOutcomes, notes: list[str]) -> dict[str, Figure]:
    """Draws effects, profiles and rates of a study; writes nothing.

    Args:
        outcomes: What the agents achieved.
        notes: Gets a line for each thing that is left out.

    Returns:
        The figures by name.
    """
    from eval.study_figures import forest_figure, profiles_figure

    figures: dict[str, Figure] = {}
    for judged in judged_decays(outcomes, {}, []):
        where = "" if judged.task is None else f"-{judged.task}"
        if len(judged.decays) > MAXIMUM_EFFECTS:
            notes.append(f"effects{where}: {MAXIMUM_EFFECTS} of {len(judged.decays)} are drawn")
        figures[f"effects{where}-{judged.quantity}"] = forest_figure(
            judged.decays[:MAXIMUM_EFFECTS], _LABELS[judged.quantity]
        )
    scores = run_scores(outcomes)
    labels = evenly(list(scores), MAXIMUM_CURVES)
    if len(labels) < len(scores):
        notes.append(f"profile: {len(labels)} of {len(scores)} arms are drawn, spread evenly")
    thresholds = np.linspace(0, 1, 41)
    profiles = {label: performance_profile(scores[label], thresholds) for label in labels}
    figures["profile"] = profiles_figure(profiles, "success rate")
    rates, _ = initial_rates(outcomes, [])
    return figures | rates_figures(rates)


def rates_figures(rates: Sequence[InitialRates]) -> dict[str, Figure]:
    """Draws the initial rates of a study; writes nothing.

    Args:
        rates: What they amount to, at each task.

    Returns:
        The figures by name.
    """
    from eval.study_figures import rates_figure

    return {
        f"rates-{_file_name(found.label)}-{found.quantity}": rates_figure(
            found.sensitivity,
            f"{_LABELS[found.quantity]}, {found.label}",
            (0, 1) if found.quantity == SUCCESS else None,
        )
        for found in rates[: 2 * MAXIMUM_CURVES]
    }


def write_rates_figures(folder: Path, comparison: StudyComparison) -> tuple[Path, ...]:
    """Writes the figures of the initial rates below `evaluation/` of a study.

    Args:
        folder: Folder of the study.
        comparison: What its agents amount to.

    Returns:
        Paths of the files.

    Raises:
        RunError: If they cannot be written.
    """
    return _write(folder, rates_figures(comparison.rates))


def _write(folder: Path, figures: Mapping[str, Figure]) -> tuple[Path, ...]:
    from eval.figure import rendered

    files = {
        f"{name}.{kind}": rendered(figure, kind)
        for name, figure in figures.items()
        for kind in ("png", "svg")
    }
    return write_evaluation(folder, files)


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
    from eval.study_figures import Curve

    first = max(float(steps[0]) for steps, _ in episodes)
    grid: Array = np.linspace(first, last, POINTS, dtype=np.float64)
    rows = []
    for (steps, values), stop in zip(episodes, stops, strict=True):
        newest = np.searchsorted(steps, grid, side="right") - 1
        row = rolling_mean(values, WINDOW)[newest]
        rows.append(np.where(grid >= stop, np.nan, row))
    return Curve(label, grid, np.stack(rows))


def _curves(runs: StudyRuns, notes: list[str]) -> dict[str, Figure]:
    """Draws the training episodes of each task."""
    # Imported late: matplotlib takes seconds, and bad input should be reported sooner.
    from eval.study_figures import curves_figure

    figures: dict[str, Figure] = {}
    for task in dict.fromkeys(arm.config.env for arm in runs.arms):
        arms = [arm for arm in runs.arms if arm.config.env == task]
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
            curves = [curve for curve in found if curve is not None]
            if curves:
                figures[f"curves-{task}-{quantity}"] = curves_figure(
                    _with_failures(curves, quantity),
                    boundaries,
                    f"{task}: {_LABELS[quantity]},\nlast {WINDOW} training episodes",
                    (0, 1) if quantity == SUCCESS else (-np.inf, np.inf),
                )
    return figures


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


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", label).strip("-")
