"""SAC's and TQC's actor, and their entropy coefficient."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from agents.learners.adam import AdamStep
from agents.learners.networks import MLP, layers_of, through

LOG_STD_MIN, LOG_STD_MAX = -20, 2
_EPSILON = 1e-6
_LOG_SQRT_2PI = math.log(math.sqrt(2 * math.pi))
_tanh_backward: Any = torch.ops.aten.tanh_backward


class SquashedGaussian:
    """A Gaussian policy squashed by tanh: a = tanh(u), u = μ(s) + σ(s)ε.

    It acts on two halves of a batch at once, the current states and the next ones; gradients are
    those of the first half (Haarnoja et al., https://arxiv.org/abs/1812.05905, appendix C).

    Args:
        actor: SB3's module.
        batch_size: Size of a half.
    """

    def __init__(self, actor: Any, batch_size: int) -> None:  # noqa: ANN401 - SAC's or TQC's
        self.batch_size = batch_size
        self.body = MLP(layers_of(actor.latent_pi), 2 * batch_size, batch_size)
        self.mean, self.log_std = (
            MLP([head], 2 * batch_size, batch_size) for head in (actor.mu, actor.log_std)
        )
        self.networks = (self.body, self.mean, self.log_std)
        self._noise = torch.empty(2 * batch_size, actor.mu.out_features)

    @property
    def gradients(self) -> list[Tensor]:
        """Of the loss, in the order of the actor's parameters."""
        return [gradient for network in self.networks for gradient in network.gradients]

    def act(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Draws actions and their log-probabilities.

        Args:
            states: Of shape `(2 * batch_size, features)`.

        Returns:
            Actions of shape `(2 * batch_size, actions)` and log π(a|s) with one column.
        """
        half = self.batch_size
        hidden = self.body.forward(states)
        mean, log_std = self.mean.forward(hidden), self.log_std.forward(hidden)
        std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp_()
        # Two draws, as SB3 draws: torch fills tensors in blocks of 16.
        self._noise[:half].normal_()
        self._noise[half:].normal_()
        u = mean + self._noise * std
        action = u.tanh()
        offset, twice_variance = u - mean, std.square().mul_(2)
        ratio = offset.square().neg_().div_(twice_variance)
        slope = (1 - action.square()).add_(_EPSILON)
        log_prob = (ratio - std.log()).sub_(_LOG_SQRT_2PI).sum(1).sub_(slope.log().sum(1))
        self._drawn = tuple(
            part[:half]
            for part in (action, std, log_std, self._noise, offset, twice_variance, ratio, slope)
        )
        return action, log_prob.view(-1, 1)

    def backward(self, by_action: Tensor, by_log_prob: Tensor) -> None:
        """Computes the gradients of a loss of the first half's actions and log-probabilities.

        Args:
            by_action: Derivative with respect to the actions, of shape `(batch_size, actions)`.
            by_log_prob: With respect to their log-probabilities, of shape `(batch_size, 1)`.
        """
        action, std, log_std, noise, offset, twice_variance, ratio, slope = self._drawn
        # log π = Σ -(u-μ)²/2σ² - log σ - log √2π - log(1 - a² + 1e-6)
        by_action = (by_log_prob / slope).mul_(action * 2).add_(by_action)
        by_offset = (by_log_prob / twice_variance).neg_().mul_(offset * 2)
        by_u = _tanh_backward(by_action, action).add_(by_offset)
        by_variance = (-by_log_prob * (ratio / twice_variance)).mul_(2)
        by_std = (-by_log_prob / std).add_(by_variance.mul_(std * 2)).add_(by_u * noise)
        clamped = (log_std < LOG_STD_MIN) | (log_std > LOG_STD_MAX)
        by_log_std = by_std.mul_(std).masked_fill_(clamped, 0)
        by_mean = (-by_offset).add_(by_u)
        by_hidden = self.mean.backward(by_mean, inputs=True)
        by_hidden.add_(self.log_std.backward(by_log_std, inputs=True))
        self.body.backward(by_hidden)


def explore(actor: Any, features: Tensor) -> Tensor:  # noqa: ANN401 - SAC's or TQC's
    """Draws the actions of a step, as SB3's actor draws them.

    Args:
        actor: SB3's module.
        features: Of shape `(environments, features)`.

    Returns:
        Actions in [-1, 1].
    """
    hidden = through(layers_of(actor.latent_pi), features)
    mean = through([actor.mu], hidden)
    std = through([actor.log_std], hidden).clamp_(LOG_STD_MIN, LOG_STD_MAX).exp_()
    noise = torch.normal(torch.zeros_like(mean), torch.ones_like(mean))
    return noise.mul_(std).add_(mean).tanh_()


class EntropyCoefficient:
    """α, fixed or learned: J(α) = -log α · E[log π(a|s) + H], H the target entropy.

    Args:
        model: SB3's model.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - SAC or TQC
        self._model = model
        self._optimizer: AdamStep | None = None
        if model.ent_coef_optimizer is not None:
            self._gradient = torch.empty(1)
            self._optimizer = AdamStep(model.ent_coef_optimizer, [self._gradient])

    def update(self, log_prob: Tensor) -> tuple[Tensor, float | None]:
        """Takes a step towards the target entropy, if α is learned.

        Args:
            log_prob: log π(a|s) of the batch, of shape `(batch_size, 1)`.

        Returns:
            α before the step, and the loss.
        """
        model = self._model
        if self._optimizer is None:
            return model.ent_coef_tensor, None
        alpha = model.log_ent_coef.exp()
        excess = log_prob + model.target_entropy
        loss = -(model.log_ent_coef * excess).mean()
        torch.sum((excess * (-1.0 / len(excess))).view(-1), 0, keepdim=True, out=self._gradient)
        self._optimizer()
        return alpha, loss.item()
