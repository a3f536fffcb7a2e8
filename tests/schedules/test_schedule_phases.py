import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import ConstantSchedule, Phase, PiecewiseConstantSchedule, StaircaseSchedule
from tests.schedules.schedule_strategies import any_schedule, staircases


@given(any_schedule(), st.integers(1, 300))
def test_phases_tile_the_training_and_hold_the_rate_of_every_step(schedule, total):
    phases = schedule.phases(total)
    assert phases[0].start == 0
    assert phases[-1].stop == total
    assert all(left.stop == right.start for left, right in pairwise(phases))
    assert [phase.index for phase in phases] == list(range(len(phases)))
    by_phases = [phase.learning_rate for phase in phases for _ in range(phase.start, phase.stop)]
    assert by_phases == [schedule(step) for step in range(total)]


@given(any_schedule(), st.integers(1, 300))
def test_phases_are_maximal(schedule, total):
    phases = schedule.phases(total)
    assert all(phase.start < phase.stop for phase in phases)
    assert all(left.learning_rate != right.learning_rate for left, right in pairwise(phases))


@given(staircases(max_steps=10**9), st.integers(1, 10**10))
def test_phases_of_long_trainings_agree_with_the_schedule_at_both_ends(schedule, total):
    if total // schedule.decay_steps > 2000:
        total = 2000 * schedule.decay_steps
    for phase in schedule.phases(total):
        assert schedule(phase.start) == schedule(phase.stop - 1) == phase.learning_rate
        assert phase.start == 0 or schedule(phase.start - 1) != phase.learning_rate


@given(any_schedule(), st.integers(1, 300), st.integers(1, 300))
def test_a_shorter_training_is_the_beginning_of_a_longer_one(schedule, total, longer_by):
    longer = schedule.phases(total + longer_by)
    expected = [
        dataclasses.replace(phase, stop=min(phase.stop, total))
        for phase in longer
        if phase.start < total
    ]
    assert list(schedule.phases(total)) == expected


def test_a_boundary_at_the_total_is_not_listed_and_one_step_before_it_is():
    staircase = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5)
    pieces = PiecewiseConstantSchedule((100, 200, 300), (1e-3, 1e-4, 1e-5, 1e-6))
    for schedule in (staircase, pieces):
        assert [phase.start for phase in schedule.phases(200)] == [0, 100]
        assert [(phase.start, phase.stop) for phase in schedule.phases(201)][-1] == (200, 201)


def test_the_floor_is_one_phase_and_long_trainings_stop_there():
    schedule = StaircaseSchedule(1.0, decay_steps=10, decay_rate=0.5, minimum_learning_rate=0.3)
    assert schedule.phases(10**18) == (
        Phase(0, 0, 10, 1.0),
        Phase(1, 10, 20, 0.5),
        Phase(2, 20, 10**18, 0.3),
    )


@pytest.mark.parametrize("total", [1, 10**10, 10**30])
def test_no_decay_is_one_phase(total):
    never = StaircaseSchedule(1e-3, decay_steps=1, decay_rate=1.0)
    at_the_floor = StaircaseSchedule(1e-3, 1, 0.5, minimum_learning_rate=1e-3)
    for schedule in (never, at_the_floor, ConstantSchedule(1e-3)):
        assert schedule.phases(total) == (Phase(0, 0, total, 1e-3),)


def test_underflow_ends_in_one_phase_of_rate_zero():
    phases = StaircaseSchedule(1.0, decay_steps=1, decay_rate=1e-100).phases(10**30)
    assert [phase.learning_rate for phase in phases] == [1.0, 1e-100, 1e-200, 1e-300, 0.0]
    assert phases[-1].stop == 10**30


def test_equal_neighbouring_values_are_one_phase():
    schedule = PiecewiseConstantSchedule((10, 20, 30), (1e-3, 1e-3, 1e-4, 1e-3))
    assert schedule.phases(40) == (
        Phase(0, 0, 20, 1e-3),
        Phase(1, 20, 30, 1e-4),
        Phase(2, 30, 40, 1e-3),
    )


def test_numpy_totals_give_plain_integers():
    phase = StaircaseSchedule(1e-3, 10, 0.5).phases(np.int64(15))[-1]
    assert [type(value) for value in dataclasses.astuple(phase)] == [int, int, int, float]


@pytest.mark.parametrize("total", [0, -1, 1.0, True, None, "100", np.float64(5), np.array(5)])
def test_a_bad_total_is_refused(total):
    with pytest.raises(ValueError, match="total_timesteps must be an integer >= 1, got"):
        StaircaseSchedule(1e-3, 10, 0.5).phases(total)


@given(any_schedule(), st.integers(1, 300))
def test_phases_survive_json(schedule, total):
    phases = schedule.phases(total)
    stored = json.dumps([dataclasses.asdict(phase) for phase in phases])
    assert tuple(Phase(**phase) for phase in json.loads(stored)) == phases


def test_a_phase_is_frozen_and_hashable():
    phase = Phase(0, 0, 10, 1e-3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        phase.stop = 20
    assert {phase, Phase(0, 0, 10, 1e-3)} == {phase}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", -1),
        ("index", 0.0),
        ("start", -1),
        ("start", True),
        ("stop", 4),
        ("stop", None),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", "0.001"),
    ],
)
def test_a_phase_refuses_what_is_none(name, value):
    arguments = {"index": 0, "start": 5, "stop": 10, "learning_rate": 1e-3} | {name: value}
    with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
        Phase(**arguments)
