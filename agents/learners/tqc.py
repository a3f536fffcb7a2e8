"""TQC's update without autograd (Kuznetsov et al., https://arxiv.org/abs/2005.04269)."""

from __future__ import annotations

from typing import Any, ClassVar

import sb3_contrib
import torch
from sb3_contrib.tqc.policies import Actor, Critic
from torch import Tensor, nn

from agents.learners.exact import ExactLearner
from agents.learners.sac import SACUpdate


class TQCUpdate(SACUpdate):
    """SAC's update with critics that give quantiles, the highest of which are dropped.

    Args:
        model: SB3's model.
        batch_size: Transitions in a batch.
    """

    covered: ClassVar[tuple[type[nn.Module], type[nn.Module]]] = (Actor, Critic)

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - TQC
        super().__init__(model, batch_size)
        critic = model.critic
        nets, quantiles = critic.n_critics, critic.n_quantiles
        self.kept = critic.quantiles_total - model.top_quantiles_to_drop_per_net * nets
        # How much an error counts, above and below each quantile.
        fractions = ((torch.arange(quantiles, dtype=torch.float32) + 0.5) / quantiles).view(-1, 1)
        self.above, self.below = fractions, (fractions - 1).abs()
        self.average = torch.tensor(1.0) / (batch_size * nets * quantiles * self.kept)
        shares = (self.minus_share / nets / quantiles)[:, :, None]
        self.shares = shares.expand(batch_size, nets, quantiles).contiguous()

    def target(self, batch: Any, actions: Tensor, entropy: Tensor) -> Tensor:  # noqa: ANN401 - a named tuple of SB3's
        """Computes the lowest quantiles of all targets, of shape `(batch_size, kept)`.

        Args:
            batch: The transitions.
            actions: Drawn at the next states.
            entropy: α log π of these.
        """
        x = self.critic_input(self.next_states, actions)
        quantiles, _ = torch.cat([q.forward(x) for q in self.targets], 1).sort()
        kept = quantiles[:, : self.kept] - entropy
        return kept.mul_(self.discounts(batch)).add_(batch.rewards)

    def critic_backward(self, actions: Tensor, target: Tensor) -> float:
        """Makes the gradients of the mean of |τ - 1{δ<0}| h(δ), h Huber's loss.

        δ is the difference between each target and each quantile, τ the quantile's fraction.

        Args:
            actions: Those of the batch.
            target: The quantiles to learn.

        Returns:
            The loss.
        """
        x = self.critic_input(self.present_states, actions)
        quantiles = torch.stack([q.forward(x) for q in self.critics], 1)
        delta = target[:, None, None] - quantiles[..., None]
        weight = torch.where(delta < 0, self.below, self.above)
        # With c = clip(δ, -1, 1), h = c(δ - c/2) and h' = c, to the last bit.
        slope = delta.clamp(-1, 1)
        loss = delta.sub_(slope, alpha=0.5).mul_(slope).mul_(weight).mean()
        by_delta = weight.mul_(self.average).mul_(slope)
        by_quantile = by_delta.sum(-1).neg_()
        for number, q in enumerate(self.critics):
            q.backward(by_quantile[:, number])
        return loss.item()

    def value(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Computes Q(s,a), the mean of all quantiles, and the derivative of its negative mean.

        Args:
            actions: The policy's, at the present states.
        """
        x = self.critic_input(self.present_states, actions)
        quantiles = torch.stack([q.forward(x) for q in self.critics], 1)
        deltas = [
            q.backward(self.shares[:, number], weights=False, inputs=True)
            for number, q in enumerate(self.critics)
        ]
        return quantiles.mean(2).mean(1, keepdim=True), self.action_gradient(deltas)


class TQC(ExactLearner, sb3_contrib.TQC):
    """SB3-contrib's TQC, trained to the same bits without autograd."""

    update_class = TQCUpdate
