"""Franka Emika's Panda, from `pybullet_data`."""

from __future__ import annotations

import math

from envs.robots.arm import BASE, Arm
from envs.simulation import Simulation, Vector

# A tenth of a millimetre off the stops: on them, motor and stop fight, which takes the solver
# longer.
_CLOSED, _OPEN = 0.0001, 0.0399
# The outer 36 mm of the fingers, which alone reach an object, as a box each. The meshes are as wide
# there, to 0.2 mm.
_PAD = (0.0174, 0.0143, 0.036)
_PADS = {
    "panda_leftfinger": ((0.0, 0.00715, 0.0358), _PAD),
    "panda_rightfinger": ((0.0, -0.00715, 0.0358), _PAD),
}


class Panda(Arm):
    """A 7-joint arm, its base 0.6 m behind the origin, its gripper closed and pointing down.

    Base, rest pose, motor forces, the fingers' friction and the size of a displacement are those of
    panda-gym's `Panda`. With `gripper=True` an action and the observation have one entry more.

    Action, `control="ee"`: the hand keeps pointing down.

    | entry | meaning                                     | range   | unit        |
    |-------|---------------------------------------------|---------|-------------|
    | 0-2   | displacement of the end effector in x, y, z | [-1, 1] | 0.05 m      |
    | 3     | change of the fingers' distance, if any     | [-1, 1] | 0.2 m       |

    Action, `control="joints"`:

    | entry | meaning                                     | range   | unit        |
    |-------|---------------------------------------------|---------|-------------|
    | 0-6   | displacement of joint 1 to 7                | [-1, 1] | 0.05 rad    |
    | 7     | change of the fingers' distance, if any     | [-1, 1] | 0.2 m       |

    The fingers open to 0.08 m; an object between them is pressed with up to 170 N a finger.

    Observation:

    | entry | meaning                                     | range     | unit      |
    |-------|---------------------------------------------|-----------|-----------|
    | 0-2   | position of the end effector in x, y, z     | [-10, 10] | m         |
    | 3-5   | velocity of the end effector in x, y, z     | [-10, 10] | m/s       |
    | 6     | distance between the fingers, if any        | [-10, 10] | m         |
    """

    joints = (0, 1, 2, 3, 4, 5, 6, 7, 8)
    forces = (87.0, 87.0, 87.0, 87.0, 12.0, 120.0, 120.0, 170.0, 170.0)
    rest = (0.0, 0.41, 0.0, -1.85, 0.0, 2.26, 0.79)
    fingers = (7, 8)
    tips = fingers
    # Whatever the joints do, these links stay more than 5 cm above the table.
    shoulder = (-1, 0, 1, 2)
    tool = (0.0, 0.0, 0.212)
    # The hand is mounted at an eighth of a turn.
    down = (math.cos(math.pi / 8), -math.sin(math.pi / 8), 0.0, 0.0)
    above = (0.0, 0.0, 0.212)

    def load_model(self, simulation: Simulation) -> int:
        """Puts the arm into the simulation."""
        return simulation.load_urdf("franka_panda/panda.urdf", BASE, _PADS)

    def gripper_angles(self, opening: float, now: float) -> Vector:
        """Offsets of both fingers, which share the opening."""
        offset = min(max(0.5 * opening, _CLOSED), _OPEN)
        return (offset, offset)

    def opening(self, first: float, second: float) -> float:
        """Returns the sum of the offsets."""
        return first + second
