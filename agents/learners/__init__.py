"""From a config to what is trained; the only room that knows Stable-Baselines3's internals.

`SAC`, `TD3`, `DDPG`, `TQC`, `PPO` and `A2C` are SB3's classes, trained to the same bits without
autograd.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.learners.a2c import A2C
    from agents.learners.ppo import PPO
    from agents.learners.sac import SAC
    from agents.learners.td3 import DDPG, TD3
    from agents.learners.tqc import TQC

__all__ = ["A2C", "DDPG", "PPO", "SAC", "TD3", "TQC"]

# SB3 takes seconds to import, which reading a run does not need.
_HOMES = {"A2C": "a2c", "DDPG": "td3", "PPO": "ppo", "SAC": "sac", "TD3": "td3", "TQC": "tqc"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _HOMES:
        return getattr(import_module(f"agents.learners.{_HOMES[name]}"), name)
    valid = ", ".join(_HOMES)
    raise AttributeError(f"module {__name__!r} has no learner {name!r}; valid: {valid}")
