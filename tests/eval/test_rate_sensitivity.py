"""How much the initial rate matters: the rates like the best, and Adkins' sensitivity."""

import numpy as np
import pytest

from eval.crossed import crossed_interval
from eval.rate_sensitivity import hyperparameter_sensitivity, rate_sensitivity

RATES = [1e-2, 1e-4, 3e-4, 1e-3, 3e-3]


def scores(means, seeds=6, episodes=20, spread=0.02, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(1, seeds, 1)) + generator.normal(size=(1, 1, episodes))
    own = generator.normal(size=(len(means), seeds, episodes))
    return np.asarray(means)[:, None, None] + common + spread * own


def test_rates_like_the_best_are_found_whatever_all_share():
    result = rate_sensitivity(RATES, scores([0.0, 0.2, 0.9, 0.9, 0.5]))
    assert result.rates == (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    assert result.like_the_best == (3e-4, 1e-3)
    assert result.good_range == (3e-4, 1e-3)
    assert result.p_against_best[result.best] == 1


def test_scores_have_intervals_over_seeds_and_episodes():
    array = scores([0.0, 0.2, 0.9, 0.9, 0.5])
    result = rate_sensitivity(RATES, array)
    assert result.scores[0] == crossed_interval(array[1])
    assert result.scores[-1] == crossed_interval(array[0])


def test_the_good_range_stops_at_a_worse_rate():
    result = rate_sensitivity([1, 2, 3, 4], scores([0.9, 0.2, 0.9, 0.903]))
    assert result.like_the_best == (1, 3, 4)
    assert result.good_range == (3, 4)


def test_noise_makes_all_rates_alike():
    result = rate_sensitivity(RATES, scores([0.0, 0.0, 0.01, 0.0, 0.0], spread=5))
    assert result.good_range == (1e-4, 1e-2)


def test_the_order_of_rates_and_seeds_does_not_matter():
    array = scores([0.0, 0.2, 0.9, 0.88, 0.5])
    first = rate_sensitivity(RATES, array)
    second = rate_sensitivity(RATES[::-1], array[::-1, ::-1])
    assert second.rates == first.rates
    assert second.best == first.best
    assert second.p_against_best == pytest.approx(first.p_against_best)


@pytest.mark.parametrize(
    ("rates", "shape", "complaint"),
    [
        ([1.0, 2.0], (3, 4, 5), "scores need the shape"),
        ([1.0, 2.0], (2, 4), "scores need the shape"),
        ([1.0], (1, 4, 5), "at least 2 rates"),
        ([1.0, 1.0], (2, 4, 5), "all different"),
        ([1.0, 2.0], (2, 1, 5), "one seed says nothing"),
    ],
)
def test_what_has_no_sensitivity_is_refused(rates, shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        rate_sensitivity(rates, np.zeros(shape))


def test_sensitivity_is_the_loss_of_one_rate_for_all_tasks():
    # Two tasks that want opposite rates; without noise the percentiles are nearly the extremes.
    performance = np.repeat([[[0.0], [1.0]], [[1.0], [0.0]]], 40, axis=2)
    assert hyperparameter_sensitivity(performance).value == pytest.approx(0.5)


def test_sensitivity_is_that_of_the_formula():
    performance = np.random.default_rng(0).random((3, 4, 6))
    gammas = []
    for task in performance:
        low, high = np.percentile(task, [5, 95])
        gammas.append([(rate.mean() - low) / (high - low) for rate in task])
    tuned = sum(max(task) for task in gammas) / 3
    fixed = max(sum(task[rate] for task in gammas) / 3 for rate in range(4))
    estimate = hyperparameter_sensitivity(performance)
    assert estimate.value == pytest.approx(tuned - fixed)
    assert 0 <= estimate.low <= estimate.value <= estimate.high


def test_sensitivity_ignores_the_unit_of_each_task():
    performance = np.random.default_rng(1).random((2, 3, 5))
    scaled = performance * np.array([100.0, 1.0])[:, None, None] - 7.0
    assert hyperparameter_sensitivity(scaled).value == pytest.approx(
        hyperparameter_sensitivity(performance).value
    )


@pytest.mark.parametrize(
    ("performance", "complaint"),
    [
        (np.zeros((1, 3, 5)), "2 tasks or more"),
        (np.zeros((3, 5)), "shape"),
        (np.zeros((2, 3, 5)), "perform alike"),
    ],
)
def test_what_has_no_loss_is_refused(performance, complaint):
    with pytest.raises(ValueError, match=complaint):
        hyperparameter_sensitivity(performance)
