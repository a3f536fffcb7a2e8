"""Draws the figures of a study and writes them below its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents import RunError
from eval.comparison import evenly
from eval.profiles import performance_profile
from eval.study import StudyRuns
from eval.study_comparison import (
    InitialRates,
    StudyComparison,
    initial_rates,
    judged_decays,
    run_scores,
    write_evaluation,
)
from eval.study_curves import LABELS, MAXIMUM_CURVES, WINDOW, training_curves
from eval.study_effects import SUCCESS
from eval.study_outcomes import StudyOutcomes, stored_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAXIMUM_EFFECTS = 30


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
        where = "" if judged.task is None else f"-{_file_name(judged.task)}"
        if len(judged.decays) > MAXIMUM_EFFECTS:
            notes.append(f"effects{where}: {MAXIMUM_EFFECTS} of {len(judged.decays)} are drawn")
        figures[f"effects{where}-{judged.quantity}"] = forest_figure(
            judged.decays[:MAXIMUM_EFFECTS], LABELS[judged.quantity]
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
            f"{LABELS[found.quantity]}, {found.label}",
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


def _curves(runs: StudyRuns, notes: list[str]) -> dict[str, Figure]:
    """Draws the training episodes of each task."""
    # Imported late: matplotlib takes seconds, and bad input should be reported sooner.
    from eval.study_figures import curves_figure

    return {
        f"curves-{_file_name(found.task)}-{found.quantity}": curves_figure(
            found.curves,
            found.boundaries,
            f"{found.task}: {LABELS[found.quantity]},\nlast {WINDOW} training episodes",
            found.limits,
        )
        for found in training_curves(runs, notes)
    }


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", label).strip("-")
