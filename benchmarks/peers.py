"""The same environment twice: ours, and panda-gym's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import envs

try:
    import panda_gym.assets
except ModuleNotFoundError:
    raise SystemExit(
        "panda-gym is not installed: pip install -c constraints.txt -e '.[benchmarks]'"
    ) from None

# The wheel of panda-gym lacks the picture that its Flip puts on the cube: any other will do.
_TEXTURES = tempfile.TemporaryDirectory()
Image.new("RGB", (4, 4)).save(Path(_TEXTURES.name) / "colored_cube.png")
panda_gym.assets.get_data_path = lambda: _TEXTURES.name

SIDES = ("ours", "panda-gym")


def make(side: str, task: str, control: str = "ee", **kwargs: Any) -> gym.Env[Any, Any]:
    """A task by its short name, on one side."""
    if side == "ours":
        return gym.make(envs.TASKS[task], control=control, **kwargs)
    return gym.make(peer_id(task, control), **kwargs)


def peer_id(task: str, control: str = "ee") -> str:
    """Panda-gym's name of a task."""
    suffix = "Joints" if control == "joints" else ""
    return f"Panda{envs.TASK_TYPES[task].__name__}{suffix}-v3"


TASKS = tuple(task for task in envs.TASKS if peer_id(task) in gym.registry)
"""Those that both sides have, by their short names."""


class Trainable(gym.Wrapper[Any, Any, Any, Any]):
    """Panda-gym's environment, with the methods that our training needs.

    Args:
        env: The environment.
        grasped: Probability that an episode begins with the cube in the hand, as our PickAndPlace
            has it.
    """

    def __init__(self, env: gym.Env[Any, Any], grasped: float = 0.0) -> None:
        super().__init__(env)
        self._grasped = grasped

    def compute_terminated(
        self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: object
    ) -> NDArray[np.bool_]:
        """Whether the goals are reached: that ends panda-gym's episodes, too."""
        reached: NDArray[np.bool_] = self.unwrapped.task.is_success(achieved_goal, desired_goal)  # type: ignore[attr-defined]
        return reached

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode, perhaps with a grasp."""
        observation, info = super().reset(**kwargs)
        if self.unwrapped.task.np_random.random() >= self._grasped:  # type: ignore[attr-defined]
            return observation, info
        self._grasp(observation["desired_goal"])
        return self.unwrapped._get_obs(), info  # type: ignore[attr-defined]

    def _grasp(self, goal: NDArray[np.float64]) -> None:
        """Put the hand somewhere above the table, and the cube between its fingers."""
        env: Any = self.unwrapped
        task, robot, upright = env.task, env.robot, np.array([0.0, 0.0, 0.0, 1.0])
        lift, centre = np.array([0.0, 0.0, 0.2]), np.array([0.0, 0.0, 0.5 * task.object_size])
        low, high = task.obj_range_low, task.obj_range_high + lift
        while True:
            position = task.np_random.uniform(low, high) + centre
            if np.linalg.norm(position - goal) >= task.distance_threshold + 0.005:
                break
        fingers = [0.5 * task.object_size] * 2
        for _ in range(8):
            arm = robot.inverse_kinematics(
                robot.ee_link, position, orientation=np.array([1.0, 0.0, 0.0, 0.0])
            )[:7]
            robot.set_joint_angles(np.concatenate([arm, fingers]))
        env.sim.set_base_pose("object", robot.get_ee_position(), upright)
