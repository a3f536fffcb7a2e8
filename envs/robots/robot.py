"""What a robot must offer a task and an environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

from envs.choices import check_choice
from envs.simulation import Simulation, Vector

Control = Literal["ee", "joints"]
"""What an action displaces: the end effector or the arm's joints."""

CONTROLS: tuple[Control, ...] = get_args(Control)


class Robot(ABC):
    """A robot, made before it is put into a simulation.

    Args:
        control: What an action displaces: `"ee"`, the end effector, or `"joints"`.
        gripper: Whether actions also open and close the gripper; else it stays closed.

    Raises:
        ValueError: If `control` is unknown, or `gripper` is asked for and the robot has none.

    Attributes:
        has_gripper: Whether this kind of robot has a gripper to open and close.
        camera_distance: How many times as far as the task's camera one must be to see all of it.
        action_size: Number of entries of an action, each in [-1, 1].
        observation_size: Number of entries of `observe`.
        ee_position: Position of the end effector at the last `observe`, in metres.
    """

    has_gripper: ClassVar[bool] = False
    camera_distance: ClassVar[float] = 1.0
    action_size: int
    observation_size: int
    ee_position: Vector

    def __init__(self, control: Control = "ee", gripper: bool = False) -> None:
        check_choice("control", control, CONTROLS)
        if gripper and not self.has_gripper:
            raise ValueError(f"{type(self).__name__} has no gripper to open and close")
        self.control = control
        self.gripper = gripper

    @abstractmethod
    def load(self, simulation: Simulation) -> None:
        """Puts the robot into the simulation; called once."""

    @abstractmethod
    def reset(self) -> None:
        """Returns to the rest pose, touching nothing, with the motors holding it.

        Nothing of what happened before may survive: joints are placed at rest and motors set anew.
        """

    def grasp(self, position: Vector, width: float) -> None:
        """Puts the end effector somewhere, with the gripper about to close.

        A robot with a gripper must have this.

        Args:
            position: About where, in metres; `observe` tells exactly.
            width: Of what is to be held, in metres.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it grasps")

    @abstractmethod
    def act(self, action: Vector) -> None:
        """Sets the motors for the coming control period.

        Args:
            action: `action_size` numbers in [-1, 1].
        """

    @abstractmethod
    def observe(self) -> Vector:
        """Reads the robot's part of the observation and updates `ee_position`."""
