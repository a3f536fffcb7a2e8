"""Tests over seeds: against SciPy's, and their laws."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eval.significance import (
    crossed_p,
    equivalence_p,
    holm,
    seeds_for_sign_flips,
    sign_flip_p,
    smallest_sign_flip_p,
)

effects = st.lists(st.integers(-20, 20).map(lambda i: i / 8), min_size=1, max_size=9)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(effects)
def test_sign_flips_are_those_of_all_choices_by_hand(values):
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    assert sign_flip_p(values) == sum(s >= abs(sum(values)) for s in sums) / len(sums)


def test_sign_flips_are_those_of_scipys_permutation_test():
    values = np.random.default_rng(0).normal(0.4, 1.0, size=9)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(values) == expected.pvalue


def test_many_seeds_are_drawn_and_agree_with_the_exact_p():
    values = np.random.default_rng(1).normal(0.5, 1.0, size=17)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(values) == pytest.approx(expected.pvalue, abs=0.004)
    assert sign_flip_p(values) == sign_flip_p(values)
    assert sign_flip_p(np.full(40, 1.0)) > 0


@given(effects, st.integers(1, 50), st.randoms())
def test_unit_direction_and_order_do_not_matter(values, scale, random):
    shuffled = random.sample(values, len(values))
    expected = sign_flip_p(values)
    assert sign_flip_p(shuffled) == expected
    assert sign_flip_p([-v for v in values]) == expected
    assert sign_flip_p([scale * v for v in values]) == expected
    assert smallest_sign_flip_p(len(values)) <= expected <= 1


def test_six_seeds_are_needed_and_more_for_several_effects():
    assert sign_flip_p([1.0] * 6) == smallest_sign_flip_p(6) == 0.03125
    assert sign_flip_p([1.0] * 5) == 0.0625
    assert [seeds_for_sign_flips(k, 0.05) for k in (1, 2, 3, 4)] == [6, 7, 7, 8]
    assert [seeds_for_sign_flips(k, 1 / 16) for k in (1, 2, 4)] == [5, 6, 7]


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.6]) == (1.0, 1.0)


@given(p_values)
def test_holm_keeps_the_order_and_lies_between_nothing_and_bonferroni(values):
    adjusted = holm(values)
    for first, second in itertools.permutations(range(len(values)), 2):
        if values[first] < values[second]:
            assert adjusted[first] <= adjusted[second]
    for before, after in zip(values, adjusted, strict=True):
        assert before <= after <= min(1.0, len(values) * before) + 1e-12


@given(p_values, st.data())
def test_a_larger_p_never_makes_an_adjusted_one_smaller(values, data):
    index = data.draw(st.integers(0, len(values) - 1))
    raised = list(values)
    raised[index] = data.draw(st.floats(raised[index], 1))
    assert all(a <= b for a, b in zip(holm(values), holm(raised), strict=True))


@given(p_values, st.randoms())
def test_holm_does_not_depend_on_the_order(values, random):
    order = random.sample(range(len(values)), len(values))
    shuffled = holm([values[index] for index in order])
    assert shuffled == tuple(holm(values)[index] for index in order)


def repeated(seeds):
    """Effects that are the same in each episode: then only the seeds count."""
    return np.repeat(np.asarray(seeds)[:, np.newaxis], 5, axis=1)


def test_crossed_p_and_equivalence_are_t_tests_where_only_seeds_vary():
    seeds = np.array([0.1, -0.2, 0.15, 0.05, 0.3, -0.1])
    assert crossed_p(repeated(seeds)) == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue)
    above = stats.ttest_1samp(seeds, -0.25, alternative="greater").pvalue
    below = stats.ttest_1samp(seeds, 0.25, alternative="less").pvalue
    assert equivalence_p(repeated(seeds), 0.25) == pytest.approx(max(above, below))


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=7), st.floats(0.1, 5))
def test_equivalence_is_symmetric_and_easier_with_a_wider_margin(seeds, margin):
    values = repeated(np.array(seeds, dtype=float))
    p = equivalence_p(values, margin)
    assert 0 <= p <= 1
    assert equivalence_p(-values, margin) == pytest.approx(p, abs=1e-12)
    assert equivalence_p(values, 2 * margin) <= p + 1e-12


def test_effects_without_spread_are_decided_by_their_value():
    assert equivalence_p(np.zeros((3, 4)), 0.1) == 0
    assert equivalence_p(np.full((3, 4), 0.25), 0.25) == 1
    assert crossed_p(np.zeros((3, 4))) == 1
    assert crossed_p(np.full((3, 4), 0.25)) == 0


@pytest.mark.parametrize("values", [[], [[1.0]], [np.nan]])
def test_effects_without_a_p_are_refused(values):
    with pytest.raises(ValueError, match="seeds"):
        sign_flip_p(values)


@pytest.mark.parametrize("margin", [0.0, -1.0, np.nan])
def test_a_margin_must_be_above_zero(margin):
    with pytest.raises(ValueError, match="margin must be above 0"):
        equivalence_p(np.zeros((3, 4)), margin)
