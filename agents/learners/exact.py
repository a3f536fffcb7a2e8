"""Learners that make SB3's updates bit for bit without autograd, or fall back to SB3's own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.learners.coverage import why_not
from agents.learners.update import Update, act, train_without_autograd
from agents.learners.without_autograd import WithoutAutograd


class ExactLearner(WithoutAutograd, OffPolicyAlgorithm):
    """Adds an update without autograd to one of SB3's classes."""

    update_class: ClassVar[type[Update]]

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Makes an update with SB3's bits.

        Args:
            gradient_steps: Batches to draw and learn from.
            batch_size: Transitions in a batch.
        """
        update = self._current_update(batch_size)
        if update is None:
            super().train(gradient_steps, batch_size)
        else:
            train_without_autograd(self, update, gradient_steps)

    def train_with_autograd(self, gradient_steps: int, batch_size: int) -> None:
        """Makes an update as SB3 does.

        Args:
            gradient_steps: Batches to draw and learn from.
            batch_size: Transitions in a batch.
        """
        super().train(gradient_steps, batch_size)

    def why_not(self, batch_size: int) -> str | None:  # noqa: D102
        return why_not(self, batch_size)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        update = self._update
        if update is None or self.num_timesteps < learning_starts:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        assert self._last_obs is not None
        scaled = self.policy.scale_action(act(self, update, self._last_obs))
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1, 1)
        return self.policy.unscale_action(scaled), scaled
