"""Draws a run's learning curve over its staircase, for a paper or a page."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from agents import RunDirectory
from eval.statistics import Estimate, bootstrap_mean, rolling_mean, wilson_interval
from eval.stored_episodes import StoredEpisode
from eval.training_tables import Columns

WINDOW = 100
# From Okabe & Ito's palette, which is safe for colour-blind readers.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#555555"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 9,
    "legend.frameon": False,
    "svg.hashsalt": "staircase-lab",
}


def draw_run(
    run: RunDirectory,
    episodes: Columns,
    updates: Columns,
    evaluated: dict[int, list[StoredEpisode]],
) -> Figure:
    """Draws the learning curve of a run.

    Args:
        run: The run.
        episodes: Steps, returns and successes of its training episodes, at least one.
        updates: Steps and learning rates of its updates.
        evaluated: Evaluation episodes by the step of the snapshot that played, the same ones for
            each.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        return _draw(run, episodes, updates, evaluated)


def rendered(figure: Figure, kind: str) -> bytes:
    """Renders a figure as a file; the same figure gives the same bytes.

    Args:
        figure: The figure.
        kind: `"png"` or `"svg"`.

    Returns:
        The content of the file.
    """
    file = io.BytesIO()
    # Dates and version numbers would differ each time.
    dated = {"png": ("Software",), "svg": ("Date", "Creator")}[kind]
    with mpl.rc_context(STYLE):
        figure.savefig(file, format=kind, dpi=200, metadata=dict.fromkeys(dated))
    return file.getvalue()


def _draw(
    run: RunDirectory,
    episodes: Columns,
    updates: Columns,
    evaluated: dict[int, list[StoredEpisode]],
) -> Figure:
    figure = Figure(figsize=(7.0, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    returns, success, rate = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2, 1.4]}
    )
    config = run.config
    figure.suptitle(f"{config.env}, {config.algo}, seed {config.seed}", fontsize=10)
    steps = episodes["step"]
    window = f"training, mean of the last {WINDOW} episodes"
    returns.plot(steps, rolling_mean(episodes["return"], WINDOW), color=_BLUE, lw=1.4, label=window)
    returns.set_ylabel("return per episode")
    success.plot(steps, 100 * rolling_mean(episodes["success"], WINDOW), color=_BLUE, lw=1.4)
    success.set_ylabel("success (%)")
    success.set_ylim(-4, 104)
    if evaluated:
        count = len(next(iter(evaluated.values())))
        means = {s: bootstrap_mean([e.episode_return for e in p]) for s, p in evaluated.items()}
        rates = {s: wilson_interval(sum(e.success for e in p), count) for s, p in evaluated.items()}
        _points(returns, means, 1.0, f"evaluation, mean of {count} episodes, 95 % interval")
        _points(success, rates, 100.0)
    figure.legend(
        *returns.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8.5
    )
    _staircase(rate, updates)
    rate.set_xlabel("step (environment timesteps)")
    rate.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    rate.set_xlim(0, run.timeline[-1].stop)
    _phases(run, (returns, success, rate))
    figure.align_ylabels()
    return figure


def _points(axes: Axes, estimates: dict[int, Estimate], scale: float, label: str = "") -> None:
    values = np.array([(e.value, e.low, e.high) for e in estimates.values()]).T * scale
    middle, low, high = values
    axes.errorbar(
        list(estimates),
        middle,
        yerr=((middle - low).tolist(), (high - middle).tolist()),
        fmt="o",
        color=_ORANGE,
        markersize=4.5,
        capsize=2.5,
        clip_on=False,
        zorder=5,
        label=label,
    )


def _staircase(axes: Axes, updates: Columns) -> None:
    steps, rates = updates["step"], updates["learning_rate"]
    corners = _corners(rates)
    axes.plot(steps[corners], rates[corners], color=_BLUE, lw=1.4, drawstyle="steps-post")
    axes.set_ylabel("learning rate")
    levels = np.unique(rates)
    if levels.size > 1 and levels[0] > 0:
        # On this scale the treads of a geometric staircase are equally high.
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(levels[:: levels.size // -4].tolist()))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.margins(y=0.15)
    else:
        axes.set_ylim(0, 1.3 * (levels.max(initial=0.0) or 1.0))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.3g}"))


def _corners(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Marks the first and the last of equal values in a row; a line needs only those."""
    changes = values[1:] != values[:-1]
    ends: NDArray[np.bool_] = np.concatenate(([True], changes)) | np.concatenate((changes, [True]))
    return ends[: values.size]


def _phases(run: RunDirectory, panels: tuple[Axes, ...]) -> None:
    phases = run.timeline
    total = phases[-1].stop
    upright = min(phase.stop - phase.start for phase in phases) < total / 8
    for number, phase in enumerate(phases):
        if phase.stop - phase.start < total / 400:
            continue  # narrower than a line
        if number % 2 == 1:
            for axes in panels:
                axes.axvspan(phase.start, phase.stop, color="0.93", lw=0, zorder=0)
        if phase.stop - phase.start < total / 50:
            continue  # no room for a line of text
        met = phase.index not in run.untrained_phases
        rate = f"{phase.learning_rate:.3g}" if met else "no update"
        panels[0].text(
            (phase.start + phase.stop) / 2,
            1.02,
            f"phase {phase.index}: {rate}"
            if upright
            else f"phase {phase.index}\n{'rate ' if met else ''}{rate}",
            transform=panels[0].get_xaxis_transform(),
            rotation=90 if upright else 0,
            ha="center",
            va="bottom",
            fontsize=8,
            color=_GREY,
        )
