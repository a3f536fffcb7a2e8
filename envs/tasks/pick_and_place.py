"""PickAndPlace: bring a cube to a point on or above the table."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from envs import controllers
from envs.randomisation import PROBABILITY, Interval, Quantity, Range, chance
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.loose_body import FRICTION, GRIPPED_MASS, GRIPPED_SIZE
from envs.tasks.one_body import CubeTask
from envs.tasks.table import DRAWN, REACHED_X, REACHED_Y, REACHED_Z

_LIFT: Interval = (0.0, 0.2)


class PickAndPlace(CubeTask):
    """Bring a cube of 4 cm and 1 kg to within 5 cm of a point, mostly one in the air.

    The cube is drawn uniformly from x, y in [-0.15, 0.15] m, the point likewise; with probability
    0.3 it lies on the table, else up to 0.2 m higher. Size, mass, ranges and threshold are those of
    panda-gym's `PandaPickAndPlace-v3`. A cube that would start at its goal is drawn again;
    panda-gym accepts it, and such an episode ends after one step.

    `grasped` is the probability that an episode begins with the cube in the hand instead, anywhere
    up to 0.2 m above the places it is drawn from. It is 0 in the task proper. Half of the episodes
    so is how Andrychowicz et al. (https://arxiv.org/abs/1707.01495) had theirs learned: random
    actions hardly ever lift a cube.

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

    quantities = MappingProxyType(
        {
            "goal_x": Quantity(DRAWN, REACHED_X, "m"),
            "goal_y": Quantity(DRAWN, REACHED_Y, "m"),
            "goal_z": Quantity(_LIFT, REACHED_Z, "m"),
            "object_x": Quantity(DRAWN, REACHED_X, "m"),
            "object_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_size": GRIPPED_SIZE,
            "object_mass": GRIPPED_MASS,
            "object_friction": FRICTION,
            "grasped": PROBABILITY,
        }
    )
    controller = staticmethod(controllers.pick_and_place)
    needs_gripper = True

    def __init__(self, **given: Range) -> None:
        super().__init__(**given)
        # Who says how high wants no goals on the table beside those.
        self._share_on_table = 0.0 if "goal_z" in given else 0.3

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Adds the table, the cube and the goal's marker."""
        super().load(simulation, robot)
        self._robot = robot

    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Draws the point, and the cube's place and properties."""
        goal = super().reset(generator, goal)
        if chance(self.ranges["grasped"], generator):
            to = (goal[0], goal[1], goal[2] - self._cube.height)
            self._cube.begin_in_hand(self._robot, [(to, self.threshold)], generator)
        return goal

    def _draw_goal(self, generator: np.random.Generator) -> Vector:
        x, y, lift = super()._draw_goal(generator)
        on_table = generator.random() < self._share_on_table
        return (x, y, 0.0 if on_table else lift)
