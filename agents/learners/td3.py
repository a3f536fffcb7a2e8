"""TD3's and DDPG's update without autograd (Fujimoto et al., https://arxiv.org/abs/1802.09477)."""

from __future__ import annotations

from typing import Any, ClassVar

import stable_baselines3
import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.td3.policies import Actor
from torch import Tensor, nn

from agents.learners.adam import AdamStep
from agents.learners.exact import ExactLearner
from agents.learners.networks import MLP, layers_of, through
from agents.learners.update import Update, mean


class TD3Update(Update):
    """Gradient steps of TD3: the critics at each, the actor and the targets at some.

    Args:
        model: SB3's model.
        batch_size: Transitions in a batch.
    """

    covered: ClassVar[tuple[type[nn.Module], type[nn.Module]]] = (Actor, ContinuousCritic)

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - TD3 or DDPG
        super().__init__(model, batch_size)
        self.actor, self.target_actor = (
            MLP(layers_of(module.mu), batch_size) for module in (model.actor, model.actor_target)
        )
        self.critics, self.targets = (
            [MLP(layers_of(q), batch_size) for q in module.q_networks]
            for module in (model.critic, model.critic_target)
        )
        gradients = [gradient for critic in self.critics for gradient in critic.gradients]
        self.critic_step = AdamStep(model.critic.optimizer, gradients)
        self.actor_step = AdamStep(model.actor.optimizer, self.actor.gradients)
        learned, averages = (self.actor, *self.critics), (self.target_actor, *self.targets)
        self.networks = (*learned, *averages)
        self.averaged, self.averages = (
            [parameter for network in networks for parameter in network.parameters]
            for networks in (learned, averages)
        )
        self.optimizers = [model.actor.optimizer, model.critic.optimizer]
        self.minus_share, self.twice_share = -self.share, 2 * self.share
        self.noise = torch.empty(batch_size, self.action_size)

    def train(self, gradient_steps: int) -> None:
        """Takes gradient steps and logs them as SB3's `TD3.train` does."""
        model = self.model
        critic_losses, actor_losses = [], []
        for _ in range(gradient_steps):
            model._n_updates += 1
            batch = model.replay_buffer.sample(self.batch_size, env=model._vec_normalize_env)
            self.load(batch)
            critic_losses.append(self.critic_update(batch))
            if model._n_updates % model.policy_delay == 0:
                actor_losses.append(self.actor_update())
                self.average_targets()
        model.logger.record("train/n_updates", model._n_updates, exclude="tensorboard")
        if actor_losses:
            model.logger.record("train/actor_loss", mean(actor_losses))
        model.logger.record("train/critic_loss", mean(critic_losses))

    def critic_update(self, batch: Any) -> float:  # noqa: ANN401 - a named tuple of SB3's
        """Takes a step on Σ E[(Q(s,a) - y)²], over all critics.

        Args:
            batch: Transitions (s, a, r, s').

        Returns:
            The loss.
        """
        # a' = clip(μ'(s') + clip(ε, -c, c), -1, 1), y = r + γ min Q'(s',a')
        clip = self.model.target_noise_clip
        noise = self.noise.normal_(0, self.model.target_policy_noise).clamp_(-clip, clip)
        actions = noise.add_(self.target_actor.forward(self.next_states)).clamp_(-1, 1)
        x = self.critic_input(self.next_states, actions)
        least = torch.cat([q.forward(x) for q in self.targets], 1).amin(1, keepdim=True)
        target = least.mul_(self.discounts(batch)).add_(batch.rewards)
        x = self.critic_input(self.present_states, batch.actions)
        loss = torch.zeros(())
        for q in self.critics:
            error = q.forward(x).sub_(target)
            loss += error.square().mean()
            q.backward(error.mul_(self.twice_share))
        self.critic_step()
        return loss.item()

    def actor_update(self) -> float:
        """Takes a step on -E[Q₁(s,μ(s))].

        Returns:
            The loss.
        """
        first = self.critics[0]
        action = self.actor.forward(self.present_states)
        loss = -first.forward(self.critic_input(self.present_states, action)).mean()
        delta = first.backward(self.minus_share, weights=False, inputs=True)
        self.actor.backward(self.action_gradient([delta]).contiguous())
        self.actor_step()
        return loss.item()

    def explore(self, features: Tensor) -> Tensor:
        """Returns the actions of a step, without noise.

        Args:
            features: Of shape `(environments, features)`.
        """
        return through(layers_of(self.model.actor.mu), features)


class TD3(ExactLearner, stable_baselines3.TD3):
    """SB3's TD3, trained to the same bits without autograd."""

    update_class = TD3Update


class DDPG(ExactLearner, stable_baselines3.DDPG):
    """SB3's DDPG, which is TD3 with one critic and no delay, trained without autograd."""

    update_class = TD3Update
