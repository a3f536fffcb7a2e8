"""Robots: what an action moves and what is seen of the mover."""

from envs.robots.iiwa import Iiwa
from envs.robots.panda import Panda
from envs.robots.robot import Robot

ROBOTS: dict[str, type[Robot]] = {
    "panda": Panda,
    "iiwa": Iiwa,
}
"""Every robot by the name that `gymnasium.make(..., robot=name)` takes."""

__all__ = ["ROBOTS", "Iiwa", "Panda", "Robot"]
