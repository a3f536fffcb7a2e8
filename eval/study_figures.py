"""Figures of a study: curves over seeds, effects, profiles and rates. They write nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from eval.figure import STYLE
from eval.profiles import PerformanceProfile
from eval.rate_sensitivity import RateSensitivity
from eval.study_curves import Curve
from eval.study_effects import DecayOverSeeds
from eval.verdicts import Verdict

Array = NDArray[np.float64]

# Okabe & Ito's palette without its yellow, which is faint on white. Arms differ in dashes as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("-", "--", "-.", ":")
_OF_VERDICT = {"better": "#009E73", "worse": "#D55E00", "equivalent": "#0072B2"}
_GREY = "#555555"


def curves_figure(
    curves: Sequence[Curve],
    boundaries: Sequence[int],
    quantity: str,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """Draws mean curves with bands over seeds.

    Args:
        curves: At least one. A band is the 95 % t interval of the mean over seeds at each step by
            itself; a single seed has none.
        boundaries: Steps at which the rate decays.
        quantity: Label of the vertical axis.
        limits: What the quantity cannot leave, and no band either.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _figure(7.0, 3.8)
        for place, curve in enumerate(curves):
            colour, dashes = _COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]
            mean = curve.values.mean(axis=0)
            seeds = len(curve.values)
            label = f"{curve.label} ({seeds} seed{'s' if seeds > 1 else ''})"
            axes.plot(curve.steps, mean, dashes, color=colour, lw=1.5, label=label)
            if (band := curve.band(limits)) is not None:
                axes.fill_between(curve.steps, *band, color=colour, alpha=0.15, lw=0)
        for place, boundary in enumerate(boundaries):
            axes.axvline(boundary, color=_GREY, lw=0.8, ls=(0, (2, 2)), zorder=0)
            axes.annotate(
                f"decay {place + 1}",
                (boundary, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -2),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=_GREY,
            )
        axes.set_xlim(min(c.steps[0] for c in curves), max(c.steps[-1] for c in curves))
        axes.set_xlabel("step (environment timesteps)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_ylabel(quantity)
        _legend_below(figure, axes, "mean and 95 % interval over seeds, at each step by itself")
        return figure


def forest_figure(effects: Sequence[DecayOverSeeds], quantity: str) -> Figure:
    """Draws decay effects with their intervals, the placebo bands and the margin.

    Args:
        effects: At least one, from top to bottom; all with the same margin.
        quantity: What the effects are differences of, such as `"return"`.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _figure(7.0, 1.3 + 0.55 * len(effects))
        rows = np.arange(len(effects))[::-1]
        margin = effects[0].verdict.margin
        axes.axvspan(-margin, margin, color="0.93", lw=0, zorder=0, label="margin of equivalence")
        axes.axvline(0, color=_GREY, lw=0.8, zorder=1)
        label = "noise floor (placebo forks)"
        for row, effect in zip(rows, effects, strict=True):
            if effect.floor is not None:
                axes.fill_between(
                    *([-effect.floor.floor, effect.floor.floor], row - 0.3, row + 0.3),
                    facecolor="none",
                    edgecolor="#888888",
                    hatch="//////",
                    lw=0.6,
                    zorder=2,
                    label=label,
                )
                label = ""
            estimate = effect.verdict.effect
            colour = _OF_VERDICT.get(effect.verdict.word, "black")
            if np.isfinite(estimate.low):
                axes.plot([estimate.low, estimate.high], [row, row], color=colour, lw=2, zorder=4)
            axes.plot(estimate.value, row, "o", color=colour, ms=6, zorder=5)
            axes.annotate(
                _in_short(effect.verdict),
                (1.02, row),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8.5,
                color=colour,
            )
        axes.set_yticks(rows, [effect.label for effect in effects])
        axes.set_ylim(-0.6, len(effects) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_xlabel(f"{quantity}, decayed minus held, with 95 % interval over seeds")
        _legend_below(figure, axes)
        return figure


def profiles_figure(profiles: Mapping[str, PerformanceProfile], score: str) -> Figure:
    """Draws performance profiles with their bands.

    Args:
        profiles: By name of the arm, at least one.
        score: Label of the horizontal axis.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _figure(5.6, 3.8)
        for place, (label, profile) in enumerate(profiles.items()):
            colour, dashes = _COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]
            axes.step(
                *(profile.thresholds, profile.share, dashes),
                where="post",
                color=colour,
                lw=1.5,
                label=label,
            )
            axes.fill_between(
                *(profile.thresholds, profile.low, profile.high),
                step="post",
                color=colour,
                alpha=0.15,
                lw=0,
            )
        axes.set_xlabel(f"{score} τ")
        axes.set_ylabel("runs that score above τ")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(-0.02, 1.04)
        axes.margins(x=0)
        _legend_below(figure, axes, "bands: 95 % percentile intervals over seeds")
        return figure


def rates_figure(
    sensitivity: RateSensitivity, score: str, limits: tuple[float, float] | None = None
) -> Figure:
    """Draws the score at the end of the constant-rate phase against the rate.

    Args:
        sensitivity: The scores and what can be told apart.
        score: Label of the vertical axis.
        limits: Ends of the vertical axis; from the scores if `None`.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _figure(5.6, 3.6)
        rates = np.array(sensitivity.rates)
        values = np.array([(e.value, e.low, e.high) for e in sensitivity.scores]).T
        low, high = sensitivity.good_range
        axes.set_xscale("log")
        edge = np.sqrt(np.min(rates[1:] / rates[:-1])) ** 0.6
        axes.axvspan(
            *(low / edge, high * edge), color="0.93", lw=0, zorder=0, label="range like the best"
        )
        alike = np.isin(rates, sensitivity.like_the_best)
        axes.plot(rates, values[0], color=_COLOURS[0], lw=1, zorder=2)
        axes.errorbar(
            *(rates, values[0]),
            yerr=(values[0] - values[1], values[2] - values[0]),
            fmt="none",
            ecolor=_COLOURS[0],
            elinewidth=1.4,
            capsize=2.5,
            zorder=3,
        )
        for shown, fill, label in (
            (alike, _COLOURS[0], "like the best"),
            (~alike, "white", "worse"),
        ):
            if shown.any():
                axes.plot(
                    *(rates[shown], values[0][shown], "o"),
                    color=_COLOURS[0],
                    mfc=fill,
                    ms=6.5,
                    zorder=4,
                    label=label,
                )
        axes.annotate(
            "best",
            (rates[sensitivity.best], values[2][sensitivity.best]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
        axes.set_xlabel("learning rate of the constant-rate phase")
        axes.set_ylabel(score)
        axes.xaxis.set_major_locator(FixedLocator(rates.tolist()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.3g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", length=0)
        axes.margins(y=0.12)
        if limits is not None:
            low, high = limits
            axes.set_ylim(low - 0.04 * (high - low), high + 0.12 * (high - low))
        _legend_below(figure, axes, "95 % intervals over seeds")
        return figure


def _in_short(verdict: Verdict) -> str:
    if verdict.word != "undetermined":
        return f"{verdict.word}, by less\nthan matters" if verdict.is_negligible else verdict.word
    more = verdict.more_seeds
    return "undetermined:\n" + ("try more episodes" if more is None else f"about {more} more seeds")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _legend_below(figure: Figure, axes: Axes, title: str | None = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        *(handles, labels),
        loc="outside lower center",
        # As many columns as fit: a long label takes a line of its own.
        ncols=max(1, min(3, len(labels), 75 // (max(map(len, labels), default=1) + 8))),
        fontsize=8.5,
        title=title,
        title_fontsize=8.5,
    )
