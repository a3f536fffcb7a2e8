"""Whole distributions of scores: probability of improvement and performance profiles.

The estimators are those of rliable (Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", 2021). A score is one number for one run at one task, such as its
success rate over the evaluation episodes. The interquartile mean of scores is
`bootstrap(scores, pooled_interquartile_mean, [RUNS])`.

The intervals are percentile intervals over resampled seeds, as in rliable. With 10 seeds or fewer
they are too narrow (`docs/statistics.md`): they describe, and verdicts do not rest on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.statistics import RUNS, Estimate, bootstrap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PerformanceProfile:
    """Share of runs that score above each threshold.

    Attributes:
        thresholds: Shape (thresholds,), ascending.
        share: Shape (thresholds,): share of scores above each.
        low: Shape (thresholds,): lower ends of the 95 % intervals, each for its threshold alone.
        high: Shape (thresholds,): upper ends.
    """

    thresholds: Array
    share: Array
    low: Array
    high: Array


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> PerformanceProfile:
    """Computes how large a share of runs scores above each threshold.

    The share is over all runs and tasks. A curve that lies above another everywhere is better
    whatever one asks of a run; where it falls early, some runs fail.

    Args:
        scores: Shape (seeds, tasks).
        thresholds: Shape (thresholds,), at least one.

    Returns:
        The profile.

    Raises:
        ValueError: If `scores` has another shape or holds a number that is not finite, or there is
            no threshold.
    """
    taus = np.sort(np.asarray(thresholds, dtype=np.float64).ravel())
    if taus.size == 0:
        raise ValueError("a profile needs at least one threshold")

    def above(tau: float) -> Estimate:
        return bootstrap(scores, lambda v: np.asarray((v > tau).mean(axis=(-2, -1))), [RUNS])

    estimates = np.array([(e.value, e.low, e.high) for e in map(above, taus.tolist())])
    return PerformanceProfile(taus, *estimates.T)


def probability_of_improvement(scores: ArrayLike, baseline: ArrayLike) -> Estimate:
    """Probability that a run of one arm scores higher than one of another at the same task.

    For each task this is the Mann-Whitney U of all pairs of runs, divided by their number, ties
    counting one half; the tasks are averaged. 0.5 means no difference. Seeds are resampled jointly
    in both arms, because arms of a study share their seeds; rliable draws them separately.

    Args:
        scores: Shape (seeds, tasks): one arm.
        baseline: Shape (seeds, tasks): the other arm, with the same seeds in the same order.

    Returns:
        The probability and its 95 % interval.

    Raises:
        ValueError: If the shapes differ, are not two-dimensional, or a score is not finite.
    """
    first, second = (np.asarray(array, dtype=np.float64) for array in (scores, baseline))
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"both arms need the same shape (seeds, tasks), got {first.shape} and {second.shape}"
        )

    def improvement(both: Array) -> Array:
        ours, theirs = np.split(both, 2, axis=-1)
        difference = ours[..., :, np.newaxis, :] - theirs[..., np.newaxis, :, :]
        return np.asarray((0.5 + 0.5 * np.sign(difference)).mean(axis=(-3, -2, -1)))

    return bootstrap(np.concatenate((first, second), axis=1), improvement, [RUNS])
