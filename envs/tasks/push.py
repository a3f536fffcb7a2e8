"""Push: move a cube along the table to a point."""

from __future__ import annotations

from types import MappingProxyType

from envs import controllers
from envs.randomisation import Quantity
from envs.tasks.loose_body import CUBE_SIZE, FRICTION, MASS
from envs.tasks.one_body import CubeTask
from envs.tasks.table import DRAWN, REACHED_X, REACHED_Y


class Push(CubeTask):
    """Move a cube of 4 cm and 1 kg to within 5 cm of a point on the table; the gripper is closed.

    Cube and point are drawn uniformly from x, y in [-0.15, 0.15] m. Size, mass, ranges and
    threshold are those of panda-gym's `PandaPush-v3`. A cube that would start at its goal is drawn
    again; panda-gym accepts it, and such an episode ends after one step.

    Observation, a dictionary; `observation` is the robot's own (6 entries with a Panda), then:

    | entry              | meaning                                    | range     | unit  |
    |--------------------|--------------------------------------------|-----------|-------|
    | 0-2                | position of the cube in x, y, z            | [-10, 10] | m     |
    | 3-5                | roll, pitch and yaw of the cube            | [-10, 10] | rad   |
    | 6-8                | velocity of the cube in x, y, z            | [-10, 10] | m/s   |
    | 9-11               | angular velocity of the cube about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-2| position of the cube in x, y, z            | [-10, 10] | m     |
    | `desired_goal` 0-2 | position of the point in x, y, z           | [-10, 10] | m     |

    Action: displacement of the end effector, or of the joints; see the robot's tables.
    """

    quantities = MappingProxyType(
        {
            "goal_x": Quantity(DRAWN, REACHED_X, "m"),
            "goal_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_x": Quantity(DRAWN, REACHED_X, "m"),
            "object_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_size": CUBE_SIZE,
            "object_mass": MASS,
            "object_friction": FRICTION,
        }
    )
    controller = staticmethod(controllers.push)
