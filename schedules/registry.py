"""The schedules that can be rebuilt from their dict."""

from collections.abc import Mapping
from typing import Any

from schedules.constant import ConstantSchedule
from schedules.join import JoinedSchedule
from schedules.piecewise import PiecewiseConstantSchedule
from schedules.schedule import Schedule
from schedules.staircase import StaircaseSchedule

SCHEDULES: tuple[type[Schedule], ...] = (
    ConstantSchedule,
    JoinedSchedule,
    PiecewiseConstantSchedule,
    StaircaseSchedule,
)


def schedule_from_dict(data: Mapping[str, Any]) -> Schedule:
    """Rebuilds any schedule of `SCHEDULES` from what its `to_dict` returned.

    Args:
        data: The class name as `type`, and the arguments by name.

    Raises:
        ValueError: If `data` is not a mapping, its `type` is unknown, or the class refuses it.

    Examples:
        >>> schedule_from_dict({"type": "ConstantSchedule", "learning_rate": 0.001})
        ConstantSchedule(learning_rate=0.001)
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"data must be a mapping with the key 'type', got {data!r}")
    known = [schedule_class.__name__ for schedule_class in SCHEDULES]
    if "type" not in data:
        raise ValueError(f"the key 'type' is missing, one of {known}, in {data!r}")
    for schedule_class in SCHEDULES:
        if schedule_class.__name__ == data["type"]:
            return schedule_class.from_dict(data)
    raise ValueError(f"type must be one of {known}, got {data['type']!r} in {data!r}")
