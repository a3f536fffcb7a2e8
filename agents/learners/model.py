"""From a config to the SB3 model that trains it."""

from __future__ import annotations

import inspect
import warnings
from copy import deepcopy
from pkgutil import resolve_name
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
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.vec_env import VecEnv
from torch.optim import Optimizer

from agents.config import ConfigError, RunConfig
from agents.hyperparameters import CLASSES, RESERVED
from agents.learners import choice
from agents.learners.features import UnprivilegedExtractor
from agents.learners.hindsight import EpisodicHerReplayBuffer
from envs.choices import unknown_choice
from schedules import ProgressSchedule

# Arguments of the SB3 classes that take a class, or that are SB3's own business.
_NOT_FOR_CONFIGS = {"_init_setup_model", "rollout_buffer_class", "rollout_buffer_kwargs"}

_VALUE_FUNCTION = ("mlp_extractor.value_net.", "value_net.", "vf_features_extractor.")
"""Names in SB3's `ActorCriticPolicy` begin so."""


def build_model(config: RunConfig, venv: VecEnv) -> BaseAlgorithm:
    """Builds the untrained model of a run on its training environments.

    Torch is limited to one thread: with several, the order of additions changes from run to run,
    and no run could be repeated. SB3's warnings are suppressed here, because
    `agents.learners.trial` shows them once, before a run is created.

    Args:
        config: The run.
        venv: The environments of `make_training_envs`.

    Returns:
        The model, all of whose optimizers follow `config.schedule`.

    Raises:
        ConfigError: If a hyperparameter is unknown or refused by the algorithm, or there is no
            such device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_model_aloud(config, venv)


def build_model_aloud(config: RunConfig, venv: VecEnv) -> BaseAlgorithm:
    """Builds the same as `build_model`, without suppressing SB3's warnings.

    Args:
        config: The run.
        venv: The environments of `make_training_envs`.

    Returns:
        The model.

    Raises:
        ConfigError: If a hyperparameter is unknown or refused by the algorithm, or there is no
            such device.
    """
    check_device(config.device)
    torch.set_num_threads(1)
    model_class = choice.model_class(config)
    known = set(inspect.signature(model_class).parameters) - RESERVED.keys() - _NOT_FOR_CONFIGS
    for name in config.hyperparameters:
        if name not in known:
            raise ConfigError(unknown_choice(f"{config.algo} hyperparameter", name, known))
    # Copied because algorithms write into what they are given.
    arguments = deepcopy({"policy": "MultiInputPolicy", **config.hyperparameters})
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    arguments["policy_kwargs"] = _policy_kwargs(config, model_class)
    if config.her is not None:
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
    except Exception as error:
        raise ConfigError(f"{config.algo} refuses its hyperparameters: {reason(error)}") from error
    steps_per_update(model)
    return model


def check_device(device: str) -> None:
    """Refuses a device that torch does not find; SB3 would silently use the CPU.

    Args:
        device: As in `RunConfig`.

    Raises:
        ConfigError: If there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: torch finds no GPU here; valid: cpu")


def reason(error: Exception) -> str:
    """Condenses an error of SB3 or torch into one line.

    Args:
        error: The error.
    """
    line = str(error).strip().split("\n")[0]
    if isinstance(error, ValueError | AssertionError) and line:
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _policy_kwargs(config: RunConfig, model_class: type[BaseAlgorithm]) -> dict[str, Any]:
    """Returns the policy's keyword arguments, with names resolved to classes."""
    given: dict[str, Any] = deepcopy(dict(config.hyperparameters.get("policy_kwargs") or {}))
    known = _keyword_arguments(model_class.policy_aliases["MultiInputPolicy"])
    known -= {"use_sde"}
    for name in given:
        if name not in known:
            raise ConfigError(unknown_choice(f"{config.algo} policy_kwargs key", name, known))
    _check_rms_prop(config, model_class)
    for key in given.keys() & CLASSES.keys():
        given[key] = resolve_name(CLASSES[key][given[key]])
    if given.get("optimizer_kwargs"):
        parameter = torch.zeros(1, device=config.device, requires_grad=True)
        parameter.grad = torch.zeros_like(parameter)
        optimizer_class = given.get("optimizer_class", torch.optim.Adam)
        try:
            optimizer_class([parameter], lr=1.0, **given["optimizer_kwargs"]).step()
        except Exception as error:
            raise ConfigError(
                f"hyperparameters.policy_kwargs.optimizer_kwargs: {reason(error)}"
            ) from error
    if config.observation == "pixels":
        if "features_extractor_class" in given:
            raise ConfigError(
                "hyperparameters.policy_kwargs.features_extractor_class: pixels have their own"
            )
        given["features_extractor_class"] = UnprivilegedExtractor
    return given


