"""What decays did, over seeds: better, worse, equivalent, or undetermined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from eval.crossed import crossed_interval, crossed_mean, unseen_share
from eval.significance import (
    crossed_p,
    equivalence_p,
    holm,
    seeds_for_sign_flips,
    sign_flip_p,
    smallest_sign_flip_p,
)
from eval.statistics import Estimate

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 1_000
SUCCESS_MARGIN = 0.05
"""Margin for success rates: one success in 20 episodes."""
RETURN_MARGIN = 0.05
"""Margin for returns, as a share of the range of the held agents' returns."""


@dataclass(frozen=True)
class Verdict:
    """What one decay did.

    Attributes:
        seeds: How many seeds.
        effect: Mean effect over seeds and episodes with its 95 % interval; one of infinite width
            for a single seed.
        positive_seeds: How many seeds have a mean effect above 0.
        sign_flip_p: Exact two-sided p over seeds, for these episodes.
        crossed_p: Two-sided p of the crossed t, for other episodes too.
        adjusted_p: The larger of the two, after Holm's correction over the effects judged together.
        equivalence_p: p of the two one-sided tests, after Holm's correction.
        margin: The largest effect that counts as none.
        word: `"better"`, `"worse"`, `"equivalent"` or `"undetermined"`.
        unseen_share: Up to this share of all seeds, at 95 %, may show an outcome that none of these
            showed, such as a collapse. No interval and no p can exclude that.
        more_seeds: About how many more seeds would decide; `None` if that is decided, unknown or
            above 1000.
        sentence: The verdict in words.
    """

    seeds: int
    effect: Estimate
    positive_seeds: int
    sign_flip_p: float
    crossed_p: float
    adjusted_p: float
    equivalence_p: float
    margin: float
    word: str
    unseen_share: float
    more_seeds: int | None
    sentence: str

    @property
    def is_negligible(self) -> bool:
        """Whether the effect is there, but smaller than what would matter."""
        return self.word in ("better", "worse") and _is_within(
            self.effect, self.margin, self.equivalence_p
        )

    @property
    def short(self) -> str:
        """The word and, where it is undetermined, what would decide."""
        if self.word == "undetermined":
            return _undetermined(self.more_seeds)
        return f"{self.word}, by less than matters" if self.is_negligible else self.word


def judge(effects: Sequence[ArrayLike], margin: float) -> tuple[Verdict, ...]:
    """Judges the effects of several decays together.

    An effect is *better* or *worse* if both its sign-flip p and its crossed-t p are at most 0.05,
    corrected over all effects, and its 95 % interval excludes 0: sign flips assume no distribution
    but take the episodes as they are, the t allows for other episodes. It is *equivalent* if it is
    neither and the equivalence test, corrected as well, gives at most 0.05 and the 90 % interval
    lies within the margin. All else is *undetermined*, as is everything from fewer seeds than the
    sign-flip test needs.

    Args:
        effects: For each decay the shape (seeds, episodes): decayed minus held.
        margin: The largest effect that would not matter, in the unit of the effects.

    Returns:
        A verdict for each decay.

    Raises:
        ValueError: If there is no effect, an effect has fewer than 2 episodes or a value that is
            not finite, or `margin` is not above 0.
    """
    arrays = [np.asarray(effect, dtype=np.float64) for effect in effects]
    if not arrays:
        raise ValueError("there is no effect to judge")
    for array in arrays:
        if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
            raise ValueError(f"effects need the shape (seeds, episodes), got {array.shape}")
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin}")
    flips = [sign_flip_p(array.mean(axis=1)) for array in arrays]
    crossed = [crossed_p(array) if len(array) > 1 else 1.0 for array in arrays]
    equivalences = [equivalence_p(a, margin) if len(a) > 1 else 1.0 for a in arrays]
    return tuple(
        _verdict(array, margin, p_values, len(arrays))
        for array, *p_values in zip(
            *(arrays, flips, crossed),
            holm([max(both) for both in zip(flips, crossed, strict=True)]),
            holm(equivalences),
            strict=True,
        )
    )


def return_margin(held: ArrayLike) -> float:
    """A margin for returns, which have no unit of their own.

    It is 5 % of the distance between the 5th and the 95th percentile of the held agents' returns:
    in a task that pays -1 for each step until success, about what 5 points of success are worth.

    Args:
        held: Returns of the held agents, of any shape.

    Returns:
        The margin.

    Raises:
        ValueError: If the returns do not differ, so that there is no range.
    """
    low, high = np.quantile(np.asarray(held, dtype=np.float64), [0.05, 0.95])
    if not high > low:
        raise ValueError("the held agents' returns do not differ, so a margin must be given")
    return float(RETURN_MARGIN * (high - low))


