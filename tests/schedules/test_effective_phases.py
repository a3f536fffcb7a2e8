import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import (
    ConstantSchedule,
    Phase,
    PiecewiseConstantSchedule,
    ProgressSchedule,
    StaircaseSchedule,
    effective_phases,
)
from tests.schedules.schedule_strategies import any_schedule


def simulated_updates(schedule, total, interval, learning_starts=0):
    """Steps and rates of all updates, by the loop of SB3: collect, then update, until total."""
    rate = ProgressSchedule(schedule, total)
    num_timesteps, updates = 0, []
    while num_timesteps < total:
        num_timesteps += interval
        if num_timesteps > learning_starts:
            updates.append((num_timesteps, rate(1.0 - float(num_timesteps) / float(total))))
    return updates


CASES = (
    any_schedule(),
    st.integers(1, 300),
    st.integers(1, 120),
    st.just(0) | st.integers(0, 400),
)


@given(*CASES)
def test_every_update_uses_the_phase_that_is_said_to_be_effective(
    schedule, total, interval, learning_starts
):
    effective = effective_phases(schedule.phases(total), interval, learning_starts + 1)
    for step, rate in simulated_updates(schedule, total, interval, learning_starts):
        started = [phase for phase in effective if phase.start <= step]
        assert started[-1].learning_rate == rate


@given(*CASES)
def test_exactly_the_phases_that_some_update_uses_are_listed(
    schedule, total, interval, learning_starts
):
    planned = schedule.phases(total)
    used = []
    for step, _ in simulated_updates(schedule, total, interval, learning_starts):
        clamped = min(step, total - 1)
        used += [phase.index for phase in planned if phase.start <= clamped < phase.stop]
    effective = effective_phases(planned, interval, learning_starts + 1)
    assert [phase.index for phase in effective] == sorted(set(used))


@given(*CASES)
def test_boundaries_move_to_the_next_update_and_the_last_stop_to_the_last_one(
    schedule, total, interval, learning_starts
):
    planned = schedule.phases(total)
    effective = effective_phases(planned, interval, learning_starts + 1)
    for phase in effective:
        next_update = next(
            n for n in range(0, total + interval, interval) if n >= planned[phase.index].start
        )
        assert phase.start == next_update
        assert phase.learning_rate == planned[phase.index].learning_rate
    updates = simulated_updates(schedule, total, interval, learning_starts)
    assert [phase.stop for phase in effective[-1:]] == [step for step, _ in updates[-1:]]
    assert [phase.start <= updates[0][0] for phase in effective[:1]] == [True] * bool(updates)
    for left, right in pairwise(effective):
        assert left.stop == right.start
        assert left.start < left.stop


@given(any_schedule(), st.integers(1, 300))
def test_an_update_at_every_step_changes_nothing_but_for_step_0(schedule, total):
    planned = schedule.phases(total)
    effective = effective_phases(planned, 1)
    if planned[0].stop == 1 and len(planned) > 1:
        planned = planned[1:]
    assert effective == planned


def test_a_constant_rate_phase_shorter_than_a_rollout_is_never_used():
    planned = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5, constant_steps=10).phases(
        250
    )
    assert effective_phases(planned, 64) == (
        Phase(1, 64, 128, 5e-4),
        Phase(2, 128, 256, 2.5e-4),
        Phase(3, 256, 256, 1.25e-4),
    )


def test_a_phase_between_two_updates_is_left_out_and_indices_stay():
    planned = PiecewiseConstantSchedule((70, 100), (1e-3, 1e-4, 1e-3)).phases(300)
    assert effective_phases(planned, 64) == (Phase(0, 0, 128, 1e-3), Phase(2, 128, 320, 1e-3))


def test_a_training_shorter_than_a_rollout_is_its_last_phase():
    planned = StaircaseSchedule(1e-3, decay_steps=10, decay_rate=0.5).phases(25)
    assert effective_phases(planned, 2048) == (Phase(2, 2048, 2048, 2.5e-4),)
    assert effective_phases(ConstantSchedule(1e-3).phases(25), 2048) == (Phase(0, 0, 2048, 1e-3),)


def test_phases_that_end_in_the_warm_up_are_left_out():
    planned = StaircaseSchedule(1e-3, decay_steps=500, decay_rate=0.5).phases(1600)
    assert effective_phases(planned, 1, first_update=1001) == (
        Phase(2, 1000, 1500, 2.5e-4),
        Phase(3, 1500, 1600, 1.25e-4),
    )


def test_a_training_that_ends_in_the_warm_up_has_no_phase():
    planned = ConstantSchedule(1e-3).phases(1000)
    assert effective_phases(planned, 8, first_update=1000) == (Phase(0, 0, 1000, 1e-3),)
    assert effective_phases(planned, 8, first_update=1001) == ()
    assert effective_phases(planned, 16, first_update=1001) == (Phase(0, 0, 1008, 1e-3),)


@pytest.mark.parametrize("step", [0, -1, 64.0, True, None])
def test_a_bad_first_update_is_refused(step):
    with pytest.raises(ValueError, match="first_update must be an integer >= 1, got"):
        effective_phases(ConstantSchedule(1e-3).phases(10), 1, first_update=step)


@pytest.mark.parametrize("interval", [0, -64, 64.0, True, None])
def test_a_bad_interval_is_refused(interval):
    with pytest.raises(ValueError, match="steps_per_update must be an integer >= 1, got"):
        effective_phases(ConstantSchedule(1e-3).phases(10), interval)


PHASE = Phase(0, 0, 10, 1e-3)


@pytest.mark.parametrize(
    "phases",
    [
        (),
        (dataclasses.replace(PHASE, start=1),),
        (PHASE, Phase(1, 11, 20, 1e-4)),
        (PHASE, Phase(1, 9, 20, 1e-4)),
        (PHASE, Phase(1, 10, 10, 1e-4)),
    ],
    ids=["none", "late start", "gap", "overlap", "empty"],
)
def test_phases_that_do_not_tile_are_refused(phases):
    with pytest.raises(ValueError, match="phases must tile"):
        effective_phases(phases, 64)
