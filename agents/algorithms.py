"""The algorithms by name: which class trains, and what it can be combined with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


@dataclass(frozen=True)
class Algorithm:
    """One trainable algorithm.

    Attributes:
        name: Lower-case name used on the command line and in presets.
        path: `module:class` of the SB3 algorithm, imported when first needed.
        off_policy: Whether it learns from a replay buffer, and so can use HER and action noise.
        losses: What it logs below `train/` at an update, recorded in `metrics.csv`.
    """

    name: str
    path: str
    off_policy: bool
    losses: tuple[str, ...]

    def load_class(self) -> type[BaseAlgorithm]:
        """Imports the SB3 class, which takes seconds the first time."""
        module, _, attribute = self.path.partition(":")
        loaded: type[BaseAlgorithm] = getattr(import_module(module), attribute)
        return loaded

    def value(self, name: str, hyperparameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any kind
        """Returns the value of a hyperparameter, given or default.

        Args:
            name: A keyword argument of the SB3 class.
            hyperparameters: Those that are given.

        Returns:
            The value given, or else the class's default.
        """
        default = inspect.signature(self.load_class()).parameters[name].default
        return hyperparameters.get(name, default)


_SOFT = ("actor_loss", "critic_loss", "ent_coef", "ent_coef_loss")
_DETERMINISTIC = ("actor_loss", "critic_loss")
_PPO = (
    *("policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction"),
    "explained_variance",
)
_A2C = ("policy_loss", "value_loss", "entropy_loss", "explained_variance")
_TRPO = ("policy_objective", "value_loss", "kl_divergence_loss", "explained_variance")

_CROSSQ = "agents.learners.crossq:MultiInputCrossQ"

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("sac", "stable_baselines3:SAC", off_policy=True, losses=_SOFT),
        Algorithm("td3", "stable_baselines3:TD3", off_policy=True, losses=_DETERMINISTIC),
        Algorithm("ddpg", "stable_baselines3:DDPG", off_policy=True, losses=_DETERMINISTIC),
        Algorithm("tqc", "sb3_contrib:TQC", off_policy=True, losses=_SOFT),
        Algorithm(
            "crossq", "agents.learners.crossq:MultiInputCrossQ", off_policy=True, losses=_SOFT
        ),
        Algorithm("ppo", "stable_baselines3:PPO", off_policy=False, losses=_PPO),
        Algorithm("a2c", "stable_baselines3:A2C", off_policy=False, losses=_A2C),
        Algorithm("trpo", "sb3_contrib:TRPO", off_policy=False, losses=_TRPO),
    )
}
