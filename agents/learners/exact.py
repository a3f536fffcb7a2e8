"""Learners that make SB3's updates bit for bit without autograd, or fall back to SB3's own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.learners.coverage import why_not
from agents.learners.update import Update, act, train_without_autograd


class ExactLearner(OffPolicyAlgorithm):
    """Adds an update without autograd to one of SB3's classes.

    Attributes:
        fallback: Why SB3's own `train` is used; `None` if updates are made without autograd, and
            before the first update.
    """

    update_class: ClassVar[type[Update]]
    fallback: str | None = None
    _update: Update | None = None
    _tried: int | None = None
    _addresses: list[int] | None = None

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

    def _current_update(self, batch_size: int) -> Update | None:
        update = self._update
        if (
            update is not None
            and update.batch_size == batch_size
            and update.addresses() == self._addresses
        ):
            return update
        if update is not None or self._tried != batch_size:
            self.fallback, self._tried = why_not(self, batch_size), batch_size
            update = self._update = None
            if self.fallback is None:
                update = self._update = self.update_class(self, batch_size)
                self._addresses = update.addresses()
        return update

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

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_update", "_tried", "_addresses", "fallback"]
