"""Learning from what a scripted controller does, beside what the agent does itself."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from envs.controllers import Controller


class Demonstrated(OffPolicyAlgorithm):
    """Lets a controller act in the first of the parallel environments.

    Its transitions go to the replay buffer as the agent's do, so that an agent that would hardly
    ever succeed by chance learns from successes (Vecerik et al., 2017,
    https://arxiv.org/abs/1707.08817, without their loss and priorities). Its episodes do not count
    in the statistics of training.

    Attributes:
        demonstrators: The number of environments in which the controller acts.
        controller: It, which sees an environment's own observations, not normalised ones.
    """

    demonstrators: ClassVar[int]
    controller: Controller

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        # The agent's actions are drawn everywhere, so that its draws do not depend on the number.
        actions, _ = super()._sample_action(learning_starts, action_noise, n_envs)
        normalised = self._vec_normalize_env is not None
        seen: Any = self._last_original_obs if normalised else self._last_obs
        for env in range(self.demonstrators):
            shown = self.controller({key: values[env] for key, values in seen.items()})
            actions[env] = np.clip(shown, self.action_space.low, self.action_space.high)  # type: ignore[attr-defined]
        return actions, self.policy.scale_action(actions)

    def _update_info_buffer(
        self, infos: list[dict[str, Any]], dones: NDArray[np.bool_] | None = None
    ) -> None:
        own = None if dones is None else dones[self.demonstrators :]
        super()._update_info_buffer(infos[self.demonstrators :], own)


def demonstrated(
    base: type[OffPolicyAlgorithm], demonstrators: int, controller: Controller
) -> type[OffPolicyAlgorithm]:
    """Makes a class of models that learn from demonstrations, too.

    Args:
        base: The algorithm.
        demonstrators: The number of environments in which the controller acts.
        controller: Acts in them.
    """
    shown = {"demonstrators": demonstrators, "controller": staticmethod(controller)}
    return type(f"Demonstrated{base.__name__}", (Demonstrated, base), shown)
