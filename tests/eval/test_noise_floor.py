"""Placebo forks: the spread of nothing, and what exceeds it."""

import numpy as np
import pytest

from eval.noise_floor import noise_floor, variance_removed_by_pairing


def forks(generator, seeds=6, replicates=2, episodes=30, luck=1.0):
    """Mean effects of placebo forks and of a decay that does nothing, as returns would give."""
    held = luck * generator.normal(size=(seeds, 1))
    others = luck * generator.normal(size=(seeds, replicates + 1))
    effects = np.repeat((others - held)[:, :, np.newaxis], episodes, axis=2)
    return effects[:, 0], effects[:, 1:]


def test_the_spread_is_that_of_the_difference_of_two_continuations():
    generator = np.random.default_rng(0)
    spreads = [noise_floor(*forks(generator, luck=3.0)).placebo_spread ** 2 for _ in range(2_000)]
    assert np.mean(spreads) == pytest.approx(2 * 3.0**2, rel=0.05)


def test_a_decay_that_does_nothing_exceeds_the_floor_in_few_studies():
    generator = np.random.default_rng(1)
    alarms = sum(noise_floor(*forks(generator)).exceeds for _ in range(2_000))
    assert 40 <= alarms <= 100  # 5 % are 100; the held branch counts on both sides


def test_a_large_effect_exceeds_it_on_either_side():
    decay, placebo = forks(np.random.default_rng(2))
    floor = noise_floor(decay, placebo).floor
    for effect in (1.1 * floor, -1.1 * floor):
        result = noise_floor(np.full_like(decay, effect), placebo)
        assert result.exceeds
        assert result.effect == pytest.approx(effect)
        assert result.floor == floor
    assert not noise_floor(np.full_like(decay, 0.9 * floor), placebo).exceeds


def test_shape_is_reported_and_unit_does_not_matter():
    decay, placebo = forks(np.random.default_rng(3), seeds=4, replicates=3)
    first, second = noise_floor(decay, placebo), noise_floor(-2 * decay, -2 * placebo)
    assert (first.seeds, first.replicates) == (4, 3)
    assert second.floor == pytest.approx(2 * first.floor)
    assert second.exceeds == first.exceeds


def test_placebos_that_change_nothing_leave_a_floor_of_zero():
    result = noise_floor(np.full((3, 5), 0.1), np.zeros((3, 2, 5)))
    assert (result.placebo_spread, result.floor, result.exceeds) == (0, 0, True)


@pytest.mark.parametrize(
    ("effects", "placebos", "complaint"),
    [
        (np.zeros((3, 5)), np.zeros((3, 5)), "shape"),
        (np.zeros((3, 5)), np.zeros((4, 2, 5)), "same seeds and episodes"),
        (np.zeros((3, 5)), np.zeros((3, 2, 4)), "same seeds and episodes"),
        (np.zeros((3, 5)), np.zeros((3, 0, 5)), "shape"),
        (np.full((3, 5), np.nan), np.zeros((3, 2, 5)), "finite"),
    ],
)
def test_what_has_no_floor_is_refused(effects, placebos, complaint):
    with pytest.raises(ValueError, match=complaint):
        noise_floor(effects, placebos)


def test_pairing_removes_what_both_agents_have_in_common():
    generator = np.random.default_rng(4)
    common = generator.normal(size=(40, 1)) + generator.normal(size=(1, 50))
    own = [0.3 * generator.normal(size=(40, 1)) for _ in range(2)]
    share = variance_removed_by_pairing(common + own[0], common + own[1])
    # Means: (1/40 + 1/50) in common, 0.09/40 of each agent's own.
    assert share == pytest.approx(1 - 0.09 / (0.09 + 40 * (1 / 40 + 1 / 50)), abs=0.03)
    strangers = [generator.normal(size=(200, 1)) + np.zeros((1, 5)) for _ in range(2)]
    assert abs(variance_removed_by_pairing(*strangers)) < 0.2
    assert variance_removed_by_pairing(common, common) == 1
    assert variance_removed_by_pairing(common, -common) == pytest.approx(-1)
    assert variance_removed_by_pairing(np.zeros((2, 2)), np.zeros((2, 2))) == 0


def test_pairs_need_equal_shapes():
    with pytest.raises(ValueError, match="equal shapes"):
        variance_removed_by_pairing(np.zeros((2, 3)), np.zeros((3, 2)))
