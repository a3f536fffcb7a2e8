"""A2C's update without autograd (Mnih et al., https://arxiv.org/abs/1602.01783)."""

from __future__ import annotations

import stable_baselines3
from torch.nn import functional

from agents.learners.actor_critic import ActorCriticUpdate, normalised
from agents.learners.exact_on_policy import ExactOnPolicyLearner


class A2CUpdate(ActorCriticUpdate):
    """One gradient step on the whole rollout."""

    def train(self) -> None:
        """Learns from the rollout and logs it as SB3's `A2C.train` does."""
        model = self.model
        (batch,) = model.rollout_buffer.get()
        values, log_prob, entropy = self.evaluate(batch)
        advantages = batch.advantages
        if model.normalize_advantage:
            advantages = normalised(advantages)
        # J = E[A log π(a|s)]
        policy_loss = -(advantages * log_prob).mean()
        value_loss = functional.mse_loss(batch.returns, values)
        self.step(self.by_value(values, batch.returns), advantages * (-1.0 / len(advantages)))
        model._n_updates += 1
        self.log(
            entropy_loss=-entropy.mean().item(),
            policy_loss=policy_loss.item(),
            value_loss=value_loss.item(),
        )


class A2C(ExactOnPolicyLearner, stable_baselines3.A2C):
    """SB3's A2C, trained to the same bits without autograd."""

    update_class = A2CUpdate