def _keyword_arguments(policy: type[BasePolicy]) -> set[str]:
    known: set[str] = set()
    for base in policy.__mro__:
        parameters = inspect.signature(base).parameters.values()
        known |= {p.name for p in parameters if p.default is not inspect.Parameter.empty}
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return known


def _check_rms_prop(config: RunConfig, model_class: type[BaseAlgorithm]) -> None:
    """Refuses arguments that A2C ignores because it sets its own optimizer."""
    parameters = inspect.signature(model_class).parameters
    if "use_rms_prop" not in parameters:
        return
    given = config.hyperparameters
    policy_kwargs = given.get("policy_kwargs") or {}
    chosen = "optimizer_class" in policy_kwargs
    its_own = given.get("use_rms_prop", True) and not chosen
    if its_own and policy_kwargs.get("optimizer_kwargs"):
        raise ConfigError(
            "hyperparameters.policy_kwargs.optimizer_kwargs has no effect with a2c's own "
            "optimizer: give optimizer_class too, or use_rms_prop: false"
        )
    for name in ("rms_prop_eps", "use_rms_prop"):
        if given.get(name) and not its_own:
            raise ConfigError(
                f"hyperparameters.{name} has no effect with "
                + ("policy_kwargs.optimizer_class" if chosen else "use_rms_prop: false")
            )


def _action_noise(config: RunConfig, dimensions: int) -> ActionNoise:
    settings = config.action_noise or {}
    mean, sigma = np.zeros(dimensions), np.full(dimensions, float(settings["sigma"]))
    if settings["kind"] == "normal":
        return NormalActionNoise(mean, sigma)
    return OrnsteinUhlenbeckActionNoise(mean, sigma)


def steps_per_update(model: BaseAlgorithm) -> int:
    """Returns the environment timesteps between two readings of the learning rate.

    Args:
        model: A built model.

    Returns:
        Steps, summed over the parallel environments.

    Raises:
        ConfigError: If the algorithm is of neither kind.
    """
    if isinstance(model, OnPolicyAlgorithm):
        return model.n_steps * model.n_envs
    if not isinstance(model, OffPolicyAlgorithm) or not isinstance(model.train_freq, TrainFreq):
        raise ConfigError(f"{type(model).__name__} is neither on-policy nor off-policy")
    return model.train_freq.frequency * model.n_envs


def first_update(model: BaseAlgorithm, interval: int) -> int:
    """Returns the step of the first update: the first end of a rollout after the warm-up.

    Args:
        model: A built model.
        interval: Environment timesteps from one update to the next.

    Returns:
        The step, which may lie beyond the end of the training.
    """
    if not isinstance(model, OffPolicyAlgorithm):
        return interval
    return (model.learning_starts // interval + 1) * interval


def optimizers(model: BaseAlgorithm) -> dict[str, Optimizer]:
    """Returns every optimizer of a model by the dotted name under which SB3 saves it.

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


def loose_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """Returns the tensors that SB3 saves besides the networks, such as SAC's coefficient.

    Args:
        model: A built model.
    """
    return {name: getattr(model, name) for name in model._get_torch_save_params()[1]}


def acting_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """Returns the parameters and buffers of the policy on which its actions depend, by name.

    Args:
        model: A built model.

    Returns:
        The tensors themselves, detached: of an off-policy algorithm those of its actor, of an
        on-policy one all but the value function's.
    """
    tensors = model.policy.state_dict()
    if isinstance(model, OffPolicyAlgorithm):
        return {name: tensor for name, tensor in tensors.items() if name.startswith("actor.")}
    return {
        name: tensor for name, tensor in tensors.items() if not name.startswith(_VALUE_FUNCTION)
    }
