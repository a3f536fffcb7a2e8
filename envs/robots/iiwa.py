"""KUKA's LBR iiwa with a two-finger gripper, from `pybullet_data`."""

from __future__ import annotations

from envs.robots.arm import BASE, Arm
from envs.simulation import Simulation, Vector

_WIDEST = 0.08
# The distance between the tips at a finger angle of 0, and how it grows with the angle: measured.
_AT_ZERO, _PER_RADIAN = 0.0168, 0.275
_TIPS_PARALLEL = 0.1
# The tips' meshes are hollow towards each other; PyBullet fills them, and this is what it makes of
# them, as a box each.
_TIP = (0.0151, 0.0159, 0.0515)
_TIPS = {
    "left_finger_tip": ((-0.00155, -0.00225, 0.02575), _TIP),
    "right_finger_tip": ((0.00155, -0.00225, 0.02575), _TIP),
}
# From the finger to the tip, left and right.
_FINGERS = (8, 9, 10, 11, 12, 13)
# In kg: with the file's 0.2, fingers open by themselves when the hand is shaken.
_FINGER_MASS = 0.05
# In kg·m². The file says 0.1, but PyBullet makes it up from the shapes, 0.00005 for a tip, and
# then takes hundreds of sweeps until a tip withstands its motor.
_FINGER_INERTIA = 0.02


class Iiwa(Arm):
    """A 7-joint arm, its base 0.6 m behind the origin, its gripper closed and pointing down.

    The end effector is the point between the finger tips, 1 cm above their ends; at rest it is
    where the Panda's is. The sizes of displacements, and the widest opening, are the Panda's too.
    The fingers open along x, those of the Panda along y. With `gripper=True` an action and the
    observation have one entry more.

    Action, `control="ee"`: the hand keeps pointing down.

    | entry | meaning                                     | range   | unit        |
    |-------|---------------------------------------------|---------|-------------|
    | 0-2   | displacement of the end effector in x, y, z | [-1, 1] | 0.05 m      |
    | 3     | change of the tips' distance, if any        | [-1, 1] | 0.2 m       |

    Action, `control="joints"`:

    | entry | meaning                                     | range   | unit        |
    |-------|---------------------------------------------|---------|-------------|
    | 0-6   | displacement of joint 1 to 7                | [-1, 1] | 0.05 rad    |
    | 7     | change of the tips' distance, if any        | [-1, 1] | 0.2 m       |

    The tips open to 0.08 m; an object between them is pressed with about 200 N a finger.

    Observation:

    | entry | meaning                                     | range     | unit      |
    |-------|---------------------------------------------|-----------|-----------|
    | 0-2   | position of the end effector in x, y, z     | [-10, 10] | m         |
    | 3-5   | velocity of the end effector in x, y, z     | [-10, 10] | m/s       |
    | 6     | distance between the tips, if any           | [-10, 10] | m         |
    """

    camera_distance = 1.1
    # Arm, wrist, fingers, tips.
    joints = (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 10, 13)
    # The arm's are the LBR iiwa 7's: with the model's 300 N·m it jerks what it holds out of its
    # hand. The fingers press with 200 N at a lever of 0.2 m: with more, light cubes are lost, with
    # less, heavy ones.
    forces = (176.0, 176.0, 110.0, 110.0, 110.0, 40.0, 40.0, 100.0, 40.0, 40.0, 40.0, 40.0)
    rest = (-0.03197, 0.67822, -0.00405, -1.23433, 0.0027, 1.22906, -0.03603)
    fingers = (8, 11)
    tips = (10, 13)
    # Whatever the joints do, these links stay more than 5 cm above the table; the base stands on
    # it.
    shoulder = (-1, 0, 1)
    # Between the tips, 1 cm above their ends.
    tool = (0.0, 0.022, 0.272)
    down = (0.0, 1.0, 0.0, 0.0)
    above = (0.0, -0.022, 0.272)

    def load_model(self, simulation: Simulation) -> int:
        """Puts the arm into the simulation."""
        body = simulation.load_sdf("kuka_iiwa/kuka_with_gripper2.sdf", BASE, _TIPS)
        for link in _FINGERS:
            simulation.set_inertia(body, link, _FINGER_MASS, _FINGER_INERTIA)
        return body

    def gripper_angles(self, opening: float, now: float) -> Vector:
        """Angles of the wrist, of both fingers, and of both tips to be parallel now."""
        angle, angle_now = (
            (min(max(width, 0.0), _WIDEST) - _AT_ZERO) / _PER_RADIAN for width in (opening, now)
        )
        tip = angle_now - _TIPS_PARALLEL
        return (0.0, -angle, angle, tip, -tip)

    def opening(self, first: float, second: float) -> float:
        """Returns the distance between the tips for the angles of the fingers."""
        return _AT_ZERO + _PER_RADIAN * 0.5 * (second - first)
