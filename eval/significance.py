"""Tests over seeds: exact sign flips, Holm's correction and equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from eval.crossed import crossed_mean

EXACT_SEEDS = 16
DRAWS = 2**EXACT_SEEDS


def sign_flip_p(effects: ArrayLike) -> float:
    """Two-sided p that effects of seeds are symmetric about 0 (Fisher, 1935, chapter 3).

    If a decay does nothing, the effect of each seed might as well have the other sign. The p is the
    share of all 2^n choices of signs whose mean is at least as far from 0 as the observed one; it
    assumes no distribution. Of more than 16 seeds, 65 536 choices are drawn from a fixed generator,
    and the observed one is counted among them (Phipson & Smyth, 2010), so p is never 0.

    Args:
        effects: Shape (seeds,): the mean effect of each seed over the episodes.

    Returns:
        p, from 2^(1 - n) to 1.

    Raises:
        ValueError: If `effects` is not one-dimensional, is empty or holds a number that is not
            finite.
    """
    array = np.asarray(effects, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"effects need the shape (seeds,), all finite, got {array.shape}")
    # Sorted, so that the order of the seeds does not matter; the signs are all tried anyway.
    sizes = np.sort(np.abs(array))
    # Sums that are equal but for rounding count as equal.
    observed = abs(array.sum()) - 1e-12 * sizes.sum()
    if array.size <= EXACT_SEEDS:
        return float(np.mean(np.abs(_all_sums(sizes)) >= observed))
    generator = np.random.default_rng(0)
    signs = generator.choice(np.array([-1.0, 1.0]), size=(DRAWS, array.size))
    return float((1 + np.sum(np.abs(signs @ sizes) >= observed)) / (1 + DRAWS))


def smallest_sign_flip_p(seeds: int) -> float:
    """The smallest p that so many seeds can give: 2^(1 - n).

    Args:
        seeds: n >= 1.
    """
    return float(2.0 ** (1 - seeds))


def seeds_for_sign_flips(comparisons: int, level: float) -> int:
    """Seeds without which no sign-flip p can fall to the level, after Holm's correction.

    Args:
        comparisons: How many effects are tested, at least 1.
        level: Such as 0.05.

    Returns:
        The smallest n with `comparisons` · 2^(1 - n) <= `level`.
    """
    return ceil(1 + log2(comparisons / level) - 1e-9)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusts p values of several tests so that one false alarm among all is as rare as claimed.

    The i-th smallest of m is multiplied by m - i + 1, and none becomes smaller than one before it
    (Holm, 1979). This holds however the tests depend on each other.

    Args:
        p_values: The p of each test.

    Returns:
        The adjusted p of each, at most 1, in the given order.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda i: p_values[i])
    adjusted, largest = [1.0] * count, 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (count - place) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def crossed_p(values: ArrayLike) -> float:
    """Two-sided p that a mean over seeds and episodes is 0, by the crossed t.

    Args:
        values: Shape (seeds, episodes), at least 2 of each.

    Returns:
        p; 1 if all values are 0.

    Raises:
        ValueError: If there are fewer than 2 seeds or 2 episodes, or a value is not finite.
    """
    low, high = _one_sided(values, 0.0)
    return min(1.0, 2 * min(low, high))


def equivalence_p(values: ArrayLike, margin: float) -> float:
    """P of the two one-sided tests that a mean is not within a margin (Schuirmann, 1987).

    The larger p of the tests of mean <= -margin and of mean >= margin, both by the crossed t. At
    most 0.05 means that the 90 % t interval lies within ±margin.

    Args:
        values: Shape (seeds, episodes), at least 2 of each.
        margin: The largest effect that would not matter, above 0.

    Returns:
        p; small if the effect is practically none.

    Raises:
        ValueError: If `margin` is not above 0, or the values are refused by `crossed_mean`.
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin}")
    not_above_low, _ = _one_sided(values, -margin)
    _, not_below_high = _one_sided(values, margin)
    return max(not_above_low, not_below_high)


def _one_sided(values: ArrayLike, null: float) -> tuple[float, float]:
    """P of mean <= null and of mean >= null."""
    mean = crossed_mean(values)
    distance, error = float(mean.value) - null, float(np.sqrt(mean.variance))
    if error == 0.0:
        return (1.0 if distance <= 0 else 0.0), (1.0 if distance >= 0 else 0.0)
    t, degrees = distance / error, float(mean.degrees)
    return float(special.stdtr(degrees, -t)), float(special.stdtr(degrees, t))


def _all_sums(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (2^n,): the sums under all choices of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate((sums - size, sums + size))
    return sums
