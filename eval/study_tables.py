"""Tables of a study for the terminal: decay effects and initial rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from eval.rate_sensitivity import RateSensitivity
from eval.statistics import Estimate
from eval.study_effects import DecayOverSeeds
from eval.tables import simple_table

_NONE = "-"


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
    for effect in effects:
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
        *(Text(f"{effect.label}: {_sentence(effect)}") for effect in effects),
        "[..] is a 95 % interval for other seeds and episodes; seeds: how many gained; floor: the "
        "effect that luck alone stays below; p, p equal: of no effect and of one beyond "
        f"±{margin:.2g}, corrected over all decays; paired: variance that pairing removed.",
    )


def rates_table(sensitivity: RateSensitivity, quantity: str) -> RenderableType:
    """Lays out the scores of the initial rates.

    Args:
        sensitivity: The scores and what can be told apart.
        quantity: What the scores are, such as `"success rate"`.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    table = simple_table("rate", quantity, "p against the best", "")
    rows = zip(sensitivity.rates, sensitivity.scores, sensitivity.p_against_best, strict=True)
    for index, (rate, score, p) in enumerate(rows):
        best = index == sensitivity.best
        word = "best" if best else "like the best" if rate in sensitivity.like_the_best else "worse"
        table.add_row(f"{rate:.3g}", _estimate(score, ""), _NONE if best else f"{p:.2g}", word)
    low, high = sensitivity.good_range
    return Group(
        "Initial rates, at the end of the constant-rate phase",
        table,
        f"Rates from {low:.3g} to {high:.3g} cannot be told from the best.",
    )


def _sentence(effect: DecayOverSeeds) -> str:
    sentence = effect.verdict.sentence
    if effect.floor is not None and not effect.floor.exceeds:
        return f"{sentence} (within the noise floor)"
    return sentence


def _estimate(estimate: Estimate, sign: str) -> str:
    value, low, high = (f"{x:{sign}.3g}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value}\n[{low}, {high}]" if np.isfinite(estimate.low) else value
