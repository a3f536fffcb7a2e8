"""Success is told by where the goal lies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eval.goal_regions import goal_regions


@given(st.integers(0, 1000), st.integers(40, 120))
def test_every_goal_lies_in_one_region(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    goals, success = (
        generator.normal(size=(count, 3)),
        generator.integers(0, 2, count).astype(float),
    )
    regions = goal_regions(goals, success)
    assert len(regions) == 4
    assert sum(region.goals for region in regions) == count
    hits = sum(region.goals * region.success.value for region in regions)
    assert np.isclose(hits, success.sum())


def test_the_corner_that_is_never_reached_is_found() -> None:
    generator = np.random.default_rng(0)
    goals = generator.uniform(-0.15, 0.15, (100, 3)) * [1, 1, 0.2]
    success = (goals[:, :2] > 0).any(1).astype(float)
    regions = goal_regions(goals, success)
    worst = min(regions, key=lambda region: region.success.value)
    assert worst.where.startswith("x <")
    assert ", y <" in worst.where
    assert worst.p_worse < 1e-6
    assert all(region.p_worse > 0.01 for region in regions if region != worst)


def test_too_few_goals_or_equal_ones_have_no_regions() -> None:
    goals = np.random.default_rng(0).normal(size=(39, 3))
    assert goal_regions(goals, np.ones(39)) == ()
    assert goal_regions(np.ones((100, 3)), np.ones(100)) == ()
