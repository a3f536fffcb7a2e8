"""The state of a training process as plain data: everything that later steps depend on.

Networks and optimizers are not included: SB3 saves their tensors itself.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd

from agents.learners.environments import restore_envs
from agents.learners.learner import Arrays

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
_NOISE_MATRICES = ("exploration_mat", "exploration_matrices")
_OBSERVATIONS = ("_last_obs", "_last_original_obs")


def capture_state(model: BaseAlgorithm) -> tuple[dict[str, Any], Arrays]:
    """Reads the state of a model, its environments and the process's generators.

    Args:
        model: A model between an update and the next step of its environments.

    Returns:
        JSON data and arrays, for `restore_state`.
    """
    arrays: Arrays = {}
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    generator = model.action_space.np_random.bit_generator.state
    state: dict[str, Any] = {
        "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
        # SB3 keeps the wall-clock time of each episode too, which nothing depends on.
        "episodes": [{"r": e["r"], "l": e["l"]} for e in model.ep_info_buffer or ()],
        "successes": [bool(success) for success in model.ep_success_buffer or ()],
        "generators": {
            "python": random.getstate(),
            "numpy": {
                "position": legacy["state"]["pos"],
                "has_gauss": legacy["has_gauss"],
                "gauss": legacy["gauss"],
            },
            "action_space": generator,
        },
        "environments": model.env.env_method("snapshot") if model.env is not None else [],
    }
    arrays["generators.numpy"] = legacy["state"]["key"]
    arrays["generators.torch"] = torch.get_rng_state().numpy()
    if model.device.type == "cuda":
        arrays["generators.cuda"] = torch.cuda.get_rng_state(model.device).numpy()
    for name in _OBSERVATIONS:
        value = getattr(model, name)
        if value is not None:
            arrays.update({f"{name}.{key}": part for key, part in value.items()})
    arrays["_last_episode_starts"] = np.asarray(model._last_episode_starts)
    if (distribution := _noise_distribution(model)) is not None:
        for name in _NOISE_MATRICES:
            arrays[f"gsde.{name}"] = getattr(distribution, name).detach().cpu().numpy()
    for number, noise in enumerate(_ou_noises(model)):
        arrays[f"noise.{number}"] = noise.noise_prev
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        arrays["normalizer.returns"] = normalizer.returns
        arrays.update(moment_arrays(model))
    return state, arrays


def restore_state(model: BaseAlgorithm, state: dict[str, Any], arrays: Arrays) -> None:
    """Restores a model, its environments and the process's generators from a captured state.

    Args:
        model: A model built from the same config, inside `learn()` between an update and the
            next step.
        state: JSON data of `capture_state`.
        arrays: Arrays of `capture_state`.

    Raises:
        RunError: If an episode cannot be continued here bit for bit.
    """
    _restore_progress(model, state, arrays)
    for name in _OBSERVATIONS:
        parts = _parts(arrays, name)
        present = getattr(model, name) or {}
        setattr(model, name, {k: _laid_out(v, present.get(k, v)) for k, v in parts.items()} or None)
    if (distribution := _noise_distribution(model)) is not None:
        for name in _NOISE_MATRICES:
            setattr(
                distribution, name, torch.as_tensor(arrays[f"gsde.{name}"], device=model.device)
            )
    for number, noise in enumerate(_ou_noises(model)):
        noise.noise_prev = arrays[f"noise.{number}"]
    restore_moments(model, arrays)
    if (normalizer := model.get_vec_normalize_env()) is not None:
        normalizer.returns[:] = arrays["normalizer.returns"]
    generators = state["generators"]
    version, internal, gauss = generators["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(
        {
            "bit_generator": "MT19937",
            "state": {
                "key": arrays["generators.numpy"],
                "pos": generators["numpy"]["position"],
            },
            "has_gauss": generators["numpy"]["has_gauss"],
            "gauss": generators["numpy"]["gauss"],
        }
    )
    model.action_space.np_random.bit_generator.state = generators["action_space"]
    torch.set_rng_state(torch.as_tensor(arrays["generators.torch"]))
    if model.device.type == "cuda":
        torch.cuda.set_rng_state(torch.as_tensor(arrays["generators.cuda"]), model.device)


def restore_experience(model: OffPolicyAlgorithm, state: dict[str, Any], arrays: Arrays) -> None:
    """Restores where another agent's training was, and nothing that this agent had learned.

    Counters and running episodes are taken over, the generators are not. The running means of
    `VecNormalize`, which the other training may have had to do without, are those of the
    observations in the replay buffer.

    Args:
        model: A model whose replay buffer is that of the other training, inside `learn()` between
            an update and the next step.
        state: JSON data of `capture_state` for the other training.
        arrays: Arrays of it.

    Raises:
        RunError: If an episode cannot be continued here bit for bit.
    """
    assert model.env is not None
    # The same episodes go on, but rewards may be others.
    (reward, *_) = model.env.get_attr("reward")
    episodes = [_rewarded(episode, reward) for episode in state["environments"]]
    _restore_progress(model, {**state, "environments": episodes}, arrays)
    normalised = "normalizer.returns" in arrays
    observation = {
        key: _laid_out(value, (model._last_obs or {}).get(key, value))  # type: ignore[union-attr]
        for key, value in _parts(arrays, _OBSERVATIONS[normalised]).items()
    }
    model._last_original_obs = model._last_obs = observation
    buffer, normalizer = model.replay_buffer, model.get_vec_normalize_env()
    assert isinstance(buffer, DictReplayBuffer)
    if normalizer is None:
        return
    if normalizer.norm_obs:
        for key, statistic in normalizer.obs_rms.items():
            seen = buffer.observations[key][: buffer.size()]
            statistic.update(seen.reshape(-1, *statistic.mean.shape).astype(np.float64))
    model._last_obs = normalizer.normalize_obs(observation)


def _rewarded(episode: dict[str, Any], reward: str) -> dict[str, Any]:
    """A snapshot of an environment, as if its rewards had been of another kind."""
    task = episode["task"]
    return {
        **episode,
        "task": {**task, "environment": {**task["environment"], "reward": reward}},
    }


def recompute_rewards(model: OffPolicyAlgorithm) -> None:
    """Gives the transitions in the replay buffer the rewards that the environments would give now.

    Args:
        model: A model with the environments of this project, in which rewards depend on the
            achieved and the desired goal alone.
    """
    buffer = model.replay_buffer
    assert isinstance(buffer, DictReplayBuffer)
    assert model.env is not None
    size = buffer.size()
    achieved = buffer.next_observations["achieved_goal"][:size]
    desired = buffer.next_observations["desired_goal"][:size]
    (rewards,) = model.env.env_method("compute_reward", achieved, desired, indices=[0])
    buffer.rewards[:size] = rewards


def _restore_progress(model: BaseAlgorithm, state: dict[str, Any], arrays: Arrays) -> None:
    """Restores counters, recent episodes and the environments."""
    for name, value in state["counters"].items():
        setattr(model, name, value)
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(state["successes"], maxlen=model._stats_window_size)
    if model.env is not None:
        restore_envs(model.env, state["environments"])
    model._last_episode_starts = arrays["_last_episode_starts"]


def _parts(arrays: Arrays, name: str) -> Arrays:
    """The arrays of a dictionary that was stored under a name, by key."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


