"""What the updates of PPO and A2C share: their policy and their value function."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from agents.learners.adam import AdamStep
from agents.learners.networks import MLP, extract, layers_of, through

_LOG_SQRT_2PI = math.log(math.sqrt(2 * math.pi))
_ENTROPY = 0.5 + 0.5 * math.log(2 * math.pi)
_MEAN = 1  # Torch's number of this reduction.
_mse_backward: Any = torch.ops.aten.mse_loss_backward


class ActorCriticUpdate(ABC):
    """The update of an on-policy algorithm with a Gaussian policy N(μ(s), σ²) and a value V(s).

    Args:
        model: SB3's model.
        batch_size: Transitions in a batch; the last one of a pass may be smaller.
    """

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - PPO or A2C
        self.model, self.batch_size = model, batch_size
        policy = model.policy
        self._extractor = policy.features_extractor
        self._actor = [*layers_of(policy.mlp_extractor.policy_net), policy.action_net]
        self._critic = [*layers_of(policy.mlp_extractor.value_net), policy.value_net]
        self._log_std: Tensor = policy.log_std.detach()
        self._features_dim: int = self._extractor.features_dim
        self._for_rows: dict[int, tuple[MLP, MLP, Tensor]] = {}
        self.actor, self.critic, self.features = self._networks(batch_size)
        self._by_log_std = torch.empty_like(self._log_std)
        of = dict(zip(map(id, self.actor.parameters), self.actor.gradients, strict=True))
        of |= zip(map(id, self.critic.parameters), self.critic.gradients, strict=True)
        of[id(policy.log_std)] = self._by_log_std
        self.gradients = [of[id(parameter)] for parameter in policy.parameters()]
        self._step = AdamStep(policy.optimizer, self.gradients)
        self._pointers: list[Callable[[], int]] = [p.data_ptr for p in policy.parameters()]

    def _networks(self, rows: int) -> tuple[MLP, MLP, Tensor]:
        """Returns both networks and their inputs for a batch of some size."""
        if rows not in self._for_rows:
            actor, critic = MLP(self._actor, rows), MLP(self._critic, rows)
            if self._for_rows:
                actor.gradients, critic.gradients = self.actor.gradients, self.critic.gradients
            self._for_rows[rows] = actor, critic, torch.empty(rows, self._features_dim)
        return self._for_rows[rows]

    @abstractmethod
    def train(self) -> None:
        """Learns from the rollout and logs it as SB3's `train` does."""

    def addresses(self) -> list[int]:
        """Returns the addresses of its tensors and of their owners, to detect replaced ones."""
        return [*(pointer() for pointer in self._pointers), id(self.model.policy.optimizer)]

    def evaluate(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401 - a named tuple of SB3's
        """Computes what the loss consists of, for the present weights.

        Args:
            batch: Transitions of the rollout.

        Returns:
            V(s), log π(a|s) and the policy's entropy, each of shape `(batch_size,)`.
        """
        self.actor, self.critic, self.features = self._networks(len(batch.actions))
        extract(self._extractor, batch.observations, self.features)
        mean, values = self.actor.forward(self.features), self.critic.forward(self.features)
        std_row = self._log_std.exp()
        std = std_row.expand_as(mean).contiguous()
        log_std = std.log()
        offset, twice_variance = batch.actions - mean, std.square().mul_(2)
        ratio = offset.square().neg_().div_(twice_variance)
        log_prob = (ratio - log_std).sub_(_LOG_SQRT_2PI).sum(1)
        self._drawn = std_row, std, offset, twice_variance, ratio
        return values.flatten(), log_prob, log_std.add_(_ENTROPY).sum(1)

    def step(self, by_values: Tensor, by_log_prob: Tensor) -> None:
        """Takes a gradient step of a loss that also holds -c E[entropy], c SB3's `ent_coef`.

        Args:
            by_values: Derivative of the loss with respect to V(s), of shape `(batch_size,)`.
            by_log_prob: With respect to log π(a|s), of shape `(batch_size,)`.
        """
        std_row, std, offset, twice_variance, ratio = self._drawn
        by_log_prob = by_log_prob.view(-1, 1)
        # log π = Σ -(a-μ)²/2σ² - log σ - log √2π; the entropy is Σ log σ + (1 + log 2π)/2
        by_mean = (by_log_prob / twice_variance).neg_().mul_(offset * 2).neg_()
        by_variance = (-by_log_prob * (ratio / twice_variance)).mul_(2)
        by_entropy = -torch.tensor(float(self.model.ent_coef)) / len(offset)
        by_std = (by_entropy / std).add_(-by_log_prob / std).add_(by_variance.mul_(std * 2))
        torch.sum(by_std, 0, out=self._by_log_std).mul_(std_row)
        self.actor.backward(by_mean)
        self.critic.backward(by_values.view(-1, 1))
        clip(self.gradients, self.model.max_grad_norm)
        self._step()

    def by_value(self, values: Tensor, returns: Tensor) -> Tensor:
        """Computes the derivative of c E[(V(s) - R)²] with respect to V(s), c SB3's `vf_coef`.

        Args:
            values: V(s).
            returns: R.
        """
        by: Tensor = _mse_backward(torch.tensor(float(self.model.vf_coef)), values, returns, _MEAN)
        return by

    def log(self, **values: Any) -> None:  # noqa: ANN401 - NumPy's numbers and Python's
        """Records what SB3's `train` records.

        Args:
            values: What the algorithm itself records, by name.
        """
        model = self.model
        buffer, record = model.rollout_buffer, model.logger.record
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        record("train/explained_variance", explained)
        for name, value in values.items():
            record(f"train/{name}", value)
        record("train/std", self._log_std.exp().mean().item())
        record("train/n_updates", model._n_updates, exclude="tensorboard")

    def act(
        self,
        observations: Any,  # noqa: ANN401 - a tensor, or a dictionary of such
        deterministic: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the result of the policy's `forward` between updates.

        Args:
            observations: Of all environments.
            deterministic: Whether to take the most likely actions.

        Returns:
            Actions, V(s) of shape `(environments, 1)` and log π(a|s).
        """
        policy = self.model.policy
        features = extract(self._extractor, observations)
        mean = through(self._actor, features)
        std = policy.log_std.exp().expand_as(mean).contiguous()
        if deterministic or not math.isfinite((mean / std).sum().item()):
            # Of numbers that are not finite, SB3 says what is wrong.
            result: tuple[Tensor, Tensor, Tensor] = type(policy).forward(
                policy, observations, deterministic
            )
            return result
        noise = torch.normal(torch.zeros_like(mean), torch.ones_like(mean))
        action = noise.mul_(std).add_(mean)
        ratio = (action - mean).square_().neg_().div_(std.square().mul_(2))
        log_prob = ratio.sub_(std.log()).sub_(_LOG_SQRT_2PI).sum(1)
        shape = self.model.action_space.shape
        return action.reshape(-1, *shape), through(self._critic, features), log_prob


def normalised(advantages: Tensor) -> Tensor:
    """Gives the advantages of a batch mean 0 and standard deviation 1.

    Args:
        advantages: Of shape `(batch_size,)`.
    """
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def clip(gradients: list[Tensor], most: float) -> None:
    """Scales gradients in place to a common norm of at most `most`, as `clip_grad_norm_` does.

    Args:
        gradients: All of a step.
        most: The largest norm.
    """
    norms = torch._foreach_norm(gradients)
    scale = (most / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp_(max=1.0)
    torch._foreach_mul_(gradients, scale)
