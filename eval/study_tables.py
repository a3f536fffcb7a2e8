"""Tables of a study for the terminal: phases, whole runs, decay effects and initial rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from eval.crossed import unseen_share
from eval.rate_sensitivity import RateSensitivity
from eval.significance import seeds_for_sign_flips, smallest_sign_flip_p
from eval.statistics import Estimate
from eval.study_comparison import (
    InitialRates,
    PhaseOverSeeds,
    RatesOverTasks,
    StudyComparison,
    WholeRuns,
)
from eval.study_effects import RETURN, DecayOverSeeds
from eval.tables import simple_table
from eval.verdicts import LEVEL

ROWS = 30
"""Rows of a table; the rest is in the files of the study."""
_NONE = "-"


def study_table(comparison: StudyComparison) -> RenderableType:
    """Lays a study out as one table a question, with short explanations.

    Args:
        comparison: The comparison.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    seeds = len(comparison.seeds)
    parts: list[RenderableType] = [
        Text(
            f"study {comparison.name}: {seeds} seed{'s' if seeds > 1 else ''}, "
            f"{comparison.episodes} evaluation episodes each",
            style="bold",
        ),
        Text(""),
        _phases(comparison.phases, seeds),
        Text(""),
        _whole_runs(comparison.runs),
    ]
    for judged in comparison.effects:
        at = f" at {judged.task}" if judged.task and len(comparison.effects) > 2 else ""
        parts += [Text(""), effects_table(judged.decays, f"{judged.quantity}{at}")]
    parts += _rates(comparison.rates, comparison.rates_over_tasks)
    parts += notes_lines(comparison.notes)
    return Group(*parts)


def initial_rates_table(comparison: StudyComparison) -> RenderableType:
    """Lays out what a study says about initial rates alone.

    Args:
        comparison: The comparison, of a study with an axis of initial rates.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    parts = _rates(comparison.rates, comparison.rates_over_tasks)
    return Group(*parts[1:], *notes_lines(comparison.notes))


def notes_lines(notes: Sequence[str]) -> list[RenderableType]:
    """Notes as lines below tables.

    Args:
        notes: The notes.
    """
    return [Text(f"note: {note}", style="yellow") for note in (*notes[:ROWS], *_more(notes))]


def _more(rows: Sequence[object]) -> list[str]:
    return [f"{len(rows) - ROWS} more"] if len(rows) > ROWS else []


def _rows_left(rows: Sequence[object]) -> list[str]:
    return [f"{len(rows) - ROWS} more are in evaluation/summary.json."] if len(rows) > ROWS else []


def _phases(phases: Sequence[PhaseOverSeeds], seeds: int) -> RenderableType:
    own = [phase for phase in phases if phase.same_as is None]
    several = len({phase.task for phase in phases}) > 1
    failed = ("failed",) if any(phase.failed for phase in phases) else ()
    table = simple_table(
        "arm", "phase", "until step", "rate", "return", "success %", *failed, wraps="arm"
    )
    for phase in own[:ROWS]:
        table.add_row(
            f"{phase.task}, {phase.arm}" if several else phase.arm,
            str(phase.phase),
            str(phase.step),
            f"{phase.learning_rate:.3g}",
            _estimate(phase.mean_return, ""),
            _percent(phase.success_rate),
            *(f"{phase.failed}/{seeds}" for _ in failed),
        )
    return Group(
        "Agents at the ends of the phases, over seeds",
        table,
        *_rows_left(own),
        "[..] is a 95 % interval for other seeds and episodes."
        + (
            " Agents of runs that had not parted yet are listed once, with the first arm."
            if len(own) < len(phases)
            else ""
        )
        + (f" Failed: seeds that diverged; {_FAILURE}." if failed else "")
        + f" What no seed showed may befall up to {100 * unseen_share(seeds):.0f} % of seeds.",
    )


_FAILURE = "they count as no success and the lowest return of any agent in the episode"


def _whole_runs(runs: Sequence[WholeRuns]) -> RenderableType:
    table = simple_table(
        "arm", "runs", "success %", "worst %", "IQM %", "P above first", wraps="arm"
    )
    for arm in runs[:ROWS]:
        scores = np.array(arm.scores)
        table.add_row(
            arm.label,
            str(scores.size),
            f"{100 * scores.mean():.0f}",
            f"{100 * scores.min():.0f}",
            _percent(arm.interquartile_mean),
            _NONE if arm.improvement is None else _estimate(arm.improvement, ""),
        )
    first = (
        " P above first: probability that a run succeeds more often than one of the first arm, "
        "ties counting one half."
        if len(runs) > 1
        else ""
    )
    return Group(
        "Runs at their ends, a score each",
        table,
        *_rows_left(runs),
        f"IQM: mean of the middle half of the runs.{first} Intervals are over resampled seeds; "
        "with few seeds they are too short.",
    )


def _rates(
    rates: Sequence[InitialRates], over_tasks: Sequence[RatesOverTasks]
) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for found in rates[:ROWS]:
        percent = found.quantity != RETURN
        name = "success rate" if percent else "return"
        parts += [Text(""), rates_table(found.sensitivity, name, found.label)]
    parts += [Text(f"{len(rates) - ROWS} more tables are left out.")] if len(rates) > ROWS else []
    for lost in over_tasks[:ROWS]:
        name = "success rate" if lost.quantity != RETURN else "return"
        where = f" ({lost.label})" if lost.label else ""
        parts += [
            Text(""),
            Text(
                f"One rate for all of {', '.join(lost.tasks)} instead of the best for each costs "
                f"{_inline(lost.lost)} of the range of the {name}{where} (Adkins' sensitivity)."
            ),
        ]
    return parts


def _percent(estimate: Estimate) -> str:
    value, low, high = (f"{100 * x:.0f}" for x in _three(estimate))
    return f"{value}\n[{low}, {high}]" if np.isfinite(estimate.low) else value


def _inline(estimate: Estimate) -> str:
    value, low, high = (f"{x:.2f}" for x in _three(estimate))
    return f"{value} [{low}, {high}]"


def _three(estimate: Estimate) -> tuple[float, float, float]:
    finite = np.isfinite(estimate.low)
    return estimate.value, estimate.low if finite else 0.0, estimate.high if finite else 0.0


def effects_table(effects: Sequence[DecayOverSeeds], quantity: str) -> RenderableType:
    """Lays decay effects out as a table, with the verdicts below it.

    Args:
        effects: At least one; all with the same margin.
        quantity: What they are differences of, such as `"return"`.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    table = simple_table(
        "decay", "seeds", "effect", "floor", "p", "p equal", "paired", wraps="decay"
    )
    for effect in effects[:ROWS]:
        verdict = effect.verdict
        paired = effect.removed_by_pairing
        table.add_row(
            effect.label,
            f"{verdict.positive_seeds}/{verdict.seeds}",
            _estimate(verdict.effect, "+"),
            _NONE if effect.floor is None else f"±{effect.floor.floor:.2g}",
            f"{verdict.adjusted_p:.2g}",
            f"{verdict.equivalence_p:.2g}",
            _NONE if paired is None else f"{100 * paired:.0f} %",
        )
    margin = effects[0].verdict.margin
    return Group(
        f"Decay effects over seeds: {quantity}, decayed minus held",
        table,
        *(Text(f"{effect.label}: {_short(effect)}") for effect in effects[:ROWS]),
        *_rows_left(effects),
        *_few(effects),
        "[..] is a 95 % interval for other seeds and episodes; seeds: how many gained; floor: the "
        "effect that luck alone stays below; p, p equal: of no effect and of one beyond "
        f"±{margin:.2g}, corrected over all of these; paired: variance that pairing removed.",
    )


