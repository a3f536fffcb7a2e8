import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import ConstantSchedule, StaircaseSchedule, joined, schedule_from_dict
from tests.schedules.schedule_strategies import any_schedule

BOUNDARIES = st.integers(1, 150)
STAIRCASE = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5)


@given(any_schedule(), BOUNDARIES, any_schedule(), st.integers(0, 300))
def test_the_first_holds_before_the_boundary_and_the_second_begins_at_it(
    first, boundary, second, step
):
    expected = first(step) if step < boundary else second(step - boundary)
    assert joined(first, boundary, second)(step) == expected


@given(any_schedule(), BOUNDARIES, any_schedule(), BOUNDARIES, any_schedule())
def test_joining_is_associative(first, boundary, second, later, third):
    left = joined(joined(first, boundary, second), boundary + later, third)
    right = joined(first, boundary, joined(second, later, third))
    assert left.phases(400) == right.phases(400)


@pytest.mark.parametrize("step", [0, 99, 100, 149, 150, 249, 250, 400])
def test_optax_switches_at_the_same_step(step):
    peer = optax.join_schedules(
        [
            optax.exponential_decay(1e-3, 100, 0.5, staircase=True),
            optax.exponential_decay(2e-3, 100, 0.5, staircase=True),
        ],
        [150],
    )
    ours = joined(STAIRCASE, 150, StaircaseSchedule(2e-3, decay_steps=100, decay_rate=0.5))
    assert ours(step) == pytest.approx(float(peer(step)), rel=1e-6)


def test_a_boundary_where_the_rate_stays_is_no_phase():
    schedule = joined(ConstantSchedule(1e-3), 50, STAIRCASE)
    assert [(phase.start, phase.stop) for phase in schedule.phases(200)] == [(0, 150), (150, 200)]


def test_the_parts_are_rebuilt_from_json_by_name():
    data = joined(STAIRCASE, 150, ConstantSchedule(1e-4)).to_dict()
    assert data["first"]["type"] == "StaircaseSchedule"
    assert data["second"] == {"type": "ConstantSchedule", "learning_rate": 1e-4}
    assert schedule_from_dict(data).second == ConstantSchedule(1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e-3, 10, STAIRCASE), "first must be a Schedule, got 0.001"),
        ((STAIRCASE, 10, None), "second must be a Schedule, got None"),
        ((STAIRCASE, 0, STAIRCASE), "boundary must be an integer >= 1, got 0"),
        ((STAIRCASE, 10.0, STAIRCASE), "boundary must be an integer >= 1, got 10.0"),
    ],
)
def test_what_cannot_be_joined_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        joined(*arguments)


@pytest.mark.parametrize("part", [None, "StaircaseSchedule", {"type": "Linear"}])
def test_a_malformed_part_is_refused(part):
    data = {**joined(STAIRCASE, 10, STAIRCASE).to_dict(), "second": part}
    with pytest.raises(ValueError, match=r"must be (one of|a mapping)"):
        schedule_from_dict(data)
