"""What a task must offer an environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from envs.robots.robot import Robot
from envs.simulation import Camera, Simulation, Vector

Goals: TypeAlias = list[float] | NDArray[np.floating]
"""One goal or many, shape (..., goal_size)."""


class Task(ABC):
    """A goal-conditioned task, made before it is put into a simulation.

    Attributes:
        observation_size: Number of entries of :meth:`observe`.
        goal_size: Number of entries of a goal.
        threshold: Distance to the goal below which the task is done.
        needs_gripper: Whether the robot must be able to open and close its gripper.
        max_episode_steps: Steps after which `gymnasium.make` has an episode truncated.
        camera: Where frames are rendered from unless the environment is told otherwise.
    """

    observation_size: int = 0
    goal_size: int
    threshold: float
    needs_gripper: bool = False
    max_episode_steps: int = 50
    camera: Camera = Camera()

    @abstractmethod
    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Put the scene into the simulation; called once."""

    @abstractmethod
    def reset(self, generator: np.random.Generator) -> Vector:
        """Place every movable body and draw a goal.

        Args:
            generator: The only source of chance a task may use.

        Returns:
            The desired goal.
        """

    @abstractmethod
    def achieved_goal(self) -> Vector:
        """The goal that the present state would fulfil; read after both `observe`."""

    def observe(self) -> Vector:
        """Read the task's own part of the observation."""
        return ()

    def distance(self, achieved_goal: Goals, desired_goal: Goals) -> NDArray[np.float64]:
        """Distance between goals; Euclidean unless a task says otherwise.

        One goal may come as a list, which is faster. Go through :func:`entries`: the rewards of a
        batch must be those of its goals, and numpy's sums of one and of many differ.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Shape (..., goal_size).

        Returns:
            Shape (...).
        """
        square = 0.0
        for achieved, desired in zip(entries(achieved_goal), entries(desired_goal), strict=True):
            square += (achieved - desired) * (achieved - desired)
        distance: NDArray[np.float64] = np.sqrt(square)
        return distance


def entries(goals: Goals) -> Sequence[Any]:
    """The entries of one goal, numbers, or of many goals, arrays of shape (...).

    Arithmetic on these gives the same bits for one goal as for many, and on the few numbers of one
    plain Python is faster than numpy.

    Args:
        goals: Shape (..., goal_size).

    Returns:
        `goal_size` entries.
    """
    if isinstance(goals, list):
        return goals
    columns: Sequence[Any] = np.moveaxis(np.asarray(goals, np.float64), -1, 0)  # type: ignore[assignment]
    return columns
