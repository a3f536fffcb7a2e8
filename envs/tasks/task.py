"""The interface of a task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from envs.controllers import Controller
from envs.picture import Camera
from envs.randomisation import Interval, Quantity, Range, read_ranges
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector

Goals: TypeAlias = list[float] | NDArray[np.floating]
"""One goal or many, shape (..., goal_size)."""

Distances: TypeAlias = float | NDArray[np.floating]
"""Of one goal, or of many, shape (...)."""


ROUNDING = 1e-6
"""Tolerance of a goal's entries, for goals that were in single precision for a while."""


class Task(ABC):
    """A goal-conditioned task, created before it is put into a simulation.

    Args:
        **given: The task's quantities: a number each, or a pair (low, high) to draw from.

    Raises:
        TypeError: If a keyword is none of `quantities`.
        ValueError: If a value is invalid.

    Attributes:
        quantities: What keywords can set; empty by default.
        given: The keywords that were given, with the ranges of their quantities.
        ranges: The range of each of `quantities`.
        observation_size: Number of entries of `observe`.
        goal_size: Number of entries of a goal.
        threshold: Distance to the goal below which the task is done.
        needs_gripper: Whether the robot must be able to open and close its gripper.
        max_episode_steps: Steps after which an environment of `gymnasium.make` truncates.
        camera: The default camera of frames.
        pixels_camera: The default camera of pixel observations.
        controller: Does the task by hand, to demonstrate it to agents; `None` if there is none.
    """

    quantities: ClassVar[Mapping[str, Quantity]] = MappingProxyType({})
    observation_size: int = 0
    goal_size: int
    threshold: float
    needs_gripper: bool = False
    max_episode_steps: int = 50
    camera: Camera = Camera()
    pixels_camera: Camera = Camera((0.08, 0.0, 0.15), distance=0.65, yaw=90.0, pitch=-42.0)
    controller: Controller | None = None

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
            generator: The only source of randomness that a task may use.
            goal: A requested goal, as `read_goal` returned it. A goal is drawn all the same
                and then replaced, so that the rest of the episode does not change. A task without
                `read_goal` never gets one.

        Returns:
            The desired goal.
        """

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks a goal that is requested instead of drawn.

        Args:
            goal: `goal_size` finite numbers.

        Returns:
            The goal, for `reset`.

        Raises:
            ValueError: If `reset` would never draw it, or the task takes none.
        """
        raise ValueError(f"{type(self).__name__} draws its goals and takes none")

    def lost(self, achieved_goals: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tells at which achieved goals an object is where no goal lies, and no arm gets it back.

        Args:
            achieved_goals: Shape (..., goal_size).

        Returns:
            Shape (...); all false by default.
        """
        return np.zeros(achieved_goals.shape[:-1], np.bool_)

    def _check_entries(self, goal: Sequence[float], bounds: Mapping[str, Interval]) -> None:
        """Refuses a goal with an entry out of its bounds.

        Args:
            goal: The goal.
            bounds: The range of each entry by its name, in metres.

        Raises:
            ValueError: If an entry is out of its range.
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

        A single goal may be a list, which is faster. Implementations should use `pairs`,
        because NumPy sums one goal and many goals in different orders, and a batch must get the
        same rewards as its goals one by one.

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
