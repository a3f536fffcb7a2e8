"""Intervals over seeds and episodes: against a hand-made analysis of variance, and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from eval.crossed import (
    crossed_interval,
    crossed_mean,
    crossed_t_ends,
    unseen_share,
)
from eval.statistics import Estimate

effects = arrays(
    np.float64,
    st.tuples(st.integers(2, 7), st.integers(2, 6)),
    elements=st.integers(-50, 50).map(float),
)


def ends(estimate: Estimate):
    return np.array([estimate.low, estimate.value, estimate.high])


def close(estimate, expected, scale=1.0):
    return ends(estimate) == pytest.approx(np.asarray(expected), rel=1e-9, abs=1e-9 * scale)


def random_effects(seeds, episodes, generator, of_seed=1.0, of_episode=1.0, of_rest=3.0):
    return (
        of_seed * generator.normal(size=(seeds, 1))
        + of_episode * generator.normal(size=(1, episodes))
        + of_rest * generator.normal(size=(seeds, episodes))
    )


def test_variance_is_that_of_a_two_way_analysis_by_hand():
    values = np.array([[1.0, 4.0, 2.0], [3.0, 9.0, 3.0]])
    # Sums of squares about the means of rows (7/3, 5), columns (2, 6.5, 2.5) and all (11/3).
    of_seeds = 3 * 2 * (4 / 3) ** 2 / 1
    of_episodes = 2 * ((5 / 3) ** 2 + (17 / 6) ** 2 + (7 / 6) ** 2) / 2
    total = sum((v - 11 / 3) ** 2 for v in values.ravel())
    of_rest = (total - of_seeds - 2 * of_episodes) / 2
    mean = crossed_mean(values)
    combined = of_seeds + of_episodes - of_rest
    assert float(mean.variance) == pytest.approx(combined / 6)
    assert float(mean.degrees) == pytest.approx(
        max(1, combined**2 / (of_seeds**2 / 1 + of_episodes**2 / 2 + of_rest**2 / 2))
    )


def test_variance_is_right_on_average():
    generator = np.random.default_rng(0)
    values = np.array([random_effects(5, 20, generator, 1, 2, 3) for _ in range(4_000)])
    truth = 1 / 5 + 4 / 20 + 9 / 100
    assert crossed_mean(values).variance.mean() == pytest.approx(truth, rel=0.03)
    assert np.var(values.mean(axis=(1, 2))) == pytest.approx(truth, rel=0.06)


def test_without_episode_effects_it_is_the_t_interval_of_the_seeds():
    seeds = np.array([0.2, 0.5, -0.1, 0.4, 0.3, 0.6])
    values = np.repeat(seeds[:, np.newaxis], 10, axis=1)
    low, high = crossed_t_ends(crossed_mean(values), 0.95)
    expected = stats.ttest_1samp(seeds, 0).confidence_interval(0.95)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high))


def test_the_interval_is_never_narrower_than_the_t_interval():
    generator = np.random.default_rng(1)
    for _ in range(50):
        values = random_effects(6, 20, generator)
        low, high = crossed_t_ends(crossed_mean(values), 0.95)
        interval = crossed_interval(values)
        assert interval.low <= float(low) < float(high) <= interval.high


def test_the_interval_is_wider_on_the_side_of_the_long_tail():
    values = np.repeat(np.array([[0.0], [0.1], [0.2], [0.1], [0.0], [3.0]]), 4, axis=1)
    interval = crossed_interval(values)
    assert interval.high - interval.value > 1.5 * (interval.value - interval.low)


def test_the_long_side_is_the_beta_bootstrap_t_by_hand():
    seeds = np.array([0.0, 0.1, 0.2, 0.1, 0.0, 3.0])
    weights = np.random.default_rng(7).beta(0.5, 1.5, size=(200_000, 6))
    means = np.average(np.tile(seeds, (200_000, 1)), axis=1, weights=weights)
    deviations = np.sqrt(np.average((seeds - means[:, np.newaxis]) ** 2, axis=1, weights=weights))
    low = np.quantile((means - seeds.mean()) / deviations, 0.025)
    interval = crossed_interval(np.repeat(seeds[:, np.newaxis], 4, axis=1))
    assert interval.high == pytest.approx(seeds.mean() - low * seeds.std(), rel=0.1)


@pytest.mark.parametrize("seeds", [6, 10])
def test_the_interval_covers_an_effect_that_an_interval_over_episodes_misses(seeds):
    generator = np.random.default_rng(2)
    studies = [random_effects(seeds, 50, generator) for _ in range(300)]
    intervals = [crossed_interval(values) for values in studies]
    # 95 % of 300 is 285, give or take 4.
    assert sum(i.low <= 0 <= i.high for i in intervals) >= 273


@given(effects, st.integers(-30, 30), st.integers(1, 20))
def test_shifting_and_scaling_the_effects_does_so_to_the_interval(values, shift, scale):
    expected = shift + scale * ends(crossed_interval(values))
    assert close(crossed_interval(shift + scale * values), expected, 1e3)


@given(effects)
def test_the_interval_of_the_opposite_effects_is_the_opposite(values):
    assert close(crossed_interval(-values), -ends(crossed_interval(values))[::-1], 1e3)


@given(effects, st.randoms())
def test_the_order_of_seeds_and_episodes_does_not_matter(values, random):
    rows, columns = list(range(values.shape[0])), list(range(values.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = values[np.ix_(rows, columns)]
    assert close(crossed_interval(shuffled), ends(crossed_interval(values)), 1e3)


@given(effects)
def test_no_variance_is_negative_and_the_mean_is_inside(values):
    mean, interval = crossed_mean(values), crossed_interval(values)
    assert mean.seed_variance >= 0
    assert mean.episode_variance >= 0
    assert mean.degrees >= len(values) - 1
    assert interval.low <= interval.value <= interval.high
    assert interval.value == pytest.approx(values.mean(), abs=1e-9)


@given(effects)
def test_more_confidence_is_wider(values):
    narrow, wide = crossed_interval(values, 0.9), crossed_interval(values, 0.95)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize("value", [0.0, -0.1, 1e6])
def test_equal_effects_have_an_interval_without_width(value):
    interval = crossed_interval(np.full((6, 10), value))
    assert ends(interval) == pytest.approx(np.full(3, value))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([[1.0, 2.0]], "one seed says nothing about other seeds"),
        ([1.0, 2.0], "one seed says nothing"),
        ([[1.0], [2.0]], "at least 2 episodes"),
        ([[1.0, np.nan], [2.0, 3.0]], "finite"),
    ],
)
def test_what_has_no_interval_is_refused_in_one_line(values, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        crossed_interval(values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seeds", [1, 3, 6, 20])
def test_unseen_share_is_the_limit_of_clopper_and_pearson(seeds):
    limit = stats.binomtest(0, seeds, alternative="less").proportion_ci(0.95, method="exact")
    assert unseen_share(seeds) == pytest.approx(limit.high)
