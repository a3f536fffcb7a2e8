"""What a task must offer an environment."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from envs.picture import Camera
from envs.randomisation import Interval, Quantity, Range, read_ranges
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector

Goals: TypeAlias = list[float] | NDArray[np.floating]
"""One goal or many, shape (..., goal_size)."""

Distances: TypeAlias = float | NDArray[np.floating]
"""Of one goal, or of many, shape (...)."""


ROUNDING = 1e-6
"""How far entries of a goal may be off that was single precision for a while."""


class Task(ABC):
    """A goal-conditioned task, made before it is put into a simulation.

    Args:
        **given: Where the task's quantities lie: a number each, or a pair (low, high) to draw from.

    Raises:
        TypeError: A keyword is none of `quantities`.
        ValueError: A value is invalid.

    Attributes:
        quantities: What keywords can set; a task without says nothing of it.
        given: The keywords that were given and where their quantities lie.
        ranges: Where each of `quantities` lies.
        observation_size: Number of entries of :meth:`observe`.
        goal_size: Number of entries of a goal.
        threshold: Distance to the goal below which the task is done.
        needs_gripper: Whether the robot must be able to open and close its gripper.
        max_episode_steps: Steps after which `gymnasium.make` has an episode truncated.
        camera: Where frames are rendered from unless the environment is told otherwise.
        pixels_camera: Where pixel observations are seen from, likewise.
    """

    quantities: ClassVar[Mapping[str, Quantity]] = MappingProxyType({})
    observation_size: int = 0
    goal_size: int
    threshold: float
    needs_gripper: bool = False
    max_episode_steps: int = 50
    camera: Camera = Camera()
    pixels_camera: Camera = Camera((0.08, 0.0, 0.15), distance=0.65, yaw=90.0, pitch=-42.0)

    def __init__(self, **given: Range) -> None:
        self.ranges = read_ranges(type(self).__name__, self.quantities, given)
        self.given: dict[str, Interval] = {name: self.ranges[name] for name in given}

    @abstractmethod
    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Puts the scene into the simulation; called once."""

    @abstractmethod
    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Places every movable body and draws a goal.

        Args:
            generator: The only source of chance a task may use.
            goal: One that was asked for, as :meth:`read_goal` returned it. It takes the place of
                the one that is drawn all the same, so that the episode is else that of the
                generator. A task without `read_goal` is never given one.

        Returns:
            The desired goal.
        """

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks a goal that is requested instead of drawn.

        Args:
            goal: `goal_size` finite numbers.

        Returns:
            The goal, for :meth:`reset`.

        Raises:
            ValueError: :meth:`reset` would never draw it, or the task takes none.
        """
        raise ValueError(f"{type(self).__name__} draws its goals and takes none")

    def _check_entries(self, goal: Sequence[float], bounds: Mapping[str, Interval]) -> None:
        """Refuses a goal with an entry out of its bounds.

        Args:
            goal: The goal.
            bounds: By its name, where each entry lies, in metres.

        Raises:
            ValueError: One does not.
        """
        for entry, (name, (low, high)) in zip(goal, bounds.items(), strict=True):
            if not low - ROUNDING <= entry <= high + ROUNDING:
                where = f"{low:g}" if low == high else f"from {low:g} to {high:g}"
                raise ValueError(
                    f"{name} of a goal of {type(self).__name__} is {where} m here, got {entry:g}"
                )

    @abstractmethod
    def achieved_goal(self) -> Vector:
        """Returns the goal that the current state fulfils; called after both `observe`."""

    def observe(self) -> Vector:
        """Reads the task's part of the observation."""
        return ()

    def distance(self, achieved_goal: Goals, desired_goal: Goals) -> Distances:
        """Returns the distance between goals; Euclidean unless a task overrides it.

        One goal may come as a list, which is faster. Go through :func:`pairs`: the rewards of a
        batch must be those of its goals, and numpy's sums of one and of many differ.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Shape (..., goal_size).

        Returns:
            Shape (...).
        """
        square: Distances = 0.0
        for achieved, desired in pairs(achieved_goal, desired_goal):
            offset = achieved - desired
            square += offset * offset
        if isinstance(square, float):
            return math.sqrt(square)
        distances: NDArray[np.floating] = np.sqrt(square)
        return distances


def pairs(achieved_goal: Goals, desired_goal: Goals) -> Iterable[tuple[Any, Any]]:
    """Pairs the entries of two goals (numbers), or of many goals (arrays of shape (...)).

    Arithmetic on these gives the same bits for one goal as for many, and on the few numbers of one
    plain Python is faster than numpy.

    Args:
        achieved_goal: Shape (..., goal_size).
        desired_goal: Shape (..., goal_size); a list, and as long, if the other is.

    Returns:
        `goal_size` pairs.
    """
    if isinstance(achieved_goal, list):
        return zip(achieved_goal, desired_goal, strict=True)
    goals = (np.asarray(goal, np.float64) for goal in (achieved_goal, desired_goal))
    return zip(*(np.moveaxis(goal, -1, 0) for goal in goals), strict=True)
