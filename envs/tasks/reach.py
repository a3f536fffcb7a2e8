"""Reach: bring the end effector to a point."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from envs import controllers
from envs.randomisation import Quantity, draw_point
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.table import DRAWN, REACHED_X, REACHED_Y, REACHED_Z, add_table
from envs.tasks.task import Task


class Reach(Task):
    """Bring the end effector within 5 cm of a point above the table.

    The point is drawn uniformly from the box x, y in [-0.15, 0.15] m, z in [0, 0.3] m. Ranges and
    threshold are those of panda-gym's `PandaReach-v3`.

    Observation, a dictionary; `observation` is the robot's own (6 entries with a Panda), to which
    this task adds nothing:

    | entry              | meaning                                    | range     | unit |
    |--------------------|--------------------------------------------|-----------|------|
    | `observation` 0-2  | position of the end effector in x, y, z    | [-10, 10] | m    |
    | `observation` 3-5  | velocity of the end effector in x, y, z    | [-10, 10] | m/s  |
    | `achieved_goal` 0-2| position of the end effector in x, y, z    | [-10, 10] | m    |
    | `desired_goal` 0-2 | position of the point in x, y, z           | [-10, 10] | m    |

    Action: displacement of the end effector, or of the joints; see the robot's tables.
    """

    quantities = MappingProxyType(
        {
            "goal_x": Quantity(DRAWN, REACHED_X, "m"),
            "goal_y": Quantity(DRAWN, REACHED_Y, "m"),
            "goal_z": Quantity((0.0, 0.3), REACHED_Z, "m"),
        }
    )
    controller = staticmethod(controllers.reach(10.0))
    goal_size = 3
    threshold = 0.05

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Adds the table and the goal's marker."""
        self._simulation, self._robot = simulation, robot
        add_table(simulation)
        self._marker = simulation.add_marker(0.02, (0.1, 0.8, 0.2, 0.75))

    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Draws a point."""
        drawn = draw_point([self.ranges[f"goal_{axis}"] for axis in "xyz"], generator)
        goal = drawn if goal is None else goal
        self._simulation.move_marker(self._marker, goal)
        return goal

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks that the point lies in the range of drawn points."""
        self._check_entries(goal, {axis: self.ranges[f"goal_{axis}"] for axis in "xyz"})
        return goal

    def achieved_goal(self) -> Vector:
        """Returns the position of the end effector."""
        return self._robot.ee_position
