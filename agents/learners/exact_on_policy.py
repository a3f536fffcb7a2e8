"""On-policy learners that make SB3's updates bit for bit without autograd, or fall back to it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples, RolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv

from agents.learners.actor_critic import ActorCriticUpdate
from agents.learners.coverage import (
    fails_with,
    random_observations,
    same_bits,
    state_of,
    twin_of,
    uncovered_layer,
    uncovered_surroundings,
)
from agents.learners.without_autograd import WithoutAutograd


class ExactOnPolicyLearner(WithoutAutograd, OnPolicyAlgorithm):
    """Adds an update and acting without autograd to one of SB3's classes."""

    update_class: ClassVar[type[ActorCriticUpdate]]

    def train(self) -> None:
        """Makes an update with SB3's bits."""
        update = self._current_update(self.rows_per_update())
        if update is None:
            super().train()
        else:
            train_without_autograd(self, update)

    def train_with_autograd(self) -> None:
        """Makes an update as SB3 does."""
        super().train()

    def why_not(self, batch_size: int) -> str | None:  # noqa: D102
        return _uncovered(self) or fails_with(lambda: _differing(self, batch_size))

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Collects a rollout with the bits of SB3, as in SB3."""
        if self._update is None:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        # The policy is called in the middle of SB3's loop.
        instance = vars(self.policy)
        instance["forward"] = self._update.act
        try:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        finally:
            del instance["forward"]

    def rows_per_update(self) -> int:
        """Returns how many transitions a batch has: of A2C, the whole rollout."""
        size: int = getattr(self, "batch_size", self.n_steps * self.n_envs)
        return size


def train_without_autograd(model: Any, update: ActorCriticUpdate) -> None:  # noqa: ANN401 - PPO or A2C
    """Makes an update to SB3's bits.

    Args:
        model: A learner's model.
        update: Its update.
    """
    model._update_learning_rate(model.policy.optimizer)
    with torch.no_grad():
        update.train()


def _uncovered(model: Any) -> str | None:  # noqa: ANN401 - PPO or A2C
    """Names what in a model no update without autograd covers."""
    policy = model.policy
    if type(policy) not in (ActorCriticPolicy, MultiInputActorCriticPolicy):
        return f"the policy {type(policy).__name__} is not covered"
    if (what := uncovered_surroundings(model, [policy])) is not None:
        return what
    if type(policy.action_dist) is not DiagGaussianDistribution:
        return f"actions in {type(model.action_space).__name__} are not covered"
    extractor = policy.mlp_extractor
    for network in (
        [*extractor.policy_net, policy.action_net],
        [*extractor.value_net, policy.value_net],
    ):
        if (what := uncovered_layer(network)) is not None:
            return f"a network with {what} is not covered"
    return None


def _differing(model: Any, batch_size: int) -> str | None:  # noqa: ANN401 - PPO or A2C
    """Names what differs on this machine between updates with and without autograd."""
    with_autograd, without = (_twin(model, batch_size) for _ in range(2))
    with torch.random.fork_rng(devices=[]):
        # In the second round, each continues from the other's state.
        for _ in range(2):
            with_autograd.train_with_autograd()
            expected = state_of(with_autograd)
            update = without.update_class(without, batch_size)
            train_without_autograd(without, update)
            for what, value in state_of(without).items():
                if not same_bits(value, expected[what]):
                    return f"here, other {what} come of it"
            with_autograd, without = without, with_autograd
        observations = random_observations(model.observation_space, model.n_envs, torch.Generator())
        seed = torch.get_rng_state()
        with torch.no_grad():
            expected = without.policy(observations)
            torch.set_rng_state(seed)
            if not same_bits(update.act(observations), expected):
                return "here, other actions come of it"
    return None


def _twin(model: Any, batch_size: int) -> Any:  # noqa: ANN401 - PPO or A2C
    """Copies a model; the copy learns from random numbers and shares nothing that changes."""
    twin = twin_of(model)
    twin.rollout_buffer = _Rollout(twin, batch_size)
    for name, value in (("n_epochs", 1), ("target_kl", None), ("verbose", 0)):
        if hasattr(twin, name):
            setattr(twin, name, value)
    return twin


class _Rollout:
    """Random numbers, as a rollout buffer returns them."""

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - PPO or A2C
        self._space, self._rows = model.observation_space, batch_size
        self._action_size = model.rollout_buffer.action_dim
        self._generator = torch.Generator().manual_seed(0)
        self._batches = 2 if hasattr(model, "batch_size") else 1
        self.values = self.returns = torch.zeros(1).numpy()

    def get(self, batch_size: int | None = None) -> list[Any]:
        return [self._batch() for _ in range(self._batches)]

    def _batch(self) -> Any:  # noqa: ANN401 - a named tuple of SB3's
        dictionary = isinstance(self._space, spaces.Dict)
        kind = DictRolloutBufferSamples if dictionary else RolloutBufferSamples
        actions = torch.randn(self._rows, self._action_size, generator=self._generator)
        columns = torch.randn(4, self._rows, generator=self._generator)
        return kind(
            random_observations(self._space, self._rows, self._generator),
            actions,
            columns[0],
            # As an old policy gives that was close to a new one's.
            columns[1] * 0.1 - actions.square().sum(1) / 2 - self._action_size,
            columns[2],
            columns[3],
        )
