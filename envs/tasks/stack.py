"""Stack: put one cube on another at a place on the table."""

from __future__ import annotations

import math

import numpy as np

from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.loose_body import LooseBody
from envs.tasks.table import add_table
from envs.tasks.task import Task

_HALF = 0.02
_SIDE = 2.0 * _HALF
_BLUE, _ORANGE = (0.13, 0.36, 0.78), (0.95, 0.55, 0.1)


class Stack(Task):
    """Bring a cube of 2 kg to a point on the table, and a cube of 1 kg on top of it.

    The cubes, 4 cm large, and the point are drawn uniformly from x, y in [-0.15, 0.15] m; the
    second cube falls from 4 cm above the table. Distance is that between vectors of six numbers,
    the positions of both cubes, and 10 cm are near enough. Sizes, masses, ranges, threshold and the
    limit of 100 steps are those of panda-gym's `PandaStack-v3`. Cubes that would start one above
    the other, or at their goal, are drawn again; panda-gym accepts them, and the second cube then
    falls onto the first.

    Observation, a dictionary; `observation` is the robot's own (7 entries with a Panda), then:

    | entry              | meaning                                           | range     | unit  |
    |--------------------|---------------------------------------------------|-----------|-------|
    | 0-2                | position of the first cube in x, y, z             | [-10, 10] | m     |
    | 3-5                | roll, pitch and yaw of the first cube             | [-10, 10] | rad   |
    | 6-8                | velocity of the first cube in x, y, z             | [-10, 10] | m/s   |
    | 9-11               | angular velocity of the first cube about x, y, z  | [-10, 10] | rad/s |
    | 12-14              | position of the second cube in x, y, z            | [-10, 10] | m     |
    | 15-17              | roll, pitch and yaw of the second cube            | [-10, 10] | rad   |
    | 18-20              | velocity of the second cube in x, y, z            | [-10, 10] | m/s   |
    | 21-23              | angular velocity of the second cube about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-2| position of the first cube in x, y, z             | [-10, 10] | m     |
    | `achieved_goal` 3-5| position of the second cube in x, y, z            | [-10, 10] | m     |
    | `desired_goal` 0-2 | where the first cube should be                    | [-10, 10] | m     |
    | `desired_goal` 3-5 | where the second cube should be, 4 cm above       | [-10, 10] | m     |

    Action: displacement of the end effector, or of the joints, and the gripper's; see the robot's
    tables.
    """

    observation_size = 24
    goal_size = 6
    threshold = 0.1
    needs_gripper = True
    max_episode_steps = 100

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Add the table, the cubes and the goals' markers."""
        self._simulation = simulation
        add_table(simulation)
        size, z = (_HALF, _HALF, _HALF), _HALF
        lower = simulation.add_box(size, (0.0, 0.0, z), (*_BLUE, 1.0), mass=2.0)
        upper = simulation.add_box(size, (0.5, 0.0, z), (*_ORANGE, 1.0), mass=1.0)
        self._lower, self._upper = LooseBody(simulation, lower), LooseBody(simulation, upper)
        self._markers = [simulation.add_box_marker(size, [(*_BLUE, 0.5)])]
        self._markers += [simulation.add_box_marker(size, [(*_ORANGE, 0.5)])]

    def reset(self, generator: np.random.Generator) -> Vector:
        """Draw the point and the cubes' places."""

        def draw() -> tuple[float, float]:
            x, y, _ = generator.uniform((-0.15, -0.15, 0.0), (0.15, 0.15, 0.0)).tolist()
            return x, y

        def draw_cubes() -> tuple[tuple[float, ...], tuple[float, ...]]:
            return (*draw(), _HALF), (*draw(), _HALF + _SIDE)

        at = draw()
        goal = (*at, _HALF, *at, _HALF + _SIDE)
        lower, upper = draw_cubes()
        while _above_each_other(lower, upper) or math.dist(goal, lower + upper) < self.threshold:
            lower, upper = draw_cubes()
        self._simulation.move_marker(self._markers[0], goal[:3])
        self._simulation.move_marker(self._markers[1], goal[3:])
        self._lower.place(lower)
        self._upper.place(upper)
        return goal

    def observe(self) -> Vector:
        """Motion of the cubes."""
        return (*self._lower.observe(), *self._upper.observe())

    def achieved_goal(self) -> Vector:
        """Positions of the cubes."""
        return (*self._lower.position, *self._upper.position)


def _above_each_other(lower: Vector, upper: Vector) -> bool:
    return max(abs(lower[0] - upper[0]), abs(lower[1] - upper[1])) < _SIDE