def rates_table(sensitivity: RateSensitivity, quantity: str, where: str = "") -> RenderableType:
    """Lays out the scores of the initial rates.

    Args:
        sensitivity: The scores and what can be told apart.
        quantity: What the scores are, such as `"success rate"`.
        where: The task, and whatever else they share.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    table = simple_table("rate", quantity, "p against the best", "")
    rows = zip(sensitivity.rates, sensitivity.scores, sensitivity.p_against_best, strict=True)
    for index, (rate, score, p) in list(enumerate(rows))[:ROWS]:
        best = index == sensitivity.best
        word = "best" if best else "like the best" if rate in sensitivity.like_the_best else "worse"
        table.add_row(f"{rate:.3g}", _estimate(score, ""), _NONE if best else f"{p:.2g}", word)
    low, high = sensitivity.good_range
    return Group(
        "Initial rates, at the end of the constant-rate phase" + (f": {where}" if where else ""),
        table,
        *_rows_left(sensitivity.rates),
        f"Rates from {low:.3g} to {high:.3g} cannot be told from the best.",
    )


def _short(effect: DecayOverSeeds) -> str:
    within = effect.floor is not None and not effect.floor.exceeds
    return effect.verdict.short + (" (within the noise floor)" if within else "")


def _few(effects: Sequence[DecayOverSeeds]) -> list[str]:
    """What too few seeds for a verdict can and cannot say."""
    seeds = min(effect.verdict.seeds for effect in effects)
    needed = seeds_for_sign_flips(len(effects), LEVEL)
    if seeds >= needed:
        return []
    if seeds == 1:
        return ["One seed gives no interval over seeds and no verdict."]
    least = min(1.0, len(effects) * smallest_sign_flip_p(seeds))
    return [
        f"{seeds} seeds cannot give a p below {least:.2g} for {len(effects)} "
        f"{'decays' if len(effects) > 1 else 'decay'} judged together, so there is no verdict "
        f"before {needed} seeds."
    ]


def _estimate(estimate: Estimate, sign: str) -> str:
    value, low, high = (f"{x:{sign}.3g}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value}\n[{low}, {high}]" if np.isfinite(estimate.low) else value
