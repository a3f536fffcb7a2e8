"""Probability of improvement and performance profiles, against formulas written otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from eval.profiles import performance_profile, probability_of_improvement

scores = arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 3)),
    elements=st.integers(0, 10).map(lambda i: i / 10),
)


def arm(seed, seeds=8, tasks=3, shift=0.0):
    return np.random.default_rng(seed).integers(0, 20, size=(seeds, tasks)) / 20 + shift


def test_probability_of_improvement_is_mann_whitneys_u():
    ours, theirs = arm(0), arm(1, shift=0.1)
    by_task = [
        stats.mannwhitneyu(ours[:, task], theirs[:, task]).statistic / 64 for task in range(3)
    ]
    assert probability_of_improvement(ours, theirs).value == pytest.approx(np.mean(by_task))


@settings(max_examples=25)
@given(scores)
def test_an_arm_against_itself_and_against_the_other(ours):
    assert probability_of_improvement(ours, ours).value == 0.5
    theirs = ours[::-1] ** 2
    there, back = probability_of_improvement(ours, theirs), probability_of_improvement(theirs, ours)
    assert there.value + back.value == pytest.approx(1)
    assert there.low + back.high == pytest.approx(1)
    assert 0 <= there.low <= there.value <= there.high <= 1
    assert probability_of_improvement(ours + 2, ours).low == 1


def test_seeds_are_drawn_jointly():
    """Seeds that are good in both arms then say nothing against the arm that gains with each."""
    seeds = np.linspace(0, 1, 12)[:, np.newaxis]
    paired = probability_of_improvement(seeds + 0.01, seeds)
    shuffled = probability_of_improvement(np.random.default_rng(0).permutation(seeds + 0.01), seeds)
    assert paired.value == shuffled.value
    assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)


def test_a_profile_is_the_survival_function_of_the_scores():
    ours = arm(2)
    thresholds = np.linspace(0, 1, 11)
    profile = performance_profile(ours, thresholds)
    survival = stats.ecdf(ours.ravel()).sf.evaluate(thresholds)
    assert profile.share == pytest.approx(survival)
    assert np.all(np.diff(profile.share) <= 0)
    assert np.all((profile.low <= profile.share) & (profile.share <= profile.high))


@settings(max_examples=25)
@given(scores, st.randoms())
def test_a_profile_does_not_depend_on_the_order_of_tasks_or_thresholds(ours, random):
    thresholds = [0.0, 0.3, 0.9]
    first = performance_profile(ours, thresholds)
    second = performance_profile(ours[:, ::-1], random.sample(thresholds, 3))
    for name in ("thresholds", "share", "low", "high"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_what_has_no_profile_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        performance_profile(arm(0), [])
    with pytest.raises(ValueError, match="shape"):
        performance_profile([1.0, 2.0], [0.5])
    with pytest.raises(ValueError, match="same shape"):
        probability_of_improvement(arm(0), arm(1, seeds=7))
