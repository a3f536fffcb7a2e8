"""Whether the ranges of goals and objects leave room for both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.randomisation import LEAST_ROOM
from envs.tasks.task import Task

_LATTICE = 40_000


def check_room(
    task: Task,
    bodies: int,
    fits: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]],
    condition: str,
) -> None:
    """Raise a ValueError if hardly any placement of a task's bodies is valid.

    Goals are drawn once and bodies until they fit, so there must be room beside every goal. The
    goal looked at is the one that leaves least: the nearest to the middle of the bodies' range.

    Args:
        task: The task; its `goal_x`, `goal_y`, `object_x` and `object_y` are looked at.
        bodies: How many bodies it places.
        fits: Which of n placements of the bodies, shape (n, bodies, 2), are valid with a goal,
            shape (2,).
        condition: What `fits` asks for, for the message.

    Raises:
        ValueError: Less than `LEAST_ROOM` of the placements are valid.
    """
    names = ("goal_x", "goal_y", "object_x", "object_y")
    ranges = np.array([task.ranges[name] for name in names])
    goals, objects = ranges[:2], ranges[2:]
    goal = np.clip(objects.mean(1), goals[:, 0], goals[:, 1])
    points = round(_LATTICE ** (0.5 / bodies))
    axes = [np.linspace(low, high, points) for low, high in objects] * bodies
    starts = np.stack(np.meshgrid(*axes), -1).reshape(-1, bodies, 2)
    share = float(np.mean(fits(starts, goal)))
    if share < LEAST_ROOM:
        given = ", ".join(
            f"{name} in [{low:g}, {high:g}]"
            for name, (low, high) in zip(names, ranges.tolist(), strict=True)
        )
        raise ValueError(
            f"{type(task).__name__} needs room: {condition}, but with {given} "
            f"{'no' if share == 0.0 else 'hardly any'} placement is, "
            f"for a goal at ({goal[0]:g}, {goal[1]:g}); widen object_x or object_y"
        )
