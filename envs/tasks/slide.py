"""Slide: give a puck a push that lets it come to rest at a point out of reach."""

from __future__ import annotations

import numpy as np

from envs.robots.robot import Robot
from envs.simulation import Camera, Simulation, Vector
from envs.tasks.loose_body import LooseBody
from envs.tasks.table import add_table
from envs.tasks.task import Task

_RADIUS = 0.03
# Panda-gym measures goals from 3 cm above the table and drops the puck, 3 cm high, from there: its
# centre then lies 1.5 cm below every goal.
_HEIGHT = 0.03


class Slide(Task):
    """Bring a slippery puck of 6 cm and 1 kg to within 5 cm of a point; the gripper is closed.

    The puck is drawn uniformly from x, y in [-0.15, 0.15] m, the point from x in [0.25, 0.55] m,
    y in [-0.15, 0.15] m, mostly out of the arm's reach. The puck's coefficient of friction is 0.04.
    Size, mass, friction, ranges and threshold are those of panda-gym's `PandaSlide-v3`; its points
    lie 3 cm above the table, 1.5 cm above the centre of a puck at rest.

    Observation, a dictionary; `observation` is the robot's own (6 entries with a Panda), then:

    | entry              | meaning                                    | range     | unit  |
    |--------------------|--------------------------------------------|-----------|-------|
    | 0-2                | position of the puck in x, y, z            | [-10, 10] | m     |
    | 3-5                | roll, pitch and yaw of the puck            | [-10, 10] | rad   |
    | 6-8                | velocity of the puck in x, y, z            | [-10, 10] | m/s   |
    | 9-11               | angular velocity of the puck about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-2| position of the puck in x, y, z            | [-10, 10] | m     |
    | `desired_goal` 0-2 | position of the point in x, y, z           | [-10, 10] | m     |

    Action: displacement of the end effector, or of the joints; see the robot's tables.
    """

    observation_size = 12
    goal_size = 3
    threshold = 0.05
    camera = Camera(target=(-0.05, 0.0, 0.12), distance=1.6)
    pixels_camera = Camera((0.27, 0.0, 0.12), distance=0.84, yaw=90.0, pitch=-42.0)

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Add a longer table, the puck and the goal's marker."""
        self._simulation = simulation
        add_table(simulation, length=1.4, centre=-0.1)
        puck = simulation.add_cylinder(
            _RADIUS, _HEIGHT, (0.0, 0.0, _HEIGHT), (0.13, 0.36, 0.78, 1.0), mass=1.0
        )
        simulation.set_friction(puck, -1, sliding=0.04, turning=0.0)
        self._puck = LooseBody(simulation, puck)
        self._marker = simulation.add_marker(0.02, (0.1, 0.8, 0.2, 0.75))

    def reset(self, generator: np.random.Generator) -> Vector:
        """Draw the point and the puck's place."""
        x, y, _ = generator.uniform((0.25, -0.15, 0.0), (0.55, 0.15, 0.0)).tolist()
        goal = [x, y, _HEIGHT]
        x, y, _ = generator.uniform((-0.15, -0.15, 0.0), (0.15, 0.15, 0.0)).tolist()
        self._simulation.move_marker(self._marker, goal)
        self._puck.place((x, y, _HEIGHT))
        return goal

    def observe(self) -> Vector:
        """Motion of the puck."""
        return self._puck.observe()

    def achieved_goal(self) -> Vector:
        """Position of the puck."""
        return self._puck.position
