"""Slide: give a puck a push that lets it come to rest at a point out of reach."""

from __future__ import annotations

from types import MappingProxyType

from envs import controllers
from envs.picture import Camera
from envs.randomisation import Quantity
from envs.simulation import Simulation
from envs.tasks.loose_body import MASS, LooseBody, Puck
from envs.tasks.one_body import OneBodyTask
from envs.tasks.table import DRAWN, REACHED_X, REACHED_Y, add_table


class Slide(OneBodyTask):
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

    quantities = MappingProxyType(
        {
            "goal_x": Quantity((0.25, 0.55), (REACHED_X[0], 0.55), "m"),
            "goal_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_x": Quantity(DRAWN, REACHED_X, "m"),
            "object_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_size": Quantity((0.06, 0.06), (0.03, 0.1), "m"),
            "object_mass": MASS,
            "object_friction": Quantity((0.04, 0.04), (0.01, 2.0)),
        }
    )
    controller = staticmethod(controllers.slide)
    camera = Camera(target=(-0.12, 0.0, 0.42), distance=2.0)
    pixels_camera = Camera((0.27, 0.0, 0.12), distance=0.84, yaw=90.0, pitch=-42.0)

    def _add_scene(self, simulation: Simulation) -> tuple[LooseBody, int]:
        simulation.round_friction()
        add_table(simulation, length=1.4, centre=-0.1)
        puck = Puck(simulation, self.ranges)
        return puck, simulation.add_marker(0.02, (0.1, 0.8, 0.2, 0.75))
