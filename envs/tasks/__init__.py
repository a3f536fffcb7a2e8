"""Tasks: what stands around the robot and what counts as done."""

from envs.tasks.flip import Flip
from envs.tasks.pick_and_place import PickAndPlace
from envs.tasks.push import Push
from envs.tasks.reach import Reach
from envs.tasks.slide import Slide
from envs.tasks.stack import Stack
from envs.tasks.task import Task

TASK_TYPES: dict[str, type[Task]] = {
    "reach": Reach,
    "push": Push,
    "slide": Slide,
    "pick_and_place": PickAndPlace,
    "stack": Stack,
    "flip": Flip,
}
"""Every task by its short name; its gymnasium id is `bullet/<class name>-v0`."""

__all__ = ["TASK_TYPES", "Flip", "PickAndPlace", "Push", "Reach", "Slide", "Stack", "Task"]
