"""PickAndPlace: bring a cube to a point on or above the table."""

from __future__ import annotations

import math

import numpy as np

from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.loose_body import LooseBody
from envs.tasks.table import add_table
from envs.tasks.task import Task

_HALF = 0.02
_ON_TABLE = 0.3


class PickAndPlace(Task):
    """Bring a cube of 4 cm and 1 kg to within 5 cm of a point, mostly one in the air.

    The cube is drawn uniformly from x, y in [-0.15, 0.15] m, the point likewise; with probability
    0.3 it lies on the table, else up to 0.2 m higher. Size, mass, ranges and threshold are those of
    panda-gym's `PandaPickAndPlace-v3`. A cube that would start at its goal is drawn again;
    panda-gym accepts it, and such an episode ends after one step.

    Observation, a dictionary; `observation` is the robot's own (7 entries with a Panda), then:

    | entry              | meaning                                    | range     | unit  |
    |--------------------|--------------------------------------------|-----------|-------|
    | 0-2                | position of the cube in x, y, z            | [-10, 10] | m     |
    | 3-5                | roll, pitch and yaw of the cube            | [-10, 10] | rad   |
    | 6-8                | velocity of the cube in x, y, z            | [-10, 10] | m/s   |
    | 9-11               | angular velocity of the cube about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-2| position of the cube in x, y, z            | [-10, 10] | m     |
    | `desired_goal` 0-2 | position of the point in x, y, z           | [-10, 10] | m     |

    Action: displacement of the end effector, or of the joints, and the gripper's; see the robot's
    tables.
    """

    observation_size = 12
    goal_size = 3
    threshold = 0.05
    needs_gripper = True

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Add the table, the cube and the goal's marker."""
        self._simulation = simulation
        add_table(simulation)
        size, colour = (_HALF, _HALF, _HALF), (0.13, 0.36, 0.78, 1.0)
        cube = simulation.add_box(size, (0.0, 0.0, _HALF), colour, mass=1.0)
        self._cube = LooseBody(simulation, cube)
        self._marker = simulation.add_box_marker(size, [(0.1, 0.8, 0.2, 0.6)])

    def reset(self, generator: np.random.Generator) -> Vector:
        """Draw the point and the cube's place."""
        x, y, z = generator.uniform((-0.15, -0.15, 0.0), (0.15, 0.15, 0.2)).tolist()
        on_table = generator.random() < _ON_TABLE
        goal = [x, y, _HALF if on_table else _HALF + z]

        def draw() -> list[float]:
            x, y, _ = generator.uniform((-0.15, -0.15, 0.0), (0.15, 0.15, 0.0)).tolist()
            return [x, y, _HALF]

        start = draw()
        while math.dist(goal, start) < self.threshold:
            start = draw()
        self._simulation.move_marker(self._marker, goal)
        self._cube.place(start)
        return goal

    def observe(self) -> Vector:
        """Motion of the cube."""
        return self._cube.observe()

    def achieved_goal(self) -> Vector:
        """Position of the cube."""
        return self._cube.position
