"""A trial before a run is created: errors that would soon end its training end the trial."""

from __future__ import annotations

import dataclasses
import logging
import warnings

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

import envs
from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.learners.choice import learner_record
from agents.learners.environments import training_envs
from agents.learners.model import build_model_aloud, first_update, reason, steps_per_update
from agents.learners.replay_rows import ReplayRows
from agents.runs.directory import RunError

_ENVS = 2
_ROWS = 2
_BATCH = 8
_BUFFER = 1000

logger = logging.getLogger(__name__)


def try_config(config: RunConfig) -> tuple[int, int, dict[str, str | None]]:
    """Builds a run's model, takes a step and an update with it, and discards it.

    Few environments, few rows and a small batch suffice, so it takes tenths of a second. Nothing is
    written, and the run is not affected. SB3's warnings are logged, one line each.

    Args:
        config: The run.

    Returns:
        Environment timesteps between two readings of the learning rate, the step of the first
        update, which may lie beyond the end of the training, and the result of `learner_record`.

    Raises:
        ConfigError: If the run could not be trained.
    """
    small = dataclasses.replace(config, vec_env="dummy", n_envs=min(config.n_envs, _ENVS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with training_envs(small) as venv:
                model = build_model_aloud(_with_few_rows(small), venv)
                interval = steps_per_update(model) // small.n_envs * config.n_envs
                if isinstance(model, OffPolicyAlgorithm):
                    _check_buffer(config, model, interval)
                _update_once(model, config.total_timesteps)
                learner = learner_record(model)
        except (ConfigError, RunError):
            raise
        except Exception as error:
            raise ConfigError(f"{config.algo} cannot train so: {reason(error)}") from error
    _warn(config, model, [str(entry.message) for entry in caught if _is_of_concern(entry.category)])
    if learner["fallback"] is not None:
        logger.warning(
            "%s: SB3's own update is used, which takes longer: %s",
            config.algo,
            learner["fallback"],
        )
    return interval, first_update(model, interval), learner


def _with_few_rows(config: RunConfig) -> RunConfig:
    """Shrinks the replay buffer: SB3's hindsight buffer takes seconds to create."""
    if not ALGORITHMS[config.algo].off_policy:
        return config
    rows = min(_value(config, "buffer_size"), _BUFFER)
    return dataclasses.replace(
        config, hyperparameters={**config.hyperparameters, "buffer_size": rows}
    )


def _check_buffer(config: RunConfig, model: OffPolicyAlgorithm, interval: int) -> None:
    """Checks that the run's replay buffer fits in memory and can be logged and always sampled."""
    if not isinstance(model.observation_space, spaces.Dict):
        raise ConfigError("runs need environments with dictionary observations")
    buffer = DictReplayBuffer(
        _value(config, "buffer_size"),
        model.observation_space,
        model.action_space,
        n_envs=config.n_envs,
    )
    ReplayRows(buffer, interval // config.n_envs)
    if config.her is None:
        return
    # There must be a finished episode at every update, and in a full buffer the running one may
    # have overwritten the start of the one before.
    longest = envs.TASK_TYPES[config.env].max_episode_steps
    for name, episodes in (("learning_starts", 1), ("buffer_size", 2)):
        least, given = episodes * longest * config.n_envs, _value(config, name)
        if given < least:
            raise ConfigError(
                f"hyperparameters.{name} must be at least {least} with her, {episodes} x "
                f"{longest} steps of an episode in {config.n_envs} environments, got {given}"
            )


def _value(config: RunConfig, name: str) -> int:
    value: int = ALGORITHMS[config.algo].value(name, config.hyperparameters)
    return value


def _update_once(model: BaseAlgorithm, total_timesteps: int) -> None:
    # Without a logger of its own, SB3 would create a folder.
    model.set_logger(Logger(folder=None, output_formats=[]))
    _, callback = model._setup_learn(total_timesteps, None)
    assert model.env is not None
    if isinstance(model, OffPolicyAlgorithm):
        buffer = model.replay_buffer
        assert buffer is not None
        step = TrainFreq(1, TrainFrequencyUnit.STEP)
        model.collect_rollouts(model.env, callback, step, buffer, model.action_noise)
        if isinstance(buffer, HerReplayBuffer):
            for index in range(model.n_envs):
                buffer._compute_episode_length(index)
        # So that a delayed update of the policy is not passed over.
        model._n_updates = getattr(model, "policy_delay", 1) - 1
        model.train(gradient_steps=1, batch_size=min(model.batch_size, _BATCH))
    elif isinstance(model, OnPolicyAlgorithm):
        rows = model.rollout_buffer.buffer_size = min(model.n_steps, _ROWS)
        for name in ("n_epochs", "n_critic_updates"):
            if hasattr(model, name):
                setattr(model, name, 1)
        model.collect_rollouts(model.env, callback, model.rollout_buffer, rows)
        model.train()
    if not all(torch.isfinite(parameter).all() for parameter in model.policy.parameters()):
        raise ValueError("the first update makes weights that are not finite")


def _is_of_concern(category: type[Warning]) -> bool:
    return issubclass(category, UserWarning | RuntimeWarning)


def _warn(config: RunConfig, model: BaseAlgorithm, messages: list[str]) -> None:
    for message in dict.fromkeys(" ".join(message.split()) for message in messages):
        # Said below in a line, of all the environments.
        if not message.startswith("You have specified a mini-batch size"):
            logger.warning("%s: %s", config.algo, message)
    if isinstance(model, OnPolicyAlgorithm) and hasattr(model, "batch_size"):
        rollout = model.n_steps * config.n_envs
        if rest := rollout % model.batch_size:
            logger.warning(
                "%s: batch_size %d does not divide the %d steps of a rollout, so the last batch of "
                "each pass has %d",
                config.algo,
                model.batch_size,
                rollout,
                rest,
            )
