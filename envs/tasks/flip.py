"""Flip: turn a cube."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from envs.randomisation import PROBABILITY, Quantity, chance, draw_point
from envs.robots.robot import Robot
from envs.simulation import UPRIGHT, Simulation, Vector
from envs.tasks.loose_body import FRICTION, GRIPPED_MASS, GRIPPED_SIZE, Cube
from envs.tasks.table import DRAWN, FLAT, REACHED_X, REACHED_Y, add_table
from envs.tasks.task import ROUNDING, Distances, Goals, Task, pairs

_FACES = (
    (0.85, 0.15, 0.15),
    (0.95, 0.55, 0.1),
    (0.1, 0.6, 0.25),
    (0.13, 0.36, 0.78),
    (0.96, 0.96, 0.94),
    (0.98, 0.85, 0.2),
)
# How much longer or shorter than 1 a quaternion is that was written with three digits.
_SHORTENED = 1e-3


class Flip(Task):
    """Turn a cube of 4 cm and 1 kg to an orientation.

    The cube is drawn uniformly from x, y in [-0.15, 0.15] m, lying straight; the orientation
    uniformly from all rotations. Goals are unit quaternions; the distance between a and b is
    1 - (a · b)², which is sin²(angle / 2), and 0.2 (53°) is near enough. Size, mass, range and
    threshold are those of panda-gym's `PandaFlip-v3`, which draws its goals from NumPy's global
    generator, whatever the seed, and accepts one that is fulfilled at the start; here it is drawn
    again.

    `grasped` is the probability that an episode begins with the cube in the hand, as in
    PickAndPlace: random actions hardly ever turn a cube that lies on the table. It is 0 in the task
    proper.

    Observation, a dictionary; `observation` is the robot's own (7 entries with a Panda), then:

    | entry              | meaning                                    | range     | unit  |
    |--------------------|--------------------------------------------|-----------|-------|
    | 0-2                | position of the cube in x, y, z            | [-10, 10] | m     |
    | 3-6                | quaternion of the cube, x, y, z, w         | [-10, 10] | 1     |
    | 7-9                | velocity of the cube in x, y, z            | [-10, 10] | m/s   |
    | 10-12              | angular velocity of the cube about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-3| quaternion of the cube, x, y, z, w         | [-10, 10] | 1     |
    | `desired_goal` 0-3 | quaternion asked for, x, y, z, w           | [-10, 10] | 1     |

    Action: displacement of the end effector, or of the joints, and the gripper's; see the robot's
    tables.
    """

    quantities = MappingProxyType(
        {
            "object_x": Quantity(DRAWN, REACHED_X, "m"),
            "object_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_size": GRIPPED_SIZE,
            "object_mass": GRIPPED_MASS,
            "object_friction": FRICTION,
            "grasped": PROBABILITY,
        }
    )
    observation_size = 13
    goal_size = 4
    threshold = 0.2
    needs_gripper = True

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Adds the table, the cube and the goal's marker."""
        self._simulation, self._robot = simulation, robot
        add_table(simulation)
        faces = [(*face, 1.0) for face in _FACES]
        self._cube = Cube(simulation, self.ranges, faces)
        # Larger than the cube, because its faces are all there is to see of the goal.
        self._marker = simulation.add_box_marker((0.035, 0.035, 0.035), faces)

    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Draws the orientation, and the cube's place and properties."""

        def draw() -> list[float]:
            x, y, z, w = generator.normal(size=4).tolist()
            length = math.hypot(x, y, z, w)
            return [x / length, y / length, z / length, w / length]

        drawn = draw()
        while self.distance(drawn, list(UPRIGHT)) < self.threshold:
            drawn = draw()
        goal = drawn if goal is None else goal
        x, y, _ = draw_point((self.ranges["object_x"], self.ranges["object_y"], FLAT), generator)
        self._cube.draw(generator)
        self._simulation.move_marker(self._marker, (0.1, 0.25, 0.2), goal)
        self._cube.place((x, y, self._cube.height))
        if chance(self.ranges["grasped"], generator):
            self._cube.begin_in_hand(self._robot, [], generator)
        return goal

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks for a unit quaternion that is not how the cube lies at the start."""
        length = math.hypot(*goal)
        if abs(length - 1.0) > _SHORTENED:
            raise ValueError(f"a goal of Flip is a unit quaternion, got one of length {length:g}")
        if abs(length - 1.0) > ROUNDING:
            goal = [entry / length for entry in goal]
        distance = self.distance(goal, list(UPRIGHT))
        if distance < self.threshold - ROUNDING:
            raise ValueError(
                f"a goal of Flip is at a distance of {self.threshold:g} or more from how the cube "
                f"lies at the start, {UPRIGHT}, got one at {distance:g}"
            )
        return goal

    def observe(self) -> Vector:
        """Returns the motion of the cube."""
        return self._cube.observe(turned=tuple)

    def achieved_goal(self) -> Vector:
        """Returns the quaternion of the cube."""
        return self._cube.quaternion

    def distance(self, achieved_goal: Goals, desired_goal: Goals) -> Distances:
        """Returns 1 - (a · b)² of the quaternions; a and -a are the same orientation.

        Args:
            achieved_goal: Shape (..., 4).
            desired_goal: Shape (..., 4).

        Returns:
            Shape (...).
        """
        alike: Distances = 0.0
        for achieved, desired in pairs(achieved_goal, desired_goal):
            alike += achieved * desired
        # In single precision a quaternion can be a little longer than 1.
        unlike = 1.0 - alike * alike
        return max(unlike, 0.0) if isinstance(unlike, float) else np.maximum(unlike, 0.0)
