"""Where an agent succeeds: its evaluation episodes by the region that their goals lie in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from eval.statistics import Estimate, wilson_interval

AXES = "xyz"
FEWEST_GOALS = 40


@dataclass(frozen=True)
class Region:
    """Success in a quarter of the goals.

    Attributes:
        where: The region in words, such as `"x < 0.02, y >= -0.01"`, in metres.
        goals: How many goals lie there.
        success: Success rate there, with a 95 % Wilson interval.
        p_worse: One-sided p that it is no lower than elsewhere (Fisher, corrected for the regions).
    """

    where: str
    goals: int
    success: Estimate
    p_worse: float


def goal_regions(goals: NDArray[np.float64], success: NDArray[np.float64]) -> tuple[Region, ...]:
    """Splits goals at the medians of the two coordinates that vary most.

    Args:
        goals: Shape (episodes, entries).
        success: 1 or 0, shape (episodes,).

    Returns:
        Up to four regions; none of fewer than 40 goals, or if they do not vary.
    """
    spread = goals[:, : len(AXES)].std(0)
    chosen = sorted(axis for axis in np.argsort(-spread)[:2].tolist() if spread[axis] > 1e-9)
    if len(goals) < FEWEST_GOALS or not chosen:
        return ()
    cuts = np.median(goals[:, chosen], axis=0)
    above = goals[:, chosen] >= cuts
    found = []
    for side in np.unique(above, axis=0):
        inside = (above == side).all(1)
        here, there = success[inside], success[~inside]
        where = ", ".join(
            f"{AXES[axis]} {'>=' if up else '<'} {cut:.3g}"
            for axis, up, cut in zip(chosen, side, cuts, strict=True)
        )
        table = [[int(part.sum()), int(len(part) - part.sum())] for part in (here, there)]
        p = float(scipy.stats.fisher_exact(table, "less").pvalue)
        found.append(
            Region(where, len(here), wilson_interval(int(here.sum()), len(here)), min(1.0, 4 * p))
        )
    return tuple(found)
