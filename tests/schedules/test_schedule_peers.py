"""Value by value against torch, optax and Keras, at and around every boundary."""

import jax
import optax
import pytest
import torch

from schedules import PiecewiseConstantSchedule, StaircaseSchedule

# torch multiplies the rate by gamma again at each decay: a rounding of 2^-53 each.
TORCH_TOLERANCE = 1e-14
# optax and Keras compute in float32: the factor is off by up to 6e-8, its 60th power by 60 times
# that.
FLOAT32_TOLERANCE = 1e-5

STAIRCASES = [
    StaircaseSchedule(1e-3, decay_steps=7, decay_rate=0.5),
    StaircaseSchedule(3e-4, decay_steps=1, decay_rate=0.9),
    StaircaseSchedule(0.1, decay_steps=13, decay_rate=0.37),
]
PIECES = PiecewiseConstantSchedule((3, 10, 11, 40), (1e-3, 5e-4, 2.5e-4, 1e-4, 3e-5))
TOTAL = 60


def torch_rates(make_scheduler, initial):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=initial)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def assert_agree(schedule, peer_rates, tolerance):
    """`tolerance` is far below any decay here, so a boundary that is off by one step fails."""
    assert [schedule(step) for step in range(TOTAL)] == pytest.approx(peer_rates, rel=tolerance)


@pytest.mark.parametrize("schedule", STAIRCASES, ids=str)
def test_the_staircase_is_torch_step_lr(schedule):
    rates = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.StepLR(
            optimizer, step_size=schedule.decay_steps, gamma=schedule.decay_rate
        ),
        schedule.initial_learning_rate,
    )
    assert_agree(schedule, rates, TORCH_TOLERANCE)


def test_the_pieces_are_torch_multi_step_lr():
    schedule = PiecewiseConstantSchedule((3, 10, 11, 40), [1e-3 * 0.5**k for k in range(5)])
    rates = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(
            optimizer, milestones=[3, 10, 11, 40], gamma=0.5
        ),
        1e-3,
    )
    assert_agree(schedule, rates, TORCH_TOLERANCE)


def optax_rates(peer):
    return [float(rate) for rate in jax.vmap(peer)(jax.numpy.arange(TOTAL))]


@pytest.mark.parametrize("schedule", STAIRCASES, ids=str)
def test_the_staircase_is_optax_exponential_decay(schedule):
    peer = optax.exponential_decay(
        schedule.initial_learning_rate, schedule.decay_steps, schedule.decay_rate, staircase=True
    )
    assert_agree(schedule, optax_rates(peer), FLOAT32_TOLERANCE)


@pytest.mark.parametrize("constant_steps", [1, 20])
def test_constant_steps_and_floor_are_optax_transition_begin_and_end_value(constant_steps):
    schedule = StaircaseSchedule(
        1e-3, 7, 0.5, minimum_learning_rate=1e-4, constant_steps=7 + constant_steps
    )
    peer = optax.exponential_decay(
        1e-3, 7, 0.5, transition_begin=constant_steps, staircase=True, end_value=1e-4
    )
    assert_agree(schedule, optax_rates(peer), FLOAT32_TOLERANCE)


def test_the_pieces_are_optax_piecewise_constant():
    scales = {
        boundary: new / old
        for boundary, old, new in zip(
            PIECES.boundaries, PIECES.values[:-1], PIECES.values[1:], strict=True
        )
    }
    peer = optax.piecewise_constant_schedule(PIECES.values[0], scales)
    assert_agree(PIECES, optax_rates(peer), FLOAT32_TOLERANCE)


@pytest.fixture(scope="module")
def keras_schedules(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KERAS_BACKEND", "jax")
        environment.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        import keras
    return keras.optimizers.schedules


@pytest.mark.parametrize("schedule", STAIRCASES, ids=str)
def test_the_staircase_is_keras_exponential_decay(schedule, keras_schedules):
    peer = keras_schedules.ExponentialDecay(
        schedule.initial_learning_rate, schedule.decay_steps, schedule.decay_rate, staircase=True
    )
    assert_agree(schedule, [float(peer(step)) for step in range(TOTAL)], FLOAT32_TOLERANCE)


def test_keras_piecewise_constant_decay_switches_one_step_later(keras_schedules):
    peer = keras_schedules.PiecewiseConstantDecay(list(PIECES.boundaries), list(PIECES.values))
    rates = [float(peer(step)) for step in range(TOTAL)]
    later = PiecewiseConstantSchedule([b + 1 for b in PIECES.boundaries], PIECES.values)
    assert_agree(later, rates, FLOAT32_TOLERANCE)
    differ = [s for s in range(TOTAL) if PIECES(s) != pytest.approx(rates[s], rel=1e-6)]
    assert differ == list(PIECES.boundaries)
