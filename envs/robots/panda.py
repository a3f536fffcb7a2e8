"""Franka Emika's Panda, from `pybullet_data`."""

from __future__ import annotations

from envs.robots.robot import Control, Robot
from envs.simulation import Simulation, Vector

_ARM = (0, 1, 2, 3, 4, 5, 6)
_FINGERS = (9, 10)
_OPENING = 0.2
_JOINTS = (*_ARM, *_FINGERS)
_SHOULDER = (-1, 0, 1, 2)
_END_EFFECTOR = 11
# A tenth of a millimetre off the stop: on it, motor and stop fight, which takes the solver longer.
_CLOSED = (0.0001, 0.0001)
_REST = (0.0, 0.41, 0.0, -1.85, 0.0, 2.26, 0.79, *_CLOSED)
_FORCES = (87.0, 87.0, 87.0, 87.0, 12.0, 120.0, 120.0, 170.0, 170.0)
_BASE = (-0.6, 0.0, 0.0)
_DOWN = (1.0, 0.0, 0.0, 0.0)
_REACH = 0.05


class Panda(Robot):
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

    has_gripper = True

    def __init__(self, control: Control = "ee", gripper: bool = False) -> None:
        super().__init__(control, gripper)
        self.action_size = (3 if control == "ee" else 7) + gripper
        self.observation_size = 6 + gripper

    def load(self, simulation: Simulation) -> None:
        """Put the arm into the simulation."""
        self._simulation = simulation
        self._body = simulation.load_urdf("franka_panda/panda.urdf", _BASE)
        for finger in _FINGERS:
            simulation.set_friction(self._body, finger, sliding=1.0, turning=0.001)
        # Whatever the joints do, these links stay more than 5 cm above the table.
        simulation.ignore_contacts(self._body, _SHOULDER)

    def reset(self) -> None:
        """Return to the rest pose."""
        self._simulation.place_joints(self._body, _JOINTS, _REST)
        self._simulation.drive_joints(self._body, _JOINTS, _REST, _FORCES)

    def act(self, action: Vector) -> None:
        """Displace the motors' targets from where the arm is now."""
        simulation, body = self._simulation, self._body
        if self.control == "ee":
            at = self.ee_position
            x, y, z = (at[axis] + _REACH * action[axis] for axis in range(3))
            # Below the table top no target can be reached, only pushed against.
            arm = simulation.inverse_kinematics(body, _END_EFFECTOR, (x, y, max(z, 0.0)), _DOWN)[:7]
        else:
            angles = simulation.joint_positions(body, _ARM)
            arm = [at + _REACH * by for at, by in zip(angles, action[:7], strict=True)]
        fingers = _CLOSED
        if self.gripper:
            fingers = (0.5 * (self._opening + _OPENING * action[-1]),) * 2
        simulation.drive_joints(body, _JOINTS, (*arm, *fingers), _FORCES)

    def observe(self) -> Vector:
        """Position and velocity of the end effector, and the distance between the fingers."""
        self.ee_position, velocity = self._simulation.link_motion(self._body, _END_EFFECTOR)
        if not self.gripper:
            return (*self.ee_position, *velocity)
        self._opening = sum(self._simulation.joint_positions(self._body, _FINGERS))
        return (*self.ee_position, *velocity, self._opening)
