"""PyBullet manipulation tasks as gymnasium environments.

Importing this package registers them:

    >>> import gymnasium, envs
    >>> env = gymnasium.make("bullet/Reach-v0", reward="dense")
    >>> observation, info = env.reset(seed=0)
    >>> observation["observation"].shape
    (6,)
    >>> env.close()
"""

from gymnasium import register

from envs.manipulation import ManipulationEnv, Observation, check_ranges
from envs.robots import ROBOTS, Robot
from envs.simulation import Camera, Simulation
from envs.tasks import TASK_TYPES, Task

TASKS: dict[str, str] = {name: f"bullet/{task.__name__}-v0" for name, task in TASK_TYPES.items()}
"""The gymnasium id of every task by its short name."""

for _name, _id in TASKS.items():
    register(
        _id,
        entry_point="envs.manipulation:make",
        kwargs={"task": _name},
        max_episode_steps=TASK_TYPES[_name].max_episode_steps,
        # Wrappers that look for what the environment refuses itself, and take time in every step.
        disable_env_checker=True,
        order_enforce=False,
    )

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
    "check_ranges",
]
