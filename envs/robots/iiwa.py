"""KUKA's LBR iiwa with a two-finger gripper, from `pybullet_data`."""

from __future__ import annotations

from envs.robots.robot import Control, Robot
from envs.simulation import Simulation, Vector

_ARM = (0, 1, 2, 3, 4, 5, 6)
_WRIST = 7
_FINGERS = (8, 11)
_TIPS = (10, 13)
_JOINTS = (*_ARM, _WRIST, *_FINGERS, *_TIPS)
_SHOULDER = (-1, 0, 1)
_FLANGE = 6
# From the flange to between the tips, 1 cm above their ends.
_TOOL = (0.0, 0.022, 0.272)
_REST = (-0.03197, 0.67822, -0.00405, -1.23433, 0.0027, 1.22906, -0.03603)
# The arm's torques are the model's. The fingers press about as strongly as the Panda's, 170 N at a
# lever of 0.2 m: with 50 N they lose one cube in five.
_FORCES = (300.0,) * 7 + (100.0, 35.0, 35.0, 35.0, 35.0)
_BASE = (-0.6, 0.0, 0.0)
_DOWN = (0.0, 1.0, 0.0, 0.0)
_REACH = 0.05
_OPENING = 0.2
_WIDEST = 0.08
# The distance between the tips at a finger angle of 0, and how it grows with the angle: measured.
_AT_ZERO, _PER_RADIAN = 0.0168, 0.275
_TIPS_PARALLEL = 0.1


class Iiwa(Robot):
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

    The tips open to 0.08 m; an object between them is pressed with about 170 N a finger.

    Observation:

    | entry | meaning                                     | range     | unit      |
    |-------|---------------------------------------------|-----------|-----------|
    | 0-2   | position of the end effector in x, y, z     | [-10, 10] | m         |
    | 3-5   | velocity of the end effector in x, y, z     | [-10, 10] | m/s       |
    | 6     | distance between the tips, if any           | [-10, 10] | m         |
    """

    has_gripper = True
    camera_distance = 1.25

    def __init__(self, control: Control = "ee", gripper: bool = False) -> None:
        super().__init__(control, gripper)
        self.action_size = (3 if control == "ee" else 7) + gripper
        self.observation_size = 6 + gripper

    def load(self, simulation: Simulation) -> None:
        """Put the arm into the simulation."""
        self._simulation = simulation
        self._body = simulation.load_sdf("kuka_iiwa/kuka_with_gripper2.sdf", _BASE)
        for tip in _TIPS:
            simulation.set_friction(self._body, tip, sliding=1.0, turning=0.001)
        # Whatever the joints do, these links stay more than 5 cm above the table; the base stands
        # on it.
        simulation.ignore_contacts(self._body, _SHOULDER)

    def reset(self) -> None:
        """Return to the rest pose."""
        rest = (*_REST, 0.0, *_finger_angles(0.0))
        self._simulation.place_joints(self._body, _JOINTS, rest)
        self._simulation.drive_joints(self._body, _JOINTS, rest, _FORCES)

    def act(self, action: Vector) -> None:
        """Displace the motors' targets from where the arm is now."""
        simulation, body = self._simulation, self._body
        if self.control == "ee":
            at = self.ee_position
            x, y, z = (at[axis] + _REACH * action[axis] for axis in range(3))
            # Below the table top no target can be reached, only pushed against.
            flange = (x + _TOOL[0], y - _TOOL[1], max(z, 0.0) + _TOOL[2])
            arm = simulation.inverse_kinematics(body, _FLANGE, flange, _DOWN)[:7]
        else:
            angles = simulation.joint_positions(body, _ARM)
            arm = [at + _REACH * by for at, by in zip(angles, action[:7], strict=True)]
        opening = self._opening + _OPENING * action[-1] if self.gripper else 0.0
        simulation.drive_joints(body, _JOINTS, (*arm, 0.0, *_finger_angles(opening)), _FORCES)

    def observe(self) -> Vector:
        """Position and velocity of the end effector, and the distance between the tips."""
        self.ee_position, velocity = self._simulation.tool_motion(self._body, _FLANGE, _TOOL)
        if not self.gripper:
            return (*self.ee_position, *velocity)
        left, right = self._simulation.joint_positions(self._body, _FINGERS)
        self._opening = _AT_ZERO + _PER_RADIAN * 0.5 * (right - left)
        return (*self.ee_position, *velocity, self._opening)


def _finger_angles(opening: float) -> Vector:
    """Angles of both fingers and both tips, which stay parallel, for a distance in metres."""
    angle = (min(max(opening, 0.0), _WIDEST) - _AT_ZERO) / _PER_RADIAN
    return (-angle, angle, angle - _TIPS_PARALLEL, _TIPS_PARALLEL - angle)
