"""PPO's update without autograd (Schulman et al., https://arxiv.org/abs/1707.06347)."""

from __future__ import annotations

from typing import Any

import numpy as np
import stable_baselines3
import torch
from torch import Tensor
from torch.nn import functional

from agents.learners.actor_critic import ActorCriticUpdate, normalised
from agents.learners.exact_on_policy import ExactOnPolicyLearner


class PPOUpdate(ActorCriticUpdate):
    """Several passes over the rollout, each in batches."""

    def train(self) -> None:
        """Learns from the rollout and logs it as SB3's `PPO.train` does."""
        model = self.model
        progress = model._current_progress_remaining
        self.clip_range = model.clip_range(progress)
        of_values = model.clip_range_vf
        self.clip_range_vf = None if of_values is None else of_values(progress)
        losses: list[tuple[float, ...]] = []
        for _ in range(model.n_epochs):
            divergences: list[Any] = []
            going_on = all(
                self._batch(batch, losses, divergences)
                for batch in model.rollout_buffer.get(self.batch_size)
            )
            model._n_updates += 1
            if not going_on:
                break
        entropies, policies, values, clipped, totals = zip(*losses, strict=True)
        self.log(
            entropy_loss=np.mean(entropies),
            policy_gradient_loss=np.mean(policies),
            value_loss=np.mean(values),
            approx_kl=np.mean(divergences),
            clip_fraction=np.mean(clipped),
            loss=totals[-1],
            clip_range=self.clip_range,
            **({} if self.clip_range_vf is None else {"clip_range_vf": self.clip_range_vf}),
        )

    def _batch(self, batch: Any, losses: list[tuple[float, ...]], divergences: list[Any]) -> bool:  # noqa: ANN401 - a named tuple of SB3's
        """Takes a gradient step, unless the policy has gone too far; tells whether it has not."""
        model, clip = self.model, self.clip_range
        values, log_prob, entropy = self.evaluate(batch)
        advantages = batch.advantages
        if model.normalize_advantage and len(advantages) > 1:
            advantages = normalised(advantages)
        # J = E[min(rA, clip(r, 1-ε, 1+ε)A)], r = π(a|s) / π_old(a|s)
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        free = advantages * ratio
        bound = advantages * ratio.clamp(1 - clip, 1 + clip)
        policy_loss = -torch.min(free, bound).mean()
        predicted = values
        if self.clip_range_vf is not None:
            change = values - batch.old_values
            within = change.clamp(-self.clip_range_vf, self.clip_range_vf)
            predicted = batch.old_values + within
        value_loss = functional.mse_loss(batch.returns, predicted)
        entropy_loss = -entropy.mean()
        loss = policy_loss + model.ent_coef * entropy_loss + model.vf_coef * value_loss
        clipped = ((ratio - 1).abs_() > clip).float().mean()
        losses.append(
            tuple(x.item() for x in (entropy_loss, policy_loss, value_loss, clipped, loss))
        )
        divergence = ((ratio - 1) - log_ratio).mean().numpy()
        divergences.append(divergence)
        if model.target_kl is not None and divergence > 1.5 * model.target_kl:
            return False
        by_values = self.by_value(predicted, batch.returns)
        if self.clip_range_vf is not None:
            by_values = by_values.masked_fill_(within != change, 0)
        self.step(by_values, self._by_ratio(ratio, free, bound, advantages).mul_(ratio))
        return True

    def _by_ratio(self, ratio: Tensor, free: Tensor, bound: Tensor, advantages: Tensor) -> Tensor:
        """Computes the derivative of -J with respect to r; equal sides have half of it each."""
        share = torch.full_like(free, -1.0 / len(free))
        share.masked_fill_(free == bound, -0.5 / len(free))
        outside = (ratio < 1 - self.clip_range) | (ratio > 1 + self.clip_range)
        by_bound = share.masked_fill(free < bound, 0).mul_(advantages).masked_fill_(outside, 0)
        return share.masked_fill_(free > bound, 0).mul_(advantages).add_(by_bound)


class PPO(ExactOnPolicyLearner, stable_baselines3.PPO):
    """SB3's PPO, trained to the same bits without autograd."""

    update_class = PPOUpdate
