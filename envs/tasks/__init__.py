"""Tasks: what stands around the robot and what counts as done."""

from envs.tasks.flip import Flip
from envs.tasks.pick_and_place import PickAndPlace
from envs.tasks.push import Push
from envs.tasks.reach import Reach
from envs.tasks.slide import Slide
from envs.tasks.stack import Stack
from envs.tasks.task import Task

__all__ = ["Flip", "PickAndPlace", "Push", "Reach", "Slide", "Stack", "Task"]
