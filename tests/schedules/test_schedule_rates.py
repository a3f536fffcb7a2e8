import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import ConstantSchedule, PiecewiseConstantSchedule, StaircaseSchedule
from schedules.registry import SCHEDULES
from tests.schedules.schedule_strategies import any_schedule, staircases

STAIRCASE = {"initial_learning_rate": 1e-3, "decay_steps": 100, "decay_rate": 0.5}


@given(staircases(), st.integers(0, 500))
def test_the_staircase_decays_after_the_constant_steps_and_then_every_decay_steps(schedule, step):
    first = schedule.constant_steps or schedule.decay_steps
    decays = 0
    while first + decays * schedule.decay_steps <= step:
        decays += 1
    decayed = schedule.initial_learning_rate * schedule.decay_rate**decays
    assert schedule(step) == max(schedule.minimum_learning_rate, decayed)


@given(staircases(), st.integers(0, 10**10), st.integers(0, 10**10))
def test_the_staircase_never_rises_and_stays_between_floor_and_initial(schedule, step, later_by):
    rate, later = schedule(step), schedule(step + later_by)
    assert schedule.initial_learning_rate >= rate >= later >= schedule.minimum_learning_rate


# Where a decay is less than the spacing of floats, a careless power would rise now and then.
@given(st.integers(1, 50), st.integers(0, 10**18))
def test_the_staircase_never_rises_at_the_slowest_decay(units, step):
    schedule = StaircaseSchedule(1.0, decay_steps=1, decay_rate=1.0 - units * 2.0**-53)
    rates = [schedule(step + i) for i in range(20)]
    assert rates == sorted(rates, reverse=True)


def test_the_boundary_step_has_the_new_rate():
    schedule = StaircaseSchedule(**STAIRCASE, constant_steps=250)
    steps = (0, 249, 250, 349, 350)
    assert [schedule(step) for step in steps] == [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]
    piecewise = PiecewiseConstantSchedule((250, 350), (1e-3, 5e-4, 2.5e-4))
    assert [piecewise(step) for step in steps] == [schedule(step) for step in steps]


def test_constant_is_constant():
    assert {ConstantSchedule(3e-4)(step) for step in (0, 1, 10**15)} == {3e-4}


@given(any_schedule(), st.integers(0, 300))
def test_numpy_steps_are_welcome_and_rates_are_plain_floats(schedule, step):
    assert schedule(np.int64(step)) == schedule(np.uint16(step)) == schedule(step)
    assert type(schedule(np.int64(step))) is float


@pytest.mark.parametrize("schedule_class", [ConstantSchedule, StaircaseSchedule, "piecewise"])
@pytest.mark.parametrize("step", [-1, np.int64(-1), 3.0, True, np.bool_(False), None, "3"])
def test_a_bad_step_is_refused(schedule_class, step):
    schedule = {
        ConstantSchedule: ConstantSchedule(1e-3),
        StaircaseSchedule: StaircaseSchedule(**STAIRCASE),
        "piecewise": PiecewiseConstantSchedule((5,), (1e-3, 1e-4)),
    }[schedule_class]
    with pytest.raises(ValueError, match="step must be an integer >= 0, got"):
        schedule(step)


NOT_RATES = [0.0, -1e-3, math.nan, math.inf, -math.inf, True, None, "0.001", 10**400, 1j]


@pytest.mark.parametrize("value", NOT_RATES)
def test_a_bad_rate_is_refused(value):
    with pytest.raises(ValueError, match=r"^learning_rate must be a .*finite number, got"):
        ConstantSchedule(value)
    with pytest.raises(ValueError, match=r"initial_learning_rate must be a .*finite number, got"):
        StaircaseSchedule(**STAIRCASE | {"initial_learning_rate": value})
    with pytest.raises(ValueError, match=r"values\[1\] must be a .*finite number, got"):
        PiecewiseConstantSchedule((10,), (1e-3, value))


@pytest.mark.parametrize("value", [0.0, -0.5, 1.0000001, math.nan, math.inf, True, None, "0.5"])
def test_a_bad_decay_rate_is_refused(value):
    with pytest.raises(ValueError, match=r"decay_rate must be .*, got"):
        StaircaseSchedule(**STAIRCASE | {"decay_rate": value})


@pytest.mark.parametrize("name", ["decay_steps", "constant_steps"])
@pytest.mark.parametrize("value", [0, -5, 3.0, True, "10", math.nan, np.float64(10)])
def test_bad_lengths_of_phases_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an integer >= 1, got"):
        StaircaseSchedule(**STAIRCASE | {name: value})


def test_decay_steps_are_required_to_be_a_number():
    with pytest.raises(ValueError, match="decay_steps must be an integer >= 1, got None"):
        StaircaseSchedule(**STAIRCASE | {"decay_steps": None})


@pytest.mark.parametrize("value", [-1e-9, 1.1e-3, math.nan, math.inf, False, None])
def test_a_bad_minimum_is_refused(value):
    with pytest.raises(ValueError, match=r"minimum_learning_rate must be .*, got"):
        StaircaseSchedule(**STAIRCASE, minimum_learning_rate=value)


@pytest.mark.parametrize(
    ("boundaries", "values", "message"),
    [
        ((20, 10), (3, 2, 1), r"boundaries must be strictly increasing, got \(20, 10\)"),
        ((10, 10), (3, 2, 1), r"boundaries must be strictly increasing, got \(10, 10\)"),
        ((0, 10), (3, 2, 1), r"boundaries\[0\] must be an integer >= 1, got 0"),
        ((-5,), (2, 1), r"boundaries\[0\] must be an integer >= 1, got -5"),
        ((10.0,), (2, 1), r"boundaries\[0\] must be an integer >= 1, got 10.0"),
        ((True,), (2, 1), r"boundaries\[0\] must be an integer >= 1, got True"),
        ((10,), (1,), r"values must have .* \(2\), got 1"),
        ((10,), (3, 2, 1), r"values must have .* \(2\), got 3"),
        ((), (), r"values must have .* \(1\), got 0"),
        (10, (2, 1), "boundaries must be a sequence of numbers, got 10"),
        ({10}, (2, 1), r"boundaries must be a sequence of numbers, got \{10\}"),
        ("10", (2, 1), "boundaries must be a sequence of numbers, got '10'"),
        (np.array(10), (2, 1), "boundaries must be a sequence of numbers, got array"),
        ((10,), None, "values must be a sequence of numbers, got None"),
    ],
)
def test_bad_pieces_are_refused(boundaries, values, message):
    with pytest.raises(ValueError, match=message):
        PiecewiseConstantSchedule(boundaries, values)


@given(any_schedule())
def test_repr_tells_every_argument_and_rebuilds_the_schedule(schedule):
    assert eval(repr(schedule), {kind.__name__: kind for kind in SCHEDULES}) == schedule


@given(any_schedule())
def test_schedules_are_frozen_hashable_and_pickle(schedule):
    same = pickle.loads(pickle.dumps(schedule))
    assert same == schedule
    assert hash(same) == hash(schedule)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, dataclasses.fields(schedule)[0].name, 1)


def test_lists_and_arrays_make_the_same_hashable_pieces():
    by_tuples = PiecewiseConstantSchedule((10, 20), (3.0, 2.0, 1.0))
    by_lists = PiecewiseConstantSchedule([10, 20], [3, 2, 1])
    by_arrays = PiecewiseConstantSchedule(np.array([10, 20]), np.array([3.0, 2.0, 1.0]))
    assert len({by_tuples, by_lists, by_arrays}) == 1