@contextmanager
def kept_generators() -> Iterator[None]:
    """Restores the generators of Python, NumPy and torch at the end of the block.

    SB3 seeds them whenever it builds a model, which must not affect a training in this process.
    """
    python, legacy, tensor = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(tensor)
        if devices:
            torch.cuda.set_rng_state_all(devices)


def _laid_out(values: NDArray[Any], example: NDArray[Any]) -> NDArray[Any]:
    """Lays values out in memory in the order of an example.

    A transposed picture keeps its channels together at each pixel. With another layout,
    convolutions would add in another order and give other bits.
    """
    array = np.empty_like(example)
    array[...] = values
    return array


def restore_moments(model: BaseAlgorithm, arrays: Arrays) -> None:
    """Restores the running means and variances of `VecNormalize`, if a run has it.

    Args:
        model: A model built from the run's config, with any number of environments.
        arrays: Arrays of `capture_state` or `moment_arrays`.
    """
    for name, statistic in moments(model).items():
        statistic.mean = arrays[f"{name}.mean"]
        statistic.var = arrays[f"{name}.var"]
        statistic.count = arrays[f"{name}.count"].item()


def moment_arrays(model: BaseAlgorithm) -> Arrays:
    """Returns the running means and variances of `VecNormalize` as arrays.

    Args:
        model: A model.
    """
    return {
        f"{name}.{part}": np.asarray(getattr(statistic, part))
        for name, statistic in moments(model).items()
        for part in ("mean", "var", "count")
    }


def moments(model: BaseAlgorithm) -> dict[str, RunningMeanStd]:
    """Returns the running means and variances of `VecNormalize` by name, if a run has any.

    Args:
        model: A model.
    """
    normalizer = model.get_vec_normalize_env()
    if normalizer is None:
        return {}
    # Without `norm_obs` there are no statistics of observations.
    per_key = normalizer.obs_rms if normalizer.norm_obs else {}
    return {
        "normalizer.return": normalizer.ret_rms,
        **{f"normalizer.{key}": statistic for key, statistic in per_key.items()},
    }


def _ou_noises(model: BaseAlgorithm) -> list[OrnsteinUhlenbeckActionNoise]:
    noise = model.action_noise
    noises = noise.noises if isinstance(noise, VectorizedActionNoise) else [noise]
    return [part for part in noises if isinstance(part, OrnsteinUhlenbeckActionNoise)]


def _noise_distribution(model: BaseAlgorithm) -> StateDependentNoiseDistribution | None:
    """Returns the holder of gSDE's noise matrices, which outlast a step but are not parameters."""
    distribution = getattr(getattr(model, "actor", None) or model.policy, "action_dist", None)
    return distribution if isinstance(distribution, StateDependentNoiseDistribution) else None