def seeds_to_decide(values: ArrayLike, margin: float, comparisons: int = 1) -> int | None:
    """Estimates how many seeds would decide what an effect is.

    It takes the mean and the variances of the seeds at hand for the true ones and looks for the
    fewest seeds at which, with probability 0.8, either the t interval would exclude 0 or the
    equivalence test would succeed; both with the level divided by the number of comparisons. The
    number of episodes stays. From few seeds this is rough: the variance of 6 seeds is known to
    within a factor of 6.

    Args:
        values: Shape (seeds, episodes), at least 2 of each.
        margin: The largest effect that would not matter.
        comparisons: How many effects are judged together.

    Returns:
        The number of seeds in all, or `None` if even 1000 would not do.

    Raises:
        ValueError: If the values are refused by `crossed_mean`.
    """
    mean = crossed_mean(values)
    value, seeds = abs(float(mean.value)), mean.seed_means.shape[-1]
    level = LEVEL / comparisons
    fewest = seeds_for_sign_flips(comparisons, LEVEL)
    # Every number up to about 20, then in steps of 5 %: this is an estimate.
    counts = np.unique(np.geomspace(fewest, MOST_SEEDS, 100).round())
    errors = np.sqrt(float(mean.seed_variance) * seeds / counts + float(mean.episode_variance))
    t = special.stdtrit
    power = t(counts - 1, POWER)
    enough: NDArray[np.bool_] = (t(counts - 1, 1 - level / 2) + power) * errors < value
    enough |= (t(counts - 1, 1 - level) + power) * errors < margin - value
    return int(counts[np.argmax(enough)]) if enough.any() else None


def _is_within(effect: Estimate, margin: float, equivalence_p: float) -> bool:
    """Whether the whole interval of an effect lies within the margin, and the test agrees."""
    return equivalence_p <= LEVEL and -margin < effect.low and effect.high < margin


def _verdict(
    array: NDArray[np.float64],
    margin: float,
    p_values: Sequence[float],
    comparisons: int,
) -> Verdict:
    flips, crossed, adjusted, equivalence = p_values
    seeds = len(array)
    needed = seeds_for_sign_flips(comparisons, LEVEL)
    word, more = "undetermined", None
    if seeds > 1:
        effect, near = crossed_interval(array), crossed_interval(array, 1 - 2 * LEVEL)
        if seeds >= needed:
            if adjusted <= LEVEL and effect.low > 0:
                word = "better"
            elif adjusted <= LEVEL and effect.high < 0:
                word = "worse"
            elif equivalence <= LEVEL and -margin < near.low and near.high < margin:
                word = "equivalent"
        if word == "undetermined":
            total = seeds_to_decide(array, margin, comparisons)
            more = None if total is None else max(total - seeds, needed - seeds, 1)
    else:
        effect = Estimate(float(array.mean()), -np.inf, np.inf)
        more = needed - 1
    positive = int(np.sum(array.mean(axis=1) > 0))
    if word in ("better", "worse") and _is_within(effect, margin, equivalence):
        sentence = f"{word}, but by less than the margin; {_unseen(seeds)}"
    elif word != "undetermined":
        sentence = f"{word}; {_unseen(seeds)}"
    elif seeds >= needed:
        sentence = _undetermined(more)
    else:
        sentence = f"{_undetermined(more)}, at least {needed - seeds}. "
        sentence += _few(seeds, positive, comparisons, effect)
    return Verdict(
        seeds=seeds,
        effect=effect,
        positive_seeds=positive,
        sign_flip_p=flips,
        crossed_p=crossed,
        adjusted_p=adjusted,
        equivalence_p=equivalence,
        margin=margin,
        word=word,
        unseen_share=unseen_share(seeds),
        more_seeds=more,
        sentence=sentence,
    )


def _undetermined(more: int | None) -> str:
    if more is None:
        return f"undetermined: even {MOST_SEEDS} seeds would hardly decide; try more episodes"
    return f"undetermined: about {more} more seeds"


def _few(seeds: int, positive: int, comparisons: int, effect: Estimate) -> str:
    """What fewer seeds than a verdict needs can still say."""
    if seeds == 1:
        return f"One seed gives no interval; its effect is {effect.value:+.3g}; {_unseen(seeds)}"
    smallest = min(1.0, comparisons * smallest_sign_flip_p(seeds))
    return (
        f"{seeds} seeds cannot give a p below {smallest:.2g}; {positive} of them gained; the mean "
        f"is {effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}]; {_unseen(seeds)}"
    )


def _unseen(seeds: int) -> str:
    return f"what none showed may befall up to {100 * unseen_share(seeds):.0f} % of seeds"
