"""From a config to what is trained; the only room that knows Stable-Baselines3's internals.

`SAC`, `TD3`, `DDPG` and `TQC` are SB3's classes, trained to the same bits without autograd.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.learners.sac import SAC

__all__ = ["SAC"]

# SB3 takes seconds to import, which reading a run does not need.
_HOMES = {"SAC": "sac"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _HOMES:
        return getattr(import_module(f"agents.learners.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
