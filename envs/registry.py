"""The tasks and robots that exist, by name: the lab's own and those of other packages.

Another package adds its own through an entry point; every process that imports `envs` then has it:

    [project.entry-points."staircase_lab.tasks"]
    nudge = "my_package:Nudge"
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import gymnasium as gym

from envs.robots.robot import Robot
from envs.tasks.task import Task

TASK_GROUP, ROBOT_GROUP = "staircase_lab.tasks", "staircase_lab.robots"
"""Entry-point groups in which other packages name their tasks and robots."""

TASK_TYPES: dict[str, type[Task]] = {}
"""Every task by its short name."""

TASKS: dict[str, str] = {}
"""The gymnasium id of every task by its short name: `bullet/<class name>-v0`."""

ROBOTS: dict[str, type[Robot]] = {}
"""Every robot by the name that `gymnasium.make(..., robot=name)` takes."""

KindT = TypeVar("KindT", Task, Robot)


def register_task(name: str, task_type: type[Task]) -> None:
    """Registers a task under its name, and with gymnasium as `bullet/<class name>-v0`.

    Registering the same class under the same name again does nothing.

    Args:
        name: Short name, as `train.py --env` takes it: lower-case letters, digits and `_`.
        task_type: The task's class.

    Raises:
        TypeError: If `task_type` is not a class of a task, or leaves out what a task must have.
        ValueError: If `name` is not such a name, or it or the gymnasium id is taken by another
            task.
    """
    if not _is_new(name, task_type, Task, TASK_TYPES):
        return
    for attribute in ("goal_size", "threshold"):
        if not hasattr(task_type, attribute):
            raise TypeError(f"task {name!r}: {task_type.__name__} has no {attribute}")
    environment = f"bullet/{task_type.__name__}-v0"
    if environment in gym.registry:
        raise ValueError(f"task {name!r}: {environment} is registered already; rename the class")
    gym.register(
        environment,
        entry_point="envs.manipulation:make",
        kwargs={"task": name},
        max_episode_steps=task_type.max_episode_steps,
        # These wrappers check what the environment itself checks, and cost time in every step.
        disable_env_checker=True,
        order_enforce=False,
    )
    TASK_TYPES[name], TASKS[name] = task_type, environment


def register_robot(name: str, robot_type: type[Robot]) -> None:
    """Registers a robot under its name.

    Registering the same class under the same name again does nothing.

    Args:
        name: Name, as `train.py --robot` takes it: lower-case letters, digits and `_`.
        robot_type: The robot's class.

    Raises:
        TypeError: If `robot_type` is not a class of a robot, or leaves out what a robot must have.
        ValueError: If `name` is not such a name, or is taken by another robot.
    """
    if _is_new(name, robot_type, Robot, ROBOTS):
        ROBOTS[name] = robot_type


def able_robots(task: str) -> tuple[str, ...]:
    """Returns the names of the robots that can do a task.

    Args:
        task: Short name of the task.
    """
    needs_gripper = TASK_TYPES[task].needs_gripper
    return tuple(name for name, robot in ROBOTS.items() if robot.has_gripper or not needs_gripper)


def register_plugins() -> None:
    """Registers the tasks and robots that installed packages name in their entry points.

    One that cannot be registered is left out with a warning that names it, because the others, and
    the lab's own, work without it.
    """
    for group, register in ((TASK_GROUP, register_task), (ROBOT_GROUP, register_robot)):
        for plugin in sorted(entry_points(group=group), key=lambda plugin: plugin.name):
            _register_plugin(plugin, register)


def _register_plugin(plugin: EntryPoint, register: Callable[[str, Any], None]) -> None:
    try:
        register(plugin.name, plugin.load())
    except Exception as error:
        # Whatever a foreign module raises on import, its reason is more useful than a traceback.
        package = "an unknown package" if plugin.dist is None else plugin.dist.name
        warnings.warn(
            f"{plugin.name} = {plugin.value!r} of {package} ({plugin.group}) is left out: "
            f"{type(error).__name__}: {error}",
            stacklevel=2,
        )


def _is_new(
    name: str,
    given: type[KindT],
    base: Any,  # noqa: ANN401 (mypy takes no abstract class for a type)
    known: dict[str, type[KindT]],
) -> bool:
    kind = base.__name__.lower()
    if not isinstance(given, type) or not issubclass(given, base):
        raise TypeError(f"{kind} {name!r} must be a class of envs.{base.__name__}, got {given!r}")
    if inspect.isabstract(given):
        missing = ", ".join(sorted(given.__abstractmethods__))
        raise TypeError(f"{kind} {name!r}: {given.__name__} does not define {missing}")
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"a {kind} is named by lower-case letters, digits and underscores, got {name!r}"
        )
    if (other := known.get(name)) is not None and other is not given:
        raise ValueError(
            f"{kind} {name!r} is registered already, as {other.__module__}.{other.__name__}"
        )
    return other is None
