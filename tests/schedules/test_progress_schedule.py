import dataclasses
import math
import pickle

import cloudpickle
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedules import ConstantSchedule, ProgressSchedule, StaircaseSchedule
from tests.schedules.schedule_strategies import StepSchedule, any_schedule, staircases

TOTALS = st.integers(1, 10**10) | st.integers(10**10 - 1000, 10**10)


def sb3_progress_remaining(num_timesteps, total):
    return 1.0 - float(num_timesteps) / float(total)


@given(TOTALS, st.data())
def test_the_step_is_recovered_exactly(total, data):
    step = data.draw(st.integers(0, total - 1), label="step")
    asked_at = ProgressSchedule(StepSchedule(), total)
    for near in (step, step + 1, total // 2 - 1, total // 2, total // 2 + 1, 1, total - 2):
        if 0 <= near < total:
            assert asked_at(sb3_progress_remaining(near, total)) == near


def test_the_step_is_recovered_at_every_step_of_a_training():
    for total in (1, 2, 3, 7, 999, 1000, 1024, 12_345):
        asked_at = ProgressSchedule(StepSchedule(), total)
        recovered = [asked_at(sb3_progress_remaining(step, total)) for step in range(total)]
        assert recovered == list(range(total))


def test_a_hundred_thousand_steps_of_the_longest_training_are_recovered():
    total = 10**10
    steps = np.random.default_rng(0).integers(0, total, 100_000).tolist()
    asked_at = ProgressSchedule(StepSchedule(), total)
    assert [asked_at(sb3_progress_remaining(step, total)) for step in steps] == steps


@given(staircases(max_steps=10**8), TOTALS)
@example(StaircaseSchedule(1e-3, decay_steps=10**7, decay_rate=0.9), 10**10)
def test_no_boundary_moves_by_a_step(schedule, total):
    total = min(total, 1000 * schedule.decay_steps)
    rate = ProgressSchedule(schedule, total)
    for phase in schedule.phases(total):
        for step in (phase.start, phase.stop - 1):
            assert rate(sb3_progress_remaining(step, total)) == phase.learning_rate


@given(TOTALS, st.data())
def test_the_total_of_one_learn_call_may_be_a_part_of_the_run(total, data):
    part = data.draw(st.integers(1, total), label="progress_total")
    # SB3 overshoots the part by less than one rollout.
    step = data.draw(st.integers(0, min(total - 1, part + 10**6)), label="step")
    asked_at = ProgressSchedule(StepSchedule(), total, progress_total=part)
    assert asked_at(sb3_progress_remaining(step, part)) == step


@given(any_schedule(), st.integers(1, 400), st.data())
def test_from_the_total_on_the_last_planned_phase_holds(schedule, total, data):
    part = data.draw(st.integers(1, total), label="progress_total")
    rate = ProgressSchedule(schedule, total, progress_total=part)
    last = schedule.phases(total)[-1].learning_rate
    for step in (total, total + 1, 2 * total, 1000 * total, 10**14, 10**18):
        assert rate(sb3_progress_remaining(step, part)) == last


def test_the_final_update_does_not_fall_into_a_phase_never_planned():
    rate = ProgressSchedule(StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5), 200)
    assert rate(0.0) == 5e-4


def test_progress_may_be_an_integer_or_a_numpy_float():
    rate = ProgressSchedule(StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5), 200)
    assert rate(1) == 1e-3
    assert rate(np.float64(0.25)) == 5e-4


@pytest.mark.parametrize("progress", [1.0000001, 2, math.nan, math.inf, -math.inf, None, "1", True])
def test_bad_progress_is_refused(progress):
    with pytest.raises(ValueError, match=r"progress_remaining must be .*, got"):
        ProgressSchedule(ConstantSchedule(1e-3), 100)(progress)


@pytest.mark.parametrize("total", [0, -1, 100.0, True, None, math.nan, 10**10 + 1])
def test_a_bad_total_is_refused(total):
    with pytest.raises(ValueError, match=r"total_timesteps must be .*, got"):
        ProgressSchedule(ConstantSchedule(1e-3), total)


@pytest.mark.parametrize("progress_total", [0, -1, 50.0, True, 101])
def test_a_bad_progress_total_is_refused(progress_total):
    with pytest.raises(ValueError, match=r"progress_total must be .*, got"):
        ProgressSchedule(ConstantSchedule(1e-3), 100, progress_total=progress_total)


@pytest.mark.parametrize("schedule", [1e-3, None, lambda step: 1e-3])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(ValueError, match="schedule must be a Schedule, got"):
        ProgressSchedule(schedule, 100)


def test_it_is_a_frozen_value_with_a_telling_repr():
    schedule = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5)
    rate = ProgressSchedule(schedule, np.int64(200), progress_total=np.int64(100))
    assert (
        repr(rate)
        == f"ProgressSchedule(schedule={schedule!r}, total_timesteps=200, progress_total=100)"
    )
    assert hash(rate) == hash(ProgressSchedule(schedule, 200, 100))
    with pytest.raises(dataclasses.FrozenInstanceError):
        rate.total_timesteps = 300


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@given(schedule=any_schedule())
def test_it_pickles(pickler, schedule):
    rate = ProgressSchedule(schedule, 1000, progress_total=500)
    same = pickle.loads(pickler.dumps(rate))
    assert same == rate
    assert [same(p / 10) for p in range(11)] == [rate(p / 10) for p in range(11)]
