"""The learner of every run: a model of Stable-Baselines3 behind the `Learner` protocol."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.utils import safe_mean, set_random_seed
from stable_baselines3.common.vec_env import VecEnv
from torch.optim import Optimizer

from agents.config import RunConfig
from agents.learners.dormant import reset_dormant_units
from agents.learners.finite import UpdateWatch, non_finite_cause, non_finite_state
from agents.learners.learner import Arrays, Learner, LearnerState, LearningCallbacks
from agents.learners.model import (
    acting_tensors,
    build_model,
    loose_tensors,
    optimizers,
    steps_per_update,
)
from agents.learners.replay_rows import ReplayRows
from agents.learners.signals import RolloutSample, is_due, sample_rollout, take_signals
from agents.learners.training_state import (
    capture_state,
    moment_arrays,
    recompute_rewards,
    restore_experience,
    restore_moments,
    restore_state,
)
from agents.learners.update_logger import UpdateLogger
from schedules.callback import StaircaseCallback

AGENT = "agent.zip"
NORMALIZER = "vecnormalize.pkl"
_LOG_INTERVAL_EPISODES = 10
_POLICY = "policy."


def build_learner(config: RunConfig, venv: VecEnv) -> Learner:
    """Builds the untrained learner of a run on its training environments.

    Args:
        config: The run.
        venv: The environments of `make_training_envs`.

    Returns:
        The learner.

    Raises:
        ConfigError: If a hyperparameter is unknown or refused by the algorithm, or there is no
            such device.
    """
    return SB3Learner(build_model(config, venv))


class SB3Learner:
    """Trains a model of Stable-Baselines3; see `Learner` for what each method promises.

    Args:
        model: The model, built on its training environments.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self.model = model
        self.steps_per_update = steps_per_update(model)
        self._rollout: RolloutSample | None = None

    @property
    def step(self) -> int:  # noqa: D102 - see Learner
        return self.model.num_timesteps

    @property
    def updates(self) -> int:  # noqa: D102
        return self.model._n_updates

    @cached_property
    def replay(self) -> ReplayRows | None:  # noqa: D102
        if not isinstance(self.model, OffPolicyAlgorithm):
            return None
        if not isinstance(self.model.replay_buffer, DictReplayBuffer):
            raise TypeError("runs need environments with dictionary observations")
        return ReplayRows(self.model.replay_buffer, self.steps_per_update // self.model.n_envs)

    @cached_property
    def optimizers(self) -> Mapping[str, Optimizer]:  # noqa: D102
        return optimizers(self.model)

    @property
    def learning_rate(self) -> float:  # noqa: D102
        rates = {n: g["lr"] for n, o in self.optimizers.items() for g in o.param_groups}
        if len(set(rates.values())) != 1:
            raise RuntimeError(f"the optimizers disagree about the learning rate: {rates}")
        return float(next(iter(rates.values())))

    @property
    def return_mean(self) -> float | None:  # noqa: D102
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        return float(safe_mean(returns)) if returns else None

    @property
    def success_rate(self) -> float | None:  # noqa: D102
        successes = [float(success) for success in self.model.ep_success_buffer or ()]
        return float(safe_mean(successes)) if successes else None

    def learn(  # noqa: D102
        self, total_timesteps: int, callbacks: LearningCallbacks, logger: UpdateLogger
    ) -> None:
        off_policy = isinstance(self.model, OffPolicyAlgorithm)
        self.model.set_logger(logger)
        self.model.learn(
            total_timesteps,
            callback=CallbackList([StaircaseCallback(), _Forward(callbacks, self)]),
            log_interval=_LOG_INTERVAL_EPISODES if off_policy else 1,
        )

    def capture(self) -> LearnerState:  # noqa: D102
        data, arrays = capture_state(self.model)
        file = io.BytesIO()
        self.model.save(file)
        files = {AGENT: file.getvalue()}
        if (normalizer := self.model.get_vec_normalize_env()) is not None:
            # The format of `VecNormalize.save`, which accepts only a path.
            files[NORMALIZER] = pickle.dumps(normalizer)
        return LearnerState(data, arrays, files)

    def parameters(self) -> Mapping[str, Any]:  # noqa: D102
        return {**self.model.get_parameters(), **loose_tensors(self.model)}

    def restore(self, state: LearnerState) -> None:  # noqa: D102
        self._restore_parameters(state)
        restore_state(self.model, state.data, state.arrays)

    def reseed(self, seed: int) -> None:  # noqa: D102
        set_random_seed(seed, using_cuda=self.model.device.type == "cuda")
        self.model.action_space.seed(seed)
        assert self.model.env is not None
        for index in range(self.model.n_envs):
            self.model.env.env_method("reseed", seed + index, indices=[index])

    def restore_experience(self, state: LearnerState) -> None:  # noqa: D102
        assert isinstance(self.model, OffPolicyAlgorithm)
        restore_experience(self.model, state.data, state.arrays)

    def recompute_rewards(self) -> None:  # noqa: D102
        assert isinstance(self.model, OffPolicyAlgorithm)
        recompute_rewards(self.model)

    def reset_dormant_units(self) -> None:  # noqa: D102
        assert isinstance(self.model, OffPolicyAlgorithm)
        reset_dormant_units(self.model)

    def restore_acting(self, state: LearnerState) -> None:  # noqa: D102
        self._restore_parameters(state)
        restore_moments(self.model, state.arrays)

    def _restore_parameters(self, state: LearnerState) -> None:
        file = io.BytesIO(state.files[AGENT])
        # Reads only the tensors: the rest of the archive is pickled.
        _, parameters, variables = load_from_zip_file(
            file, device=self.model.device, load_data=False
        )
        self.model.set_parameters(parameters, exact_match=True, device=self.model.device)
        own = loose_tensors(self.model)
        for name, value in (variables or {}).items():
            own[name].data.copy_(value.data)

    def policy(self) -> Arrays:  # noqa: D102
        tensors = acting_tensors(self.model)
        return {
            **{f"{_POLICY}{name}": tensor.cpu().numpy() for name, tensor in tensors.items()},
            **moment_arrays(self.model),
        }

    def load_policy(self, arrays: Arrays) -> None:  # noqa: D102
        own = self.policy()
        if arrays.keys() != own.keys():
            odd = min(arrays.keys() ^ own.keys())
            raise ValueError(f"array {odd} is {'unknown' if odd in arrays else 'missing'}")
        for name, array in arrays.items():
            if (array.shape, array.dtype) != (own[name].shape, own[name].dtype):
                raise ValueError(
                    f"array {name} must have shape {own[name].shape} and type {own[name].dtype}, "
                    f"got {array.shape} and {array.dtype}"
                )
        for name, tensor in acting_tensors(self.model).items():
            tensor.copy_(torch.as_tensor(arrays[f"{_POLICY}{name}"]))
        restore_moments(self.model, arrays)

    def predict(  # noqa: D102
        self,
        observation: Any,  # noqa: ANN401 - SB3 names no type for dictionaries
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        # The normaliser keeps its statistics when the environments below it are closed.
        if (normalizer := self.model.get_vec_normalize_env()) is not None:
            observation = normalizer.normalize_obs(observation)
        return self.model.predict(observation, state, episode_start, deterministic)

    def keep_rollout(self) -> None:
        """Notes what signals need of a rollout before the update, if they will be due after it."""
        model = self.model
        if isinstance(model, OnPolicyAlgorithm):
            due = is_due(model, 0, self.steps_per_update)
            self._rollout = sample_rollout(model) if due else None

    def signals(self, updates_before: int) -> dict[str, float]:  # noqa: D102
        if not is_due(self.model, updates_before, self.steps_per_update):
            return {}
        return take_signals(self.model, self._rollout)

    @cached_property
    def _watch(self) -> UpdateWatch:
        return UpdateWatch(self.model)

    def non_finite_update(self, losses: Mapping[str, float]) -> str | None:  # noqa: D102
        return self._watch.non_finite(losses)

    def non_finite_state(self) -> str | None:  # noqa: D102
        return non_finite_state(self.model)

    def non_finite_cause(self, error: Exception) -> str | None:  # noqa: D102
        return non_finite_cause(self.model, error)

    def example_state(self) -> LearnerState:  # noqa: D102
        # Without a logger of its own, SB3 would create a folder.
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.model._setup_learn(1)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = torch.zeros_like(parameter)
            # An optimizer's moments exist only from its first step on, and are part of the state.
            optimizer.step()
        return self.capture()


class _Forward(BaseCallback):
    """Passes SB3's callbacks on."""

    def __init__(self, callbacks: LearningCallbacks, learner: SB3Learner) -> None:
        super().__init__()
        self._callbacks, self._learner = callbacks, learner

    def _on_training_start(self) -> None:
        self._callbacks.on_training_start()

    def _on_rollout_start(self) -> None:
        self._callbacks.on_rollout_start()

    def _on_step(self) -> bool:
        demonstrators = getattr(self.model, "demonstrators", 0)
        for env, info in enumerate(self.locals["infos"]):
            if env >= demonstrators and (ended := info.get("episode")) is not None:
                self._callbacks.on_episode_end(
                    env, ended["r"], ended["l"], bool(info["is_success"])
                )
        return True

    def _on_rollout_end(self) -> None:
        self._learner.keep_rollout()

    def _on_training_end(self) -> None:
        self._callbacks.on_training_end()
