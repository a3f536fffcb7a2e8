"""PyBullet manipulation tasks as gymnasium environments.

Importing this package registers them:

    >>> import gymnasium, envs
    >>> env = gymnasium.make("bullet/Reach-v0", reward="dense")
    >>> observation, info = env.reset(seed=0)
    >>> observation["observation"].shape
    (6,)
    >>> env.close()
"""

from envs.manipulation import ManipulationEnv, Observation, check_ranges
from envs.picture import Camera
from envs.registry import (
    ROBOTS,
    TASK_TYPES,
    TASKS,
    able_robots,
    register_plugins,
    register_robot,
    register_task,
)
from envs.robots import Iiwa, Panda, Robot
from envs.simulation import Simulation
from envs.tasks import Flip, PickAndPlace, Push, Reach, Slide, Stack, Task

register_task("reach", Reach)
register_task("push", Push)
register_task("slide", Slide)
register_task("pick_and_place", PickAndPlace)
register_task("stack", Stack)
register_task("flip", Flip)
register_robot("panda", Panda)
register_robot("iiwa", Iiwa)
register_plugins()

__all__ = [
    "ROBOTS",
    "TASKS",
    "TASK_TYPES",
    "Camera",
    "ManipulationEnv",
    "Observation",
    "Robot",
    "Simulation",
    "Task",
    "able_robots",
    "check_ranges",
    "register_robot",
    "register_task",
]
