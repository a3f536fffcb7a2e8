"""Tasks: what stands around the robot and what counts as done."""

from envs.tasks.reach import Reach
from envs.tasks.task import Task

TASK_TYPES: dict[str, type[Task]] = {
    "reach": Reach,
}
"""Every task by its short name; its gymnasium id is `bullet/<class name>-v0`."""

__all__ = ["TASK_TYPES", "Reach", "Task"]
