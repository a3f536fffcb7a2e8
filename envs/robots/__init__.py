"""Robots: what an action moves and what is seen of the mover."""

from envs.robots.iiwa import Iiwa
from envs.robots.panda import Panda
from envs.robots.robot import Robot

__all__ = ["Iiwa", "Panda", "Robot"]
