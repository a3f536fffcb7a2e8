"""Measures of networks and batches have the values that their definitions give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.learners.measures import (
    correlation,
    dormant_share,
    effective_rank,
    gradient_noise_scale,
    input_shape,
    mean_distance_to_nearest,
    unpredictable_share,
    weight_gain,
)


@given(rank=st.integers(1, 12), rows=st.sampled_from([10, 40]))
def test_effective_rank_of_equal_directions_is_their_number(rank, rows):
    rank = min(rank, rows)
    left, _ = torch.linalg.qr(torch.randn(rows, rank, generator=torch.Generator().manual_seed(0)))
    features = torch.zeros(rows, 16)
    features[:, :rank] = left
    assert effective_rank(features) == rank


def test_effective_rank_of_nothing_is_0():
    assert effective_rank(torch.zeros(5, 3)) == 0


def test_units_are_dormant_below_their_share_of_the_layers_mean():
    active, faint = torch.ones(8, 3), torch.full((8, 1), 0.01)
    assert dormant_share([torch.cat([active, faint], 1)]) == 0.25
    assert dormant_share([torch.zeros(8, 4)]) == 1
    # Of a picture's channels, each is a unit.
    assert dormant_share([torch.cat([torch.ones(8, 1, 2, 2), torch.zeros(8, 1, 2, 2)], 1)]) == 0.5


def test_weight_gain_is_how_much_a_layer_amplifies_independent_inputs():
    layers = [torch.nn.Linear(50, 400), torch.nn.Linear(400, 300)]
    weights = [p.detach() for layer in layers for p in layer.parameters()]
    assert weight_gain(weights) == pytest.approx(1 / np.sqrt(3), rel=0.05)
    inputs = torch.randn(2000, 50, generator=torch.Generator().manual_seed(0))
    amplified = float((inputs @ (9 * weights[0]).T).std())
    assert weight_gain([9 * weights[0], *weights[1:]]) == pytest.approx(amplified, rel=0.05)


def test_noise_scale_estimates_the_variance_over_the_squared_mean():
    generator = np.random.default_rng(0)
    scales = []
    for _ in range(200):
        examples = 1 + 2 * generator.standard_normal((64, 500))
        halves = [[torch.as_tensor(examples[k::2].mean(0))] for k in (0, 1)]
        scales.append(gradient_noise_scale(halves[0], halves[1], 64))
    assert np.median(scales) == pytest.approx(4, rel=0.05)


def test_noise_scale_is_infinite_where_halves_point_apart():
    one, other = [torch.tensor([1.0, 0.0])], [torch.tensor([-1.0, 0.0])]
    assert gradient_noise_scale(one, other, 8) == float("inf")


def test_what_is_linear_is_predictable_and_noise_is_not():
    generator = np.random.default_rng(0)
    actions = generator.uniform(-1, 1, (500, 2))
    truth = np.cumsum(0.03 * actions, axis=0)
    before, after = truth[:-1], truth[1:]
    taken = actions[1:]
    assert unpredictable_share(before, taken, after) < 1e-3
    spread = truth.std(0).max()
    for noise in (0.1, 1.0):  # As a share of the spread: at least its square is left unexplained.
        seen = truth + noise * spread * generator.standard_normal(truth.shape)
        least = noise**2 / (1 + noise**2)
        assert unpredictable_share(seen[:-1], taken, seen[1:]) > 0.9 * least
    assert np.isnan(unpredictable_share(before, taken, before))
    # What cannot be foreseen beside it, as the turns of a thing that is hit, is no noise on all.
    hit = np.concatenate([truth, generator.standard_normal((500, 8))], 1)
    assert unpredictable_share(hit[:-1], taken, hit[1:]) < 1e-3


def test_input_shape_tells_constant_clipped_and_large_entries():
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((1000, 4))
    inputs[:, 0], inputs[:, 1] = 3.0, 1000 * inputs[:, 1]
    constant, clipped, spread = input_shape(inputs, None)
    assert constant == 0.25
    assert np.isnan(clipped)
    assert spread == pytest.approx(3, abs=0.1)
    inputs[:, 3] *= 1e-5  # One that hardly varies is not what drowns the others.
    assert input_shape(inputs[:, [1, 2, 2, 3]], None)[2] == pytest.approx(3, abs=0.1)
    _, clipped, _ = input_shape(np.clip(inputs[:, 1:2], -5, 5), 5.0)
    assert clipped > 0.9


@given(shift=st.floats(0, 10))
def test_distance_to_the_nearest_is_that_of_a_shift(shift):
    points = np.array([[0.0, 0.0], [100.0, 0.0]])
    moved = points + np.array([0, shift])
    assert mean_distance_to_nearest(moved, points) == pytest.approx(shift)


def test_correlation_is_numpys_and_undefined_for_constants():
    generator = np.random.default_rng(0)
    one, other = generator.standard_normal((2, 50))
    assert correlation(one, one + other) == pytest.approx(np.corrcoef(one, one + other)[0, 1])
    assert np.isnan(correlation(one, np.ones(50)))
    assert np.isnan(correlation(one[:0], other[:0]))
