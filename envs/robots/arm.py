"""What the 7-joint arms with a two-finger gripper have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from envs.robots.robot import Control, Robot
from envs.simulation import Simulation, Vector

BASE = (-0.6, 0.0, 0.0)
"""Where the base stands."""

_ARM = (0, 1, 2, 3, 4, 5, 6)
_FLANGE = 6
_REACH = 0.05
_OPENING = 0.2
# A robot that is so near to where it was sent, in metres or radians, is sent on from there: sent on
# from where it is, it would sink, a little in every control period.
_ARRIVED = 0.001
# They bring the hand to within 2 mm of any place above the table.
_GRASP_ITERATIONS = 8


class Arm(Robot):
    """A 7-joint arm with a gripper of two fingers that points down.

    A subclass is a model's numbers: it loads the model and says how the gripper's joints and its
    opening belong together. Of the model, joint 0 to 6 are the arm's, and link 6 is the flange that
    carries the gripper.

    Attributes:
        joints: Indices of all driven joints, the arm's first.
        forces: Greatest torque in N·m, or force in N, of each.
        rest: Angles of the arm's joints in the rest pose.
        fingers: Indices of the two joints that tell how far the gripper is open.
        tips: Indices of the links that touch what is held.
        shoulder: Indices of links, -1 is the base, that cannot come near the table.
        tool: The end effector in the flange's frame, in metres.
        down: Quaternion of the flange when the gripper points down.
        above: From the end effector to the flange when the gripper points down, in metres.
    """

    has_gripper = True
    joints: ClassVar[tuple[int, ...]]
    forces: ClassVar[tuple[float, ...]]
    rest: ClassVar[tuple[float, ...]]
    fingers: ClassVar[tuple[int, int]]
    tips: ClassVar[tuple[int, int]]
    shoulder: ClassVar[tuple[int, ...]]
    tool: ClassVar[tuple[float, float, float]]
    down: ClassVar[tuple[float, float, float, float]]
    above: ClassVar[tuple[float, float, float]]

    def __init__(self, control: Control = "ee", gripper: bool = False) -> None:
        super().__init__(control, gripper)
        self.action_size = (3 if control == "ee" else 7) + gripper
        self.observation_size = 6 + gripper
        # Where the last action sent the end effector or the joints; nowhere before the first.
        self._sent: Vector | None = None

    def load(self, simulation: Simulation) -> None:
        """Puts the robot into the simulation."""
        self._simulation = simulation
        self._body = self.load_model(simulation)
        for tip in self.tips:
            simulation.set_friction(self._body, tip, sliding=1.0, turning=0.001)
        simulation.ignore_contacts(self._body, self.shoulder)

    @abstractmethod
    def load_model(self, simulation: Simulation) -> int:
        """Puts the model into the simulation and returns its body."""

    @abstractmethod
    def gripper_angles(self, opening: float, now: float) -> Vector:
        """Positions of the driven joints after the arm's, to move the gripper.

        Args:
            opening: What it is to come to, in metres, clipped.
            now: What it is, in metres.
        """

    @abstractmethod
    def opening(self, first: float, second: float) -> float:
        """Returns the opening of the gripper in metres for positions of its fingers."""

    def reset(self) -> None:
        """Returns to the rest pose."""
        self._sent = None
        rest = (*self.rest, *self.gripper_angles(0.0, 0.0))
        self._simulation.place_joints(self._body, self.joints, rest)
        self._simulation.drive_joints(self._body, self.joints, rest, self.forces)

    def grasp(self, position: Vector, width: float) -> None:
        """Puts the end effector somewhere, with the gripper about to close."""
        simulation, body = self._simulation, self._body
        self._sent = None
        (x, y, z), (dx, dy, dz) = position, self.above
        flange = (x + dx, y + dy, z + dz)
        for _ in range(_GRASP_ITERATIONS):
            arm = simulation.inverse_kinematics(body, _FLANGE, flange, self.down)[:7]
            simulation.place_joints(body, self.joints, (*arm, *self.gripper_angles(width, width)))
        closed = (*arm, *self.gripper_angles(0.0, width))
        simulation.drive_joints(body, self.joints, closed, self.forces)

    def act(self, action: Vector) -> None:
        """Displaces the motors' targets if they are reached, else the positions of the robot."""
        simulation, body = self._simulation, self._body
        if self.control == "ee":
            x, y, height = self._displace(self.ee_position, action)
            dx, dy, dz = self.above
            # Below the table top no target can be reached, only pushed against.
            flange = (x + dx, y + dy, max(height, 0.0) + dz)
            arm = simulation.inverse_kinematics(body, _FLANGE, flange, self.down)[:7]
        else:
            arm = self._displace(simulation.joint_positions(body, _ARM), action)
        if not self.gripper:
            # Its own motors go on holding the gripper closed.
            simulation.drive_joints(body, _ARM, arm, self.forces[:7])
            return
        now = self._opening
        targets = (*arm, *self.gripper_angles(now + _OPENING * action[-1], now))
        simulation.drive_joints(body, self.joints, targets, self.forces)

    def _displace(self, positions: Vector, action: Vector) -> Vector:
        """Returns where an action sends what is at these positions."""
        sent = positions if self._sent is None else self._sent
        # After these, an action may have an entry for the gripper.
        self._sent = [
            (to if abs(to - at) < _ARRIVED else at) + _REACH * by
            for at, to, by in zip(positions, sent, action[: len(positions)], strict=True)
        ]
        return self._sent

    def observe(self) -> Vector:
        """Returns position and velocity of the end effector, and the gripper's opening."""
        self.ee_position, velocity = self._simulation.tool_motion(self._body, _FLANGE, self.tool)
        if not self.gripper:
            return (*self.ee_position, *velocity)
        self._opening = self.opening(*self._simulation.joint_positions(self._body, self.fingers))
        return (*self.ee_position, *velocity, self._opening)
