"""Intervals for an effect over training seeds that all play the same evaluation episodes.

An effect has one value for each seed and episode. Seeds and episodes are both samples, and they are
*crossed*: each seed plays each episode. So the value of seed s in episode e is

    effect + a_s + b_e + c_se

with independent deviations of the seeds, of the episodes and of the pairs. An interval over the
episodes alone ignores a_s, and one over the seeds' means ignores b_e.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from eval.statistics import CONFIDENCE, Estimate

WEIGHTS = 1_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and episodes, and how far it may be off.

    Every attribute has the shape (...) of the stack it was computed from, but `seed_means`.

    Attributes:
        value: Mean over seeds and episodes.
        seed_means: Shape (..., seeds): mean over the episodes.
        seed_variance: Part of the mean's variance that is due to seeds and pairs; 0 or more.
        episode_variance: Part that is due to episodes; 0 or more.
        degrees: Satterthwaite's degrees of freedom of the whole variance.
    """

    value: Array
    seed_means: Array
    seed_variance: Array
    episode_variance: Array
    degrees: Array

    @property
    def variance(self) -> Array:
        """Variance of the mean."""
        return self.seed_variance + self.episode_variance


def crossed_mean(values: ArrayLike) -> CrossedMean:
    """Estimates a mean over seeds and episodes and its variance, by a two-way analysis of variance.

    With S seeds and E episodes, and the mean squares of seeds, episodes and rest, MS_s, MS_e and
    MS_r, the variance of the mean is (MS_s + MS_e - MS_r) / SE (Searle, Casella & McCulloch,
    *Variance Components*, 1992, chapter 4). MS_e - MS_r is taken as 0 where chance makes it
    negative, so the variance is never below MS_s / SE. Its degrees of freedom are
    Satterthwaite's (1946),

        (MS_s + MS_e - MS_r)² / (MS_s² / (S-1) + MS_e² / (E-1) + MS_r² / (S-1)(E-1))

    but at least the S - 1 with which the t of MS_s alone is exact where episodes do not differ.

    Args:
        values: Shape (..., seeds, episodes), at least 2 of each.

    Returns:
        The means of the stack.

    Raises:
        ValueError: If there are fewer than 2 seeds or 2 episodes, or a value is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim < 2:
        raise ValueError(f"values need the shape (seeds, episodes), got the shape {array.shape}")
    seeds, episodes = array.shape[-2:]
    if seeds < 2:
        raise ValueError(
            f"an interval over seeds needs at least 2, got {seeds}: one seed says nothing about "
            "other seeds, only about other episodes of its own"
        )
    if episodes < 2:
        raise ValueError(f"an interval needs at least 2 episodes, got {episodes}")
    if not np.all(np.isfinite(array)):
        raise ValueError("every value must be finite")
    value = array.mean(axis=(-2, -1))
    rows = array.mean(axis=-1) - value[..., np.newaxis]
    columns = array.mean(axis=-2) - value[..., np.newaxis]
    rest = array - value[..., np.newaxis, np.newaxis]
    rest = rest - rows[..., :, np.newaxis] - columns[..., np.newaxis, :]
    of_seeds = episodes * np.sum(rows**2, axis=-1) / (seeds - 1)
    of_episodes = seeds * np.sum(columns**2, axis=-1) / (episodes - 1)
    of_rest = np.sum(rest**2, axis=(-2, -1)) / ((seeds - 1) * (episodes - 1))
    excess = np.maximum(of_episodes - of_rest, 0.0)
    spread = (
        of_seeds**2 / (seeds - 1)
        + of_episodes**2 / (episodes - 1)
        + of_rest**2 / ((seeds - 1) * (episodes - 1))
    )
    degrees = np.divide(
        (of_seeds + excess) ** 2, spread, out=np.zeros_like(spread), where=spread > 0
    )
    degrees = np.maximum(degrees, seeds - 1)
    count = seeds * episodes
    return CrossedMean(
        value, rows + value[..., np.newaxis], of_seeds / count, excess / count, degrees
    )


def crossed_t_ends(mean: CrossedMean, confidence: float) -> tuple[Array, Array]:
    """Ends of the t interval: mean ± t · √variance.

    It covers what it says for normal seeds, and up to 5 points less for skewed ones.

    Args:
        mean: Means of shape (...).
        confidence: Such as 0.95.

    Returns:
        Low and high ends, each of shape (...).
    """
    half = special.stdtrit(mean.degrees, (1 + confidence) / 2) * np.sqrt(mean.variance)
    return mean.value - half, mean.value + half


def widened_ends(mean: CrossedMean, confidence: float) -> tuple[Array, Array]:
    """Ends of the t interval, moved outwards where skewed seeds demand it.

    Owen's beta bootstrap-t ("Better bootstrap t confidence intervals for the mean", 2025,
    arXiv:2508.10083) finds how asymmetric the studentised mean of seeds like these is: it draws
    weights from Beta(1/2, 3/2) and studentises their weighted means. On each side the farther of
    this end and of the seeds' own t is joined in quadrature with the episodes' part (Zou & Donner,
    2008), and the farther of the result and of the crossed t is taken. What comes of it is measured
    in `benchmarks/calibration.py`.

    Args:
        mean: Means of shape (...).
        confidence: Such as 0.95.

    Returns:
        Low and high ends, each of shape (...).
    """
    low, high = crossed_t_ends(mean, confidence)
    seeds = mean.seed_means.shape[-1]
    # Sorted, so that the order of the seeds does not matter.
    deviations = np.sort(mean.seed_means, axis=-1) - mean.value[..., np.newaxis]
    scale = np.sqrt(np.mean(deviations**2, axis=-1, keepdims=True))
    scaled = np.divide(deviations, scale, out=np.zeros_like(deviations), where=scale > 0)
    weights = _beta_weights(seeds)
    shifts = scaled @ weights.T
    spreads = np.sqrt(np.maximum(scaled**2 @ weights.T - shifts**2, 0.0))
    studentised = np.divide(shifts, spreads, out=np.zeros_like(shifts), where=spreads > 1e-9)
    alpha = (1 - confidence) / 2
    lower, upper = np.quantile(studentised, [alpha, 1 - alpha], axis=-1)
    # These are in units of the seeds' deviation, of which the mean's is a (√(seeds - 1))th.
    t = special.stdtrit(seeds - 1, 1 - alpha)
    upper, lower = (np.maximum(np.sqrt(seeds - 1) * q, t) for q in (upper, -lower))
    of_episodes = special.ndtri(1 - alpha) ** 2 * mean.episode_variance
    below = np.sqrt(upper**2 * mean.seed_variance + of_episodes)
    above = np.sqrt(lower**2 * mean.seed_variance + of_episodes)
    return np.minimum(low, mean.value - below), np.maximum(high, mean.value + above)


def crossed_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean over seeds and episodes with an interval for other seeds and other episodes.

    This is the t interval of the two-way variance, widened for skewed seeds.

    Args:
        values: Shape (seeds, episodes), at least 2 of each; an effect, or a return.
        confidence: Such as 0.95.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: If there are fewer than 2 seeds or 2 episodes, or a value is not finite.
    """
    mean = crossed_mean(np.atleast_2d(values)[np.newaxis])
    low, high = widened_ends(mean, confidence)
    return Estimate(float(mean.value[0]), float(low[0]), float(high[0]))


def unseen_share(seeds: int, confidence: float = CONFIDENCE) -> float:
    """Largest share of seeds that may show an outcome that none of these seeds showed.

    If a share q of all seeds did, n seeds would miss it with probability (1 - q)^n; this is the q
    at which that is 1 - `confidence` (the one-sided limit of Clopper & Pearson, 1934). No interval
    can know of an outcome that was not seen.

    Args:
        seeds: n >= 1.
        confidence: Such as 0.95.

    Returns:
        1 - (1 - confidence)^(1/n).
    """
    return float(1 - (1 - confidence) ** (1 / seeds))


@lru_cache(maxsize=32)
def _beta_weights(seeds: int) -> Array:
    """Shape (2 * WEIGHTS, seeds): weights that add up to 1, and the same ones mirrored.

    Mirrored, so that the interval of the negated values is the negated interval.
    """
    weights = np.random.default_rng(0).beta(0.5, 1.5, (WEIGHTS, seeds))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.concatenate((weights, weights[:, ::-1]))
