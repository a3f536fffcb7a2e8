"""Learning rates as a function of the step: schedules, their phases, adapters to SB3 and torch."""

from schedules.constant import ConstantSchedule
from schedules.effective import effective_phases
from schedules.join import JoinedSchedule, joined
from schedules.lambda_lr import lr_lambda
from schedules.piecewise import PiecewiseConstantSchedule
from schedules.progress import ProgressSchedule
from schedules.registry import schedule_from_dict
from schedules.schedule import Phase, Schedule
from schedules.staircase import StaircaseSchedule

__all__ = [
    "ConstantSchedule",
    "JoinedSchedule",
    "Phase",
    "PiecewiseConstantSchedule",
    "ProgressSchedule",
    "Schedule",
    "StaircaseSchedule",
    "effective_phases",
    "joined",
    "lr_lambda",
    "schedule_from_dict",
]
