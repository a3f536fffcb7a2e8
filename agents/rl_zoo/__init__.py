"""The presets as RL Baselines3 Zoo reads them.

The Zoo takes one config per algorithm, `--conf-file agents.rl_zoo.sac`, and reads from it a
dictionary `hyperparams` by environment id. The modules here compute theirs from the presets, so
there is no second copy to maintain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

import envs
from agents.config import RunConfig
from agents.hyperparameters import CLASSES
from agents.learners.environments import env_arguments
from agents.presets import load_preset
from schedules import ProgressSchedule, schedule_from_dict


class FollowSchedule(BaseCallback):
    """Applies a schedule to a model that was built with a fixed learning rate.

    The Zoo accepts a learning rate only as a number or a linear decay to zero, but any callback. If
    the model's rate is not the schedule's first one, `--hyperparams` or a search has set it, and
    the model keeps it.

    Args:
        schedule: In the form of `Schedule.to_dict`.

    Raises:
        ValueError: If `schedule` is not the form of one.
    """

    def __init__(self, schedule: Mapping[str, Any]) -> None:
        super().__init__()
        self._schedule = schedule_from_dict(schedule)

    def _on_training_start(self) -> None:
        if self.model.lr_schedule(1.0) != self._schedule(0):
            return
        self.model.learning_rate = ProgressSchedule(self._schedule, self.model._total_timesteps)
        self.model._setup_lr_schedule()

    def _on_step(self) -> bool:
        return True


def zoo_entry(config: RunConfig) -> dict[str, Any]:
    """Translates a run's config.

    Args:
        config: The run; its seed, device and kind of vector are flags of the Zoo, and left out.

    Returns:
        The Zoo's hyperparameters of one environment; plain data, because the Zoo writes it to YAML
        beside the agent.
    """
    entry: dict[str, Any] = {
        "policy": "MultiInputPolicy",
        **config.hyperparameters,
        "n_timesteps": config.total_timesteps,
        "n_envs": config.n_envs,
        "env_kwargs": env_arguments(config, training=True),
        "learning_rate": config.schedule(0),
        "callback": [{"agents.rl_zoo.FollowSchedule": {"schedule": config.schedule.to_dict()}}],
        # The Zoo evaluates strings; as a list, these would not be what SB3's Monitor takes.
        "monitor_kwargs": "dict(info_keywords=('is_success',))",
    }
    policy_kwargs = config.hyperparameters.get("policy_kwargs") or {}
    if policy_kwargs.keys() & CLASSES.keys():
        entry["policy_kwargs"] = _with_classes(policy_kwargs)
    if config.her is not None:
        # The Zoo evaluates this string too, and `rl_zoo3.enjoy` looks for "HerReplayBuffer" in it.
        entry["replay_buffer_class"] = (
            "importlib.import_module('agents.learners.hindsight').EpisodicHerReplayBuffer"
        )
        entry["replay_buffer_kwargs"] = dict(config.her)
    if config.action_noise is not None:
        entry["noise_type"] = config.action_noise["kind"]
        entry["noise_std"] = config.action_noise["sigma"]
    if config.normalize is not None:
        # `rl_zoo3.enjoy` takes an empty dictionary for "no".
        entry["normalize"] = dict(config.normalize) or True
    return entry


def _with_classes(policy_kwargs: Mapping[str, Any]) -> str:
    """Replaces names by classes, in a string that the Zoo evaluates."""
    words = []
    for key, value in policy_kwargs.items():
        word = repr(value)
        if key in CLASSES:
            home, _, name = CLASSES[key][value].rpartition(".")
            word = f"importlib.import_module({home!r}).{name}"
        words.append(f"{key}={word}")
    return f"dict({', '.join(words)})"


def zoo_hyperparameters(algo: str) -> dict[str, dict[str, Any]]:
    """Translates the presets of an algorithm.

    Args:
        algo: A key of `agents.ALGORITHMS`.

    Returns:
        The `zoo_entry` of every task by environment id.

    Raises:
        ConfigError: If the algorithm is unknown.
    """
    return {
        name: zoo_entry(RunConfig.from_dict(load_preset(algo, task)))
        for task, name in envs.TASKS.items()
    }
