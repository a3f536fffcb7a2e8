"""What is said of an effect: better, worse, equivalent, or undetermined."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.verdicts import judge, return_margin, seeds_to_decide


def effects(seeds, mean, spread=0.1, episodes=40, seed=0):
    generator = np.random.default_rng(seed)
    return mean + spread * (
        generator.normal(size=(seeds, 1)) + generator.normal(size=(seeds, episodes))
    )


def verdict(values, margin=0.05):
    (only,) = judge([values], margin)
    return only


def test_clear_effects_are_named():
    better, worse = verdict(effects(8, 0.5)), verdict(effects(8, -0.5))
    assert (better.word, worse.word) == ("better", "worse")
    assert better.sign_flip_p == better.adjusted_p == 2**-7
    assert (better.positive_seeds, worse.positive_seeds) == (8, 0)
    assert better.more_seeds is None
    assert better.sentence == "better; what none showed may befall up to 31 % of seeds"


def test_an_effect_that_is_practically_none_is_equivalent():
    none = verdict(effects(8, 0.0, spread=0.01))
    assert none.word == "equivalent"
    assert none.equivalence_p < 0.05


def test_a_wider_margin_makes_equivalent_what_was_undetermined():
    values = effects(8, 0.0, spread=0.1)
    assert verdict(values, margin=0.01).word == "undetermined"
    assert verdict(values, margin=1.0).word == "equivalent"


def test_undetermined_says_how_many_more_seeds():
    few = verdict(effects(6, 0.08, spread=0.15))
    assert few.word == "undetermined"
    assert few.sentence == f"undetermined: about {few.more_seeds} more seeds"
    noisier = verdict(effects(6, 0.08, spread=0.3))
    assert noisier.more_seeds > few.more_seeds


@pytest.mark.slow
def test_the_number_of_seeds_has_the_power_that_it_promises():
    values = effects(6, 0.1, spread=0.1)
    # Whitened, so that the sample's mean and variance are the population's.
    means = values.mean(axis=1)
    means = 0.1 + 0.15 * (means - means.mean()) / means.std(ddof=1)
    total = seeds_to_decide(np.repeat(means[:, np.newaxis], 30, axis=1), 1e-6)
    generator = np.random.default_rng(3)
    words = [
        verdict(np.repeat(0.1 + 0.15 * generator.normal(size=(total, 1)), 30, axis=1), 1e-6).word
        for _ in range(200)
    ]
    assert 0.72 <= words.count("better") / 200 <= 0.92


@pytest.mark.parametrize(("seeds", "share"), [(2, 78), (3, 63), (5, 45)])
def test_fewer_than_six_seeds_never_decide_and_say_what_they_can(seeds, share):
    few = verdict(effects(seeds, 0.5, spread=0.01))
    assert few.word == "undetermined"
    assert f"at least {6 - seeds}" in few.sentence
    assert f"{seeds} seeds cannot give a p below {2 ** (1 - seeds):.2g}" in few.sentence
    assert f"{seeds} of them gained; the mean is +0.5" in few.sentence
    assert f"up to {share} % of seeds" in few.sentence
    assert "\n" not in few.sentence


def test_few_seeds_are_not_called_equivalent_either():
    alike = verdict(effects(5, 0.0, spread=1e-4), margin=0.5)
    assert alike.equivalence_p < 0.05
    assert alike.word == "undetermined"


def test_one_seed_has_no_interval():
    one = verdict(effects(1, 0.5))
    assert (one.effect.low, one.effect.high) == (-math.inf, math.inf)
    assert one.word == "undetermined"
    assert "One seed gives no interval" in one.sentence
    assert one.more_seeds == 5


def test_effects_judged_together_need_more():
    clear = effects(6, 0.5, spread=0.01)
    assert verdict(clear).word == "better"
    first, second = judge([clear, effects(6, 0.0)], 0.05)
    assert first.word == "undetermined"
    assert first.adjusted_p == 2 * first.sign_flip_p
    assert "at least 1" in first.sentence
    assert second.word == "undetermined"


def test_where_seeds_do_not_help_it_says_so():
    # The episodes disagree, the seeds do not.
    episodes = np.random.default_rng(0).normal(size=20)
    values = np.repeat((episodes - episodes.mean() + 0.01)[np.newaxis], 6, axis=0)
    hopeless = verdict(values + effects(6, 0.0, 1e-4, 20) - 1e-2, margin=0.02)
    assert hopeless.word == "undetermined"
    assert hopeless.more_seeds is None
    assert "more episodes" in hopeless.sentence


@given(
    st.integers(1, 9), st.floats(-1, 1), st.floats(0.001, 1), st.integers(0, 99), st.floats(0.01, 1)
)
def test_the_opposite_effect_has_the_opposite_verdict(seeds, mean, spread, seed, margin):
    values = effects(seeds, mean, spread, episodes=5, seed=seed)
    there, back = verdict(values, margin), verdict(-values, margin)
    opposite = {"better": "worse", "worse": "better"}
    assert back.word == opposite.get(there.word, there.word)
    assert back.more_seeds == there.more_seeds
    small = ", but by less than the margin" if there.is_negligible else ""
    assert re.match(rf"(better|worse){small}; |equivalent; |undetermined: ", there.sentence)
    if there.is_negligible:
        assert there.effect.low > -margin
        assert there.effect.high < margin
    if there.word == "better":
        assert there.effect.low > 0
        assert there.adjusted_p <= 0.05


def test_unit_does_not_matter():
    values = effects(7, 0.2)
    assert verdict(values, 0.05).word == verdict(50 * values, 2.5).word
    assert verdict(values, 0.05).more_seeds == verdict(50 * values, 2.5).more_seeds


def test_a_margin_for_returns_is_a_twentieth_of_their_range():
    assert return_margin(np.linspace(-50, 0, 101)) == pytest.approx(0.05 * 45)
    with pytest.raises(ValueError, match="do not differ, so a margin must be given"):
        return_margin([-50.0] * 10)


@pytest.mark.parametrize(
    ("values", "margin", "complaint"),
    [
        ([], 0.05, "no effect"),
        ([[1.0, 2.0]], 0.05, "shape"),
        ([[[1.0], [2.0]]], 0.05, "shape"),
        ([np.zeros((6, 3))], 0.0, "margin must be above 0"),
        ([np.full((6, 3), np.nan)], 0.1, "finite"),
    ],
)
def test_what_cannot_be_judged_is_refused(values, margin, complaint):
    with pytest.raises(ValueError, match=complaint):
        judge(values, margin)
