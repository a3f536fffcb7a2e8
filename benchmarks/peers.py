"""The same environment twice: ours, and panda-gym's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import panda_gym.assets
from PIL import Image

import envs

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
