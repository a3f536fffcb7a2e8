"""SAC's update without autograd (Haarnoja et al., https://arxiv.org/abs/1812.05905)."""

from __future__ import annotations

from typing import Any, ClassVar

import stable_baselines3
import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import Actor
from torch import Tensor, nn

from agents.learners.adam import AdamStep
from agents.learners.exact import ExactLearner
from agents.learners.gaussian import EntropyCoefficient, SquashedGaussian, explore
from agents.learners.networks import MLP, layers_of
from agents.learners.update import Update, mean


class SACUpdate(Update):
    """One gradient step of SAC on everything: the entropy coefficient, the critics, the actor.

    Args:
        model: SB3's model.
        batch_size: Transitions in a batch.
    """

    covered: ClassVar[tuple[type[nn.Module], type[nn.Module]]] = (Actor, ContinuousCritic)

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - SAC or TQC
        super().__init__(model, batch_size)
        self.actor = SquashedGaussian(model.actor, batch_size)
        self.critics, self.targets = (
            [MLP(layers_of(q), batch_size) for q in module.q_networks]
            for module in (model.critic, model.critic_target)
        )
        self.picked = torch.empty(batch_size, len(self.critics))
        self.minus_share = -self.share
        self.alpha = EntropyCoefficient(model)
        gradients = [gradient for critic in self.critics for gradient in critic.gradients]
        self.critic_step = AdamStep(model.critic.optimizer, gradients)
        self.actor_step = AdamStep(model.actor.optimizer, self.actor.gradients)
        self.networks = (*self.actor.networks, *self.critics, *self.targets)
        self.averaged, self.averages = (
            [parameter for network in networks for parameter in network.parameters]
            for networks in (self.critics, self.targets)
        )
        self.optimizers = [model.actor.optimizer, model.critic.optimizer]
        if model.ent_coef_optimizer is not None:
            self.optimizers.append(model.ent_coef_optimizer)

    def train(self, gradient_steps: int) -> None:
        """Takes gradient steps and logs them as SB3's `SAC.train` does."""
        model = self.model
        losses = []
        for number in range(gradient_steps):
            losses.append(
                self.step(model.replay_buffer.sample(self.batch_size, env=model._vec_normalize_env))
            )
            if number % model.target_update_interval == 0:
                self.average_targets()
        model._n_updates += gradient_steps
        model.logger.record("train/n_updates", model._n_updates, exclude="tensorboard")
        for name, values in zip(
            ("ent_coef", "actor_loss", "critic_loss", "ent_coef_loss"),
            zip(*losses, strict=True),
            strict=True,
        ):
            if values[0] is not None:
                model.logger.record(f"train/{name}", mean(values))

    def step(self, batch: Any) -> tuple[float, float, float, float | None]:  # noqa: ANN401 - a named tuple of SB3's
        """Takes one gradient step.

        Args:
            batch: Transitions (s, a, r, s').

        Returns:
            α, the actor's loss, the critics' and that of α.
        """
        half = self.batch_size
        self.load(batch)
        actions, log_probs = self.actor.act(self.states)
        log_prob = log_probs[:half]
        alpha, alpha_loss = self.alpha.update(log_prob)
        used = alpha.item()
        # y = r + γ(min Q'(s',a') - α log π(a'|s'))
        target = self.target(batch, actions[half:], alpha * log_probs[half:])
        critic_loss = self.critic_backward(batch.actions, target)
        self.critic_step()
        # J(π) = E[α log π(a|s) - min Q(s,a)]
        value, by_action = self.value(actions[:half])
        actor_loss = (alpha * log_prob - value).mean().item()
        self.actor.backward(by_action, self.share * alpha)
        self.actor_step()
        return used, actor_loss, critic_loss, alpha_loss

    def target(self, batch: Any, actions: Tensor, entropy: Tensor) -> Tensor:  # noqa: ANN401 - a named tuple of SB3's
        """Computes the critics' target, of shape `(batch_size, 1)`.

        Args:
            batch: The transitions.
            actions: Drawn at the next states.
            entropy: α log π of these.
        """
        x = self.critic_input(self.next_states, actions)
        least = torch.cat([q.forward(x) for q in self.targets], 1).amin(1, keepdim=True)
        return least.sub_(entropy).mul_(self.discounts(batch)).add_(batch.rewards)

    def critic_backward(self, actions: Tensor, target: Tensor) -> float:
        """Makes the gradients of ½ Σ E[(Q(s,a) - y)²], over all critics.

        Args:
            actions: Those of the batch.
            target: y.

        Returns:
            The loss.
        """
        x = self.critic_input(self.present_states, actions)
        losses = torch.zeros(())
        for q in self.critics:
            error = q.forward(x).sub_(target)
            losses += error.square().mean()
            q.backward(error.mul_(self.share))
        return 0.5 * losses.item()

    def value(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the least Q(s,a), and the derivative of its negative mean by the actions.

        Args:
            actions: The policy's, at the present states.
        """
        x = self.critic_input(self.present_states, actions)
        least, which = torch.min(
            torch.cat([q.forward(x) for q in self.critics], 1), 1, keepdim=True
        )
        picked = self.picked.zero_().scatter_(1, which, self.minus_share)
        deltas = [
            q.backward(picked[:, i : i + 1], weights=False, inputs=True)
            for i, q in enumerate(self.critics)
        ]
        return least, self.action_gradient(deltas)

    def explore(self, features: Tensor) -> Tensor:
        """Returns the actions of a step, in [-1, 1].

        Args:
            features: Of shape `(environments, features)`.
        """
        return explore(self.model.actor, features)


class SAC(ExactLearner, stable_baselines3.SAC):
    """SB3's SAC, trained to the same bits without autograd."""

    update_class = SACUpdate
