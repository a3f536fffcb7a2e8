"""From a config to the SB3 model that trains it."""

from __future__ import annotations

import inspect
import math
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import (
    ActionNoise,
    NormalActionNoise,
    OrnsteinUhlenbeckActionNoise,
)
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.vec_env import VecEnv
from torch.optim import Optimizer

import envs
from agents.algorithms import ALGORITHMS
from agents.choices import unknown_choice
from agents.config import ConfigError, RunConfig
from agents.hindsight import EpisodicHerReplayBuffer
from agents.pixels import UnprivilegedExtractor
from schedules import ProgressSchedule

# What the config says elsewhere, or what a run cannot be continued with.
_RESERVED = {
    "action_noise": "the config key action_noise",
    "device": "the config key device",
    "env": "the config key env",
    "learning_rate": "the config key schedule",
    "replay_buffer_class": "the config key her",
    "replay_buffer_kwargs": "the config key her",
    "seed": "the config key seed",
    "tensorboard_log": "the run directory",
    "verbose": "--quiet",
}


def build_model(config: RunConfig, venv: VecEnv) -> BaseAlgorithm:
    """Builds the untrained model of a run on its training environments.

    Torch is held to one thread: on several, sums are added in an order that changes from run to
    run, and no run could be repeated.

    Args:
        config: The run.
        venv: The environments of `make_training_envs`.

    Returns:
        The model, all of whose optimizers follow `config.schedule`.

    Raises:
        ConfigError: If a hyperparameter is unknown, reserved or refused by the algorithm.
    """
    torch.set_num_threads(1)
    algorithm = ALGORITHMS[config.algo]
    model_class = algorithm.load_class()
    known = set(inspect.signature(model_class).parameters)
    for name in config.hyperparameters:
        if name in _RESERVED:
            raise ConfigError(f"hyperparameter {name!r} is set by {_RESERVED[name]}")
        if name not in known:
            raise ConfigError(
                unknown_choice(f"{config.algo} hyperparameter", name, known - set(_RESERVED))
            )
    # Copied because algorithms write into what they are given.
    arguments = deepcopy({"policy": "MultiInputPolicy", **config.hyperparameters})
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    if config.observation == "pixels":
        policy_kwargs = arguments.setdefault("policy_kwargs", {})
        policy_kwargs.setdefault("features_extractor_class", UnprivilegedExtractor)
    if config.her is not None:
        if config.her.get("copy_info_dict"):
            raise ConfigError(
                "her copy_info_dict is not supported: infos are not part of a snapshot"
            )
        arguments["replay_buffer_class"] = EpisodicHerReplayBuffer
        arguments["replay_buffer_kwargs"] = dict(config.her)
    if config.action_noise is not None:
        arguments["action_noise"] = _action_noise(
            config, int(np.prod(venv.action_space.shape or ()))
        )
    try:
        model = model_class(
            env=venv,
            learning_rate=ProgressSchedule(config.schedule, config.total_timesteps),
            seed=config.seed,
            device=config.device,
            **arguments,
        )
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ConfigError(f"{config.algo} refuses its hyperparameters: {reason}") from error
    steps_per_update(model)
    return model


def check_hindsight(config: RunConfig, model: BaseAlgorithm) -> None:
    """Checks that hindsight replay will have a finished episode to draw from at every update.

    Args:
        config: The run.
        model: Its model.

    Raises:
        ConfigError: If updates begin before an episode must have ended, or the buffer is so small
            that the next one could overwrite it.
    """
    if config.her is None:
        return
    longest = envs.TASK_TYPES[config.env].max_episode_steps
    # In a full buffer, the running episode may have overwritten the start of the one before.
    for name, episodes in (("learning_starts", 1), ("buffer_size", 2)):
        least, given = episodes * longest * config.n_envs, getattr(model, name)
        if given < least:
            raise ConfigError(
                f"hyperparameter {name!r} must be at least {least} with her, {episodes} x "
                f"{longest} steps of an episode in {config.n_envs} environments, got {given}"
            )


def _action_noise(config: RunConfig, dimensions: int) -> ActionNoise:
    settings = config.action_noise or {}
    mean, sigma = np.zeros(dimensions), np.full(dimensions, float(settings["sigma"]))
    if settings["kind"] == "normal":
        return NormalActionNoise(mean, sigma)
    return OrnsteinUhlenbeckActionNoise(mean, sigma)


def steps_per_update(model: BaseAlgorithm) -> int:
    """Environment timesteps between two readings of the learning rate.

    Args:
        model: A built model.

    Returns:
        Steps, summed over the parallel environments.

    Raises:
        ConfigError: If the model trains after episodes rather than after a number of steps.
    """
    if isinstance(model, OnPolicyAlgorithm):
        return model.n_steps * model.n_envs
    if not isinstance(model, OffPolicyAlgorithm) or not isinstance(model.train_freq, TrainFreq):
        raise ConfigError(f"{type(model).__name__} is neither on-policy nor off-policy")
    if model.train_freq.unit is not TrainFrequencyUnit.STEP:
        raise ConfigError("hyperparameter 'train_freq' must count steps: [n, step], not episodes")
    return model.train_freq.frequency * model.n_envs


def first_update(model: BaseAlgorithm) -> int | None:
    """Step of the first update: the first end of a rollout after the warm-up.

    Args:
        model: A built model.

    Returns:
        The step, which may lie beyond the end of the training; `None` if the model never updates.
    """
    interval = steps_per_update(model)
    if not isinstance(model, OffPolicyAlgorithm):
        return interval
    if model.gradient_steps == 0 or not model.learning_starts < math.inf:
        return None
    return (max(0, int(model.learning_starts)) // interval + 1) * interval


def optimizers(model: BaseAlgorithm) -> dict[str, Optimizer]:
    """Every optimizer a model owns, by the dotted name under which SB3 saves it.

    Args:
        model: A built model.

    Returns:
        For SAC: `actor.optimizer`, `critic.optimizer` and `ent_coef_optimizer`.
    """
    found: dict[str, Optimizer] = {}
    for name in model._get_torch_save_params()[0]:
        value: Any = model
        for part in name.split("."):
            value = getattr(value, part)
        if isinstance(value, Optimizer):
            found[name] = value
    return found
