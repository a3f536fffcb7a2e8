"""Means and intervals against independent implementations, and what every input must give."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, trim_mean
from scipy.stats import bootstrap as scipy_bootstrap

from eval.statistics import (
    EPISODES,
    RUNS,
    bootstrap,
    bootstrap_mean,
    interquartile_mean,
    paired_difference,
    pooled_interquartile_mean,
    pooled_mean,
    rolling_mean,
    wilson_interval,
)

numbers = st.floats(-1e6, 1e6)
samples = st.lists(numbers, min_size=1, max_size=12)


@given(samples)
def test_interquartile_mean_is_that_of_the_sorted_middle(values):
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    assert interquartile_mean(values) == pytest.approx(sum(middle) / len(middle), abs=1e-6)


def test_interquartile_mean_ignores_an_outlier():
    assert interquartile_mean([1, 2, 3, 1e9]) == 2.5


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_that_of_scipy(counts):
    successes, trials = counts
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(successes, trials)
    assert interval.value == successes / trials
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_wilson_interval_has_width_at_no_and_at_full_success():
    assert wilson_interval(0, 100).high > 0.03
    assert wilson_interval(100, 100).low < 0.97


@pytest.mark.parametrize("counts", [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="successes in"):
        wilson_interval(*counts)


def test_bootstrap_interval_is_that_of_resampling_by_hand():
    values = np.random.default_rng(1).exponential(size=60)
    draws = np.random.default_rng(2).choice(values, size=(20_000, 60)).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    estimate = bootstrap_mean(values)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.01)


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        estimate = bootstrap_mean(generator.normal(3.0, 2.0, size=50))
        covered += estimate.low <= 3.0 <= estimate.high
    # 95 % of 200 is 190, give or take 3; the percentile interval is known to be a little narrow.
    assert 178 <= covered <= 199


@given(samples)
def test_bootstrap_interval_holds_the_mean_and_stays_within_the_values(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = bootstrap_mean(values)
    assert estimate.low <= estimate.value <= estimate.high
    assert min(values) - 1e-6 <= estimate.low
    assert estimate.high <= max(values) + 1e-6
    assert estimate == bootstrap_mean(values)


@pytest.mark.parametrize("values", [[-0.1] * 7, [0.0], [1e300] * 3])
def test_equal_values_have_an_interval_without_width(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = bootstrap_mean(values)
    assert (estimate.low, estimate.value, estimate.high) == (values[0],) * 3


def test_intervals_of_one_run_stay_as_published():
    estimate = bootstrap_mean([i * i / 7 - 3 * i for i in range(20)])
    assert (estimate.low, estimate.high) == pytest.approx(
        (-12.785714285714285, -8.757142857142858), rel=1e-12
    )


def test_the_interval_of_one_run_is_scipys():
    values = np.random.default_rng(3).exponential(size=101)
    expected = scipy_bootstrap(
        (values,), np.mean, n_resamples=10_000, batch=1_000, method="percentile", rng=0
    ).confidence_interval
    estimate = bootstrap(values[np.newaxis], pooled_mean, [EPISODES])
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert bootstrap_mean(values) == estimate


@pytest.mark.parametrize("axes", [[RUNS], [EPISODES], [RUNS, EPISODES]])
def test_bootstrap_draws_each_axis_by_itself(axes):
    generator = np.random.default_rng(4)
    values = generator.normal(size=(6, 1)) + 2 * generator.normal(size=(1, 30))
    draws = np.empty(4_000)
    for i in range(len(draws)):
        resample = values
        for axis in axes:
            size = values.shape[axis]
            resample = np.take(resample, generator.integers(0, size, size), axis)
        draws[i] = resample.mean()
    estimate = bootstrap(values, pooled_mean, axes)
    assert (estimate.low, estimate.high) == pytest.approx(
        np.quantile(draws, [0.025, 0.975]), abs=0.08
    )


def test_the_interquartile_mean_has_an_interval_over_runs_and_episodes():
    values = np.random.default_rng(5).normal(size=(8, 40))
    values[0, 0] = 1e9  # an outlier, which moves the mean and not this
    estimate = bootstrap(values, pooled_interquartile_mean, [RUNS, EPISODES])
    assert estimate.value == pytest.approx(trim_mean(values, 0.25, axis=None))
    assert -0.5 < estimate.low < estimate.value < estimate.high < 0.5


@pytest.mark.parametrize("axes", [[], [2], [RUNS, RUNS], [-1]])
def test_axes_that_are_not_there_are_refused(axes):
    with pytest.raises(ValueError, match="axes must be"):
        bootstrap([[1.0, 2.0]], pooled_mean, axes)


@pytest.mark.parametrize("values", [[1.0, 2.0], [[]], [[np.nan, 1.0]]])
def test_values_that_are_no_runs_by_episodes_are_refused(values):
    with pytest.raises(ValueError, match=r"shape|finite"):
        bootstrap(values, pooled_mean, [EPISODES])


def test_paired_difference_sees_through_the_difficulty_of_the_episodes():
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0.0, 100.0, size=80)
    better = difficulty + 1.0 + generator.normal(0.0, 0.1, size=80)
    estimate = paired_difference(better, difficulty)
    assert 0.9 < estimate.low < estimate.value < estimate.high < 1.1
    assert paired_difference(difficulty, better).value == -estimate.value


@given(samples)
def test_an_agent_does_not_differ_from_itself(values):
    estimate = paired_difference(values, values)
    assert (estimate.low, estimate.value, estimate.high) == (0, 0, 0)


def test_pairs_need_equally_many_values():
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_difference([1, 2], [1, 2, 3])


@given(samples, st.integers(1, 15))
def test_rolling_mean_is_that_of_each_window(values, window):
    expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]
    assert rolling_mean(values, window) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, np.nan], [np.inf]])
@pytest.mark.parametrize(
    "statistic", [interquartile_mean, bootstrap_mean, lambda v: rolling_mean(v, 2)]
)
def test_values_without_a_mean_are_refused(statistic, values):
    with pytest.raises(ValueError, match=r"shape|finite"):
        statistic(values)


def test_a_window_holds_at_least_one_value():
    with pytest.raises(ValueError, match="window"):
        rolling_mean([1.0], 0)
