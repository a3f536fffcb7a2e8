"""Statistics of episode returns: robust means and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy  # which imports its stats, for seconds, when they are first used
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
RESAMPLES = 10_000
RUNS, EPISODES = 0, 1
"""The axes of an array of shape (runs, episodes)."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A number for each array of a stack: from shape (..., runs, episodes) to shape (...)."""


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval, at most `value`.
        high: Upper end of the interval, at least `value`.
    """

    value: float
    low: float
    high: float


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: the lowest and the highest quarter (rounded down) are left out.

    It uses more of the data than the median, and outliers move it less than the mean; see Agarwal
    et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021).

    Args:
        values: Shape (n,), n >= 1.

    Returns:
        The mean of n - 2 * floor(n / 4) values.

    Raises:
        ValueError: If `values` is not one-dimensional, is empty or holds a number that is not
            finite.
    """
    return float(pooled_interquartile_mean(_checked(values)[np.newaxis]))


def pooled_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over all runs and episodes.

    Args:
        values: Shape (..., runs, episodes).

    Returns:
        Shape (...).
    """
    return np.asarray(values.mean(axis=(-2, -1)))


def pooled_interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interquartile mean of the values of all runs and episodes, pooled as rliable does.

    Args:
        values: Shape (..., runs, episodes).

    Returns:
        Shape (...).
    """
    pooled = values.reshape(*values.shape[:-2], -1)
    return np.asarray(scipy.stats.trim_mean(pooled, 0.25, axis=-1))


def wilson_interval(successes: int, trials: int) -> Estimate:
    """Success rate with its 95 % Wilson score interval.

    With the rate p = k / n and the normal quantile z, the interval is

        (p + z² / 2n ± z sqrt(p (1 - p) / n + z² / 4n²)) / (1 + z² / n)

    (Wilson, 1927). Unlike the usual p ± z sqrt(p (1 - p) / n) it does not collapse at 0 or 1.

    Args:
        successes: k, from 0 to `trials`.
        trials: n >= 1.

    Returns:
        The rate and its interval, all in [0, 1].

    Raises:
        ValueError: If the counts are not possible.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"there cannot be {successes} successes in {trials} trials")
    z = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2))
    rate = successes / trials
    centre = rate + z**2 / (2 * trials)
    margin = z * sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # At 0 and n successes an end is the rate itself, which rounding would miss by one bit.
    low = 0.0 if successes == 0 else (centre - margin) / scale
    high = 1.0 if successes == trials else (centre + margin) / scale
    return Estimate(rate, low, high)


def bootstrap(values: ArrayLike, statistic: Statistic, axes: Sequence[int]) -> Estimate:
    """A statistic with its 95 % percentile bootstrap interval (Efron & Tibshirani, 1993, ch. 13).

    Each axis is resampled by draws of its own: with both, a resample keeps whole runs and whole
    episodes together (the pigeonhole bootstrap; Owen, 2007). An axis that is not resampled is
    taken as it is. The generator has a fixed seed, so equal values give an equal interval.

    Args:
        values: Shape (runs, episodes), each at least 1; every run played the same episodes.
        statistic: What is estimated, such as `pooled_mean`.
        axes: What is drawn anew: `[EPISODES]`, `[RUNS]` or both.

    Returns:
        The statistic of the values and its interval.

    Raises:
        ValueError: If `values` has another shape, is empty or holds a number that is not finite,
            or `axes` names no axis, an unknown one, or one twice.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"values need the shape (runs, episodes), got the shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError("every value must be finite")
    if not axes or not set(axes) <= {RUNS, EPISODES} or len(set(axes)) < len(axes):
        raise ValueError(f"axes must be [{RUNS}], [{EPISODES}] or both, got {list(axes)}")
    value = float(statistic(array))
    generator = np.random.default_rng(0)
    batch = max(1, min(1_000, 10_000_000 // array.size))  # so many resamples fit into memory
    found = []
    for start in range(0, RESAMPLES, batch):
        count = min(batch, RESAMPLES - start)
        rows, columns = (
            generator.integers(0, size, (count, size)) if axis in axes else np.arange(size)[None]
            for axis, size in enumerate(array.shape)
        )
        found.append(statistic(array[rows[:, :, np.newaxis], columns[:, np.newaxis, :]]))
    alpha = (1 - CONFIDENCE) / 2
    low, high = _quantiles(np.concatenate(found), np.array([alpha, 1 - alpha]))
    # Of values that differ in their last bit only, rounding may put every mean on one side.
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def bootstrap_mean(values: ArrayLike) -> Estimate:
    """Mean over the episodes of one run, with its 95 % bootstrap interval.

    Args:
        values: Shape (n,), n >= 1.

    Returns:
        The mean and its interval, which has no width if all values are equal.

    Raises:
        ValueError: If `values` is not one-dimensional, is empty or holds a number that is not
            finite.
    """
    sample = _checked(values)
    if np.all(sample == sample[0]):  # rounding could move the mean of many equal values
        only = float(sample[0])
        return Estimate(only, only, only)
    return bootstrap(sample[np.newaxis], pooled_mean, [EPISODES])


def paired_difference(values: ArrayLike, baseline: ArrayLike) -> Estimate:
    """Mean difference of two agents on the same episodes, with its 95 % bootstrap interval.

    Whole pairs are resampled, so how hard an episode is for both agents cancels out.

    Args:
        values: Shape (n,), n >= 1: one agent's return in each episode.
        baseline: Shape (n,): the other agent's return in the same episodes, in the same order.

    Returns:
        Mean of `values - baseline` and its interval.

    Raises:
        ValueError: If the shapes differ or either is refused by `bootstrap_mean`.
    """
    first, second = _checked(values), _checked(baseline)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equally many values, got {len(first)} and {len(second)}")
    return bootstrap_mean(first - second)


def rolling_mean(values: ArrayLike, window: int) -> NDArray[np.float64]:
    """Mean of each value and those before it, as many as there are up to `window`.

    Args:
        values: Shape (n,), n >= 1, in order of time.
        window: Number of values in a full window, at least 1.

    Returns:
        Shape (n,): entry i is the mean of `values[max(0, i + 1 - window) : i + 1]`.

    Raises:
        ValueError: If `window` is below 1, or `values` is not one-dimensional, is empty or holds a
            number that is not finite.
    """
    if window < 1:
        raise ValueError(f"a window holds at least one value, got {window}")
    sums = np.concatenate(([0.0], np.cumsum(_checked(values))))
    ends = np.arange(1, len(sums))
    starts = np.maximum(0, ends - window)
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _quantiles(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linearly interpolated quantiles.

    Rounded as by `scipy.stats.quantile`, which the oldest supported SciPy lacks; NumPy's quantiles
    differ in the last bit.
    """
    ordered = np.sort(values)
    places = levels * (values.size - 1)
    below = np.floor(places).astype(np.int64)
    share = places - below
    above = np.minimum(below + 1, values.size - 1)
    quantiles: NDArray[np.float64] = (1 - share) * ordered[below] + share * ordered[above]
    return quantiles


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values need the shape (n,) with n >= 1, got the shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError("every value must be finite")
    return array
