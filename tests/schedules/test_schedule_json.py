import json

import numpy as np
import pytest
from hypothesis import given

from schedules import (
    ConstantSchedule,
    PiecewiseConstantSchedule,
    StaircaseSchedule,
    schedule_from_dict,
)
from tests.schedules.schedule_strategies import any_schedule


@given(any_schedule())
def test_a_schedule_survives_json(schedule):
    stored = json.loads(json.dumps(schedule.to_dict()))
    assert stored == schedule.to_dict()
    for rebuilt in (schedule_from_dict(stored), type(schedule).from_dict(stored)):
        assert type(rebuilt) is type(schedule)
        assert rebuilt == schedule


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantSchedule(np.float32(0.001)),
        StaircaseSchedule(
            np.float64(1e-3), np.int32(100), np.float32(0.5), np.float64(1e-5), np.int64(300)
        ),
        PiecewiseConstantSchedule(np.array([10, 20]), np.array([3, 2, 1], dtype=np.float32)),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_numpy_arguments_become_plain_numbers(schedule):
    assert schedule_from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
    assert "np." not in repr(schedule)


def test_the_dict_holds_the_type_and_the_arguments():
    assert StaircaseSchedule(1e-3, 100, 0.5).to_dict() == {
        "type": "StaircaseSchedule",
        "initial_learning_rate": 1e-3,
        "decay_steps": 100,
        "decay_rate": 0.5,
        "minimum_learning_rate": 0.0,
        "constant_steps": None,
    }


def test_arguments_with_a_default_may_be_left_out():
    data = {
        "type": "StaircaseSchedule",
        "initial_learning_rate": 1e-3,
        "decay_steps": 100,
        "decay_rate": 0.5,
    }
    assert schedule_from_dict(data) == StaircaseSchedule(1e-3, 100, 0.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the key 'type' is missing, one of .*StaircaseSchedule.*, in {}"),
        ({"type": "Linear"}, "type must be one of .*StaircaseSchedule.*, got 'Linear'"),
        ({"type": ["ConstantSchedule"]}, "type must be one of"),
        (["ConstantSchedule"], "data must be a mapping"),
        ("ConstantSchedule", "data must be a mapping"),
        (None, "data must be a mapping"),
        ({"type": "ConstantSchedule"}, r"missing \['learning_rate'\]"),
        ({"type": "ConstantSchedule", "learning_rate": 1, "lr": 1}, r"unknown \['lr'\]"),
        ({"type": "ConstantSchedule", "learning_rate": -1}, "learning_rate must be .*, got -1"),
        (
            {"type": "PiecewiseConstantSchedule", "boundaries": 5, "values": [1]},
            "boundaries must be a sequence",
        ),
    ],
)
def test_a_malformed_dict_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        schedule_from_dict(data)


def test_a_class_refuses_the_dict_of_another():
    data = ConstantSchedule(1e-3).to_dict()
    with pytest.raises(ValueError, match="type must be 'StaircaseSchedule', got 'Constant"):
        StaircaseSchedule.from_dict(data)
    with pytest.raises(ValueError, match="data must be a mapping"):
        StaircaseSchedule.from_dict([data])
