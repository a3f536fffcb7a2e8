"""Hindsight experience replay for tasks whose episodes end at the goal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

_CANDIDATES = 4


class EpisodicHerReplayBuffer(HerReplayBuffer):
    """SB3's `HerReplayBuffer` for tasks whose episodes end at the goal.

    An episode ends when its goal is reached: a recorded transition that arrives at its goal is
    terminal, and none starts there. SB3's relabelled transitions are neither. Here, one that
    arrives at its new goal is terminal, and with `skip_reached` one that would start at its new
    goal is passed over for another (the filter of Manela and Biess,
    https://arxiv.org/abs/1905.05498): as long as an object is seldom touched, nearly all of them
    would, and teach nothing. Four transitions are then drawn for each that is to be relabelled; if
    too few of them can be, ones with the goals of their own episodes fill up the batch.

    The environments must have `compute_reward` and `compute_terminated`, as Gymnasium-Robotics
    defines them.

    Args:
        *args: Those of `HerReplayBuffer`.
        skip_reached: Whether transitions that would start at their new goal are passed over.
        **kwargs: Those of `HerReplayBuffer`.
    """

    def __init__(self, *args: Any, skip_reached: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - SB3's
        super().__init__(*args, **kwargs)
        self.skip_reached = skip_reached

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        """Draws a batch.

        Args:
            batch_size: Number of transitions.
            env: What normalises observations and rewards, if anything does.

        Returns:
            The transitions, the relabelled ones first.

        Raises:
            RuntimeError: If no episode has ended yet.
        """
        finished = np.flatnonzero(self.ep_length[: self.size()] > 0)
        if not len(finished):
            raise RuntimeError(
                "no episode has ended yet, so there are no goals to relabel with: "
                "let learning_starts be longer than an episode in every environment"
            )

        def draw(count: int) -> tuple[NDArray[np.int64], ...]:
            chosen = finished[np.random.randint(len(finished), size=count)]
            return np.unravel_index(chosen, (self.buffer_size, self.n_envs))

        wanted = int(self.her_ratio * batch_size)
        candidates = draw(_CANDIDATES * wanted if self.skip_reached else wanted)
        goals = self._sample_goals(*candidates)
        fit: NDArray[np.bool_] = np.ones(len(goals), bool)
        if self.skip_reached:
            start = self.observations["achieved_goal"][candidates]
            fit = ~self._ask("compute_terminated", start, goals)
        chosen = np.flatnonzero(fit)[:wanted]
        goals, relabelled = goals[chosen], slice(len(chosen))
        recorded = draw(batch_size - len(chosen))
        at = tuple(
            np.concatenate([index[chosen], other])
            for index, other in zip(candidates, recorded, strict=True)
        )
        observations, next_observations = (
            {key: column[at] for key, column in columns.items()}
            for columns in (self.observations, self.next_observations)
        )
        rewards, dones = self.rewards[at], self.dones[at] * (1.0 - self.timeouts[at])
        for columns in (observations, next_observations):
            columns["desired_goal"][relabelled] = goals
        end = next_observations["achieved_goal"][relabelled]
        rewards[relabelled] = self._ask("compute_reward", end, goals)
        dones[relabelled] = self._ask("compute_terminated", end, goals)
        return DictReplayBufferSamples(
            observations=self._tensors(observations, env),
            actions=self.to_torch(self.actions[at]),
            next_observations=self._tensors(next_observations, env),
            dones=self.to_torch(dones.reshape(-1, 1)),
            rewards=self.to_torch(self._normalize_reward(rewards.reshape(-1, 1), env)),
        )

    def _ask(self, method: str, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[Any]:
        """What the environments, which are all alike, say of reaching goals."""
        assert self.env is not None
        infos: list[dict[str, Any]] = [{}] * len(achieved)
        (answer,) = self.env.env_method(method, achieved, desired, infos, indices=[0])
        return np.asarray(answer)

    def _tensors(
        self, observations: dict[str, NDArray[Any]], env: VecNormalize | None
    ) -> dict[str, torch.Tensor]:
        normalised = self._normalize_obs(observations, env)
        assert isinstance(normalised, dict)
        return {key: self.to_torch(column) for key, column in normalised.items()}
