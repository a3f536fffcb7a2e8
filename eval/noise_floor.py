"""Placebo forks: how far two continuations of one snapshot part although nothing was changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from eval.crossed import crossed_mean
from eval.statistics import CONFIDENCE


@dataclass(frozen=True)
class NoiseFloor:
    """What an effect must exceed to be more than the luck of the generators.

    Attributes:
        placebo_spread: Standard deviation of one seed's effect if nothing is changed but the
            generators.
        floor: If the decay does nothing, the mean over as many seeds as there are stays within
            ±floor in at least 95 of 100 studies.
        effect: Mean decay effect over seeds and episodes.
        exceeds: Whether `effect` lies beyond the floor, on either side.
        seeds: How many seeds.
        replicates: Placebo forks of each seed.
    """

    placebo_spread: float
    floor: float
    effect: float
    exceeds: bool
    seeds: int
    replicates: int


def noise_floor(effects: ArrayLike, placebos: ArrayLike) -> NoiseFloor:
    """Compares a decay effect with the effects of placebo forks from the same snapshots.

    The held branch and its R placebo forks are R + 1 continuations of one snapshot that differ by
    luck alone. The variance between them, with R degrees of freedom a seed, is pooled over the
    seeds; an effect is the difference of two continuations and has twice that variance. So with S
    seeds and the variance v,

        placebo_spread = √(2 v),    floor = t(0.975; S R) · placebo_spread / √S

    All played the same episodes, so the floor is about these episodes. It asks whether the decay
    did anything at all to these seeds, and not, as the interval over seeds does, what it would do
    to others.

    Args:
        effects: Shape (seeds, episodes): decayed minus held.
        placebos: Shape (seeds, replicates, episodes): placebo minus held, from the same snapshots.

    Returns:
        The floor, and whether the effect exceeds it.

    Raises:
        ValueError: If the shapes do not fit, or a value is not finite.
    """
    decay, placebo = (np.asarray(array, dtype=np.float64) for array in (effects, placebos))
    if decay.ndim != 2 or placebo.ndim != 3 or decay.size == 0 or placebo.size == 0:
        raise ValueError(
            "effects need the shape (seeds, episodes) and placebos (seeds, replicates, episodes), "
            f"got {decay.shape} and {placebo.shape}"
        )
    seeds, replicates, _ = placebo.shape
    if decay.shape != (seeds, placebo.shape[2]):
        raise ValueError(
            f"placebos and effects must have the same seeds and episodes, got {placebo.shape} and "
            f"{decay.shape}"
        )
    if not (np.all(np.isfinite(decay)) and np.all(np.isfinite(placebo))):
        raise ValueError("every value must be finite")
    # The held branch itself is the continuation with the effect 0.
    continuations = np.concatenate((np.zeros((seeds, 1)), placebo.mean(axis=2)), axis=1)
    spread = float(np.sqrt(2 * np.var(continuations, axis=1, ddof=1).mean()))
    quantile = float(special.stdtrit(seeds * replicates, (1 + CONFIDENCE) / 2))
    floor, effect = quantile * spread / np.sqrt(seeds), float(decay.mean())
    return NoiseFloor(spread, float(floor), effect, bool(abs(effect) > floor), seeds, replicates)


def variance_removed_by_pairing(decayed: ArrayLike, held: ArrayLike) -> float:
    """Share of an effect's variance that is gone because both agents share seeds and episodes.

    1 - Var(decayed - held) / (Var(decayed) + Var(held)), each the crossed variance of the mean. 0
    means that pairing was of no use, 1 that only the effect is left, and less than 0 that it did
    harm, as it may where runs part at once and two agents have nothing in common any more.

    Args:
        decayed: Shape (seeds, episodes): returns of the decayed agents.
        held: Shape (seeds, episodes): returns of the held agents.

    Returns:
        The share, at most 1; 0 if neither has any variance.

    Raises:
        ValueError: If the shapes differ, or there are fewer than 2 seeds or episodes.
    """
    first, second = (np.asarray(array, dtype=np.float64) for array in (decayed, held))
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, got {first.shape} and {second.shape}")
    apart = float(crossed_mean(first).variance + crossed_mean(second).variance)
    return 1 - float(crossed_mean(first - second).variance) / apart if apart > 0 else 0.0
