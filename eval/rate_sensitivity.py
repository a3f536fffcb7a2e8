"""How much the initial learning rate matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.crossed import crossed_interval
from eval.significance import crossed_p, holm
from eval.statistics import RUNS, Estimate, bootstrap
from eval.verdicts import LEVEL

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RateSensitivity:
    """Scores at the end of the constant-rate phase, against the rate.

    Attributes:
        rates: The rates, ascending.
        scores: Mean score of each rate with its 95 % interval over seeds and episodes.
        best: Index of the rate with the highest mean score.
        p_against_best: p that a rate is as good as the best one, paired by seed and episode and
            corrected after Holm; 1 for the best itself.
    """

    rates: tuple[float, ...]
    scores: tuple[Estimate, ...]
    best: int
    p_against_best: tuple[float, ...]

    @property
    def like_the_best(self) -> tuple[float, ...]:
        """The rates that cannot be told from the best one at the level 0.05."""
        pairs = zip(self.rates, self.p_against_best, strict=True)
        return tuple(rate for rate, p in pairs if p > LEVEL)

    @property
    def good_range(self) -> tuple[float, float]:
        """The lowest and the highest rate around the best one without a worse rate between."""
        low = high = self.best
        while low > 0 and self.p_against_best[low - 1] > LEVEL:
            low -= 1
        while high + 1 < len(self.rates) and self.p_against_best[high + 1] > LEVEL:
            high += 1
        return self.rates[low], self.rates[high]


def rate_sensitivity(rates: Sequence[float], scores: ArrayLike) -> RateSensitivity:
    """Finds the rates that cannot be told from the best.

    Each rate is compared with the one of the highest mean by the crossed t of the differences, all
    of them corrected after Holm. That the best was chosen by looking makes it seem better than it
    is, which errs on the side of telling rates apart; few seeds err on the other side: a wide range
    may mean that every rate is good, or that there are too few seeds to see which is not.

    Args:
        rates: Shape (rates,), all different, at least 2.
        scores: Shape (rates, seeds, episodes): the same seeds and episodes for each rate.

    Returns:
        The sensitivity, in ascending order of the rates.

    Raises:
        ValueError: If the shapes do not fit, there are fewer than 2 rates, seeds or episodes, a
            rate is there twice, or a score is not finite.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 3 or len(array) != len(rates):
        raise ValueError(
            f"scores need the shape ({len(rates)}, seeds, episodes), got {array.shape}"
        )
    if len(set(rates)) < 2 or len(set(rates)) < len(rates):
        raise ValueError(f"at least 2 rates are needed, all different, got {list(rates)}")
    order = np.argsort(rates)
    array = array[order]
    best = int(np.argmax(array.mean(axis=(1, 2))))
    others = [index for index in range(len(rates)) if index != best]
    adjusted = holm([crossed_p(array[best] - array[index]) for index in others])
    p_values = dict(zip(others, adjusted, strict=True)) | {best: 1.0}
    return RateSensitivity(
        rates=tuple(float(rates[index]) for index in order),
        scores=tuple(crossed_interval(of_rate) for of_rate in array),
        best=best,
        p_against_best=tuple(p_values[index] for index in range(len(rates))),
    )


def hyperparameter_sensitivity(performance: ArrayLike) -> Estimate:
    """How much is lost by one rate for all tasks instead of the best for each.

    With the mean performance over seeds p(e, h) of rate h at task e, and the 5th and the 95th
    percentile of all performances at the task,

        Γ(e, h) = (p(e, h) - p5(e)) / (p95(e) - p5(e))
        Φ = mean over e of max over h of Γ(e, h)  -  max over h of mean over e of Γ(e, h)

    (Adkins, Bowling & White, "A Method for Evaluating Hyperparameter Sensitivity in Reinforcement
    Learning", 2024). They take the percentiles over all algorithms that they compare; here it is
    over the rates and seeds that are given. 0 means that one rate is the best at every task. A
    maximum over noisy means is too high on average, and Φ with it, so it falls as seeds are added.

    Args:
        performance: Shape (tasks, rates, seeds), such as the success rate of each run; at least 2
            tasks, as of one the difference is 0 by definition.

    Returns:
        Φ, with a 95 % percentile bootstrap interval over seeds.

    Raises:
        ValueError: If the shape does not fit, a value is not finite, or all performances at a task
            are equal.
    """
    array = np.asarray(performance, dtype=np.float64)
    if array.ndim != 3 or array.shape[0] < 2 or array.size == 0:
        raise ValueError(
            f"performance needs the shape (tasks, rates, seeds) with 2 tasks or more, as one task "
            f"has a best rate of its own; got {array.shape}"
        )
    tasks, rates, seeds = array.shape
    low, high = np.quantile(array.reshape(tasks, -1), [0.05, 0.95], axis=1)
    if not np.all(high > low):
        raise ValueError("at one task all rates and seeds perform alike, so nothing is to be told")
    scaled = (array - low[:, None, None]) / (high - low)[:, None, None]

    def lost(columns: Array) -> Array:
        of_rates = columns.mean(axis=-2).reshape(*columns.shape[:-2], tasks, rates)
        return np.asarray(of_rates.max(axis=-1).mean(axis=-1) - of_rates.mean(axis=-2).max(axis=-1))

    return bootstrap(scaled.reshape(tasks * rates, seeds).T, lost, [RUNS])
