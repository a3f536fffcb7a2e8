"""SB3 algorithms under any learning-rate schedule, in runs that can be continued exactly."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agents.algorithms import ALGORITHMS, Algorithm
from agents.config import ConfigError, RunConfig
from agents.presets import load_preset
from agents.pretrained.catalogue import pretrained_names
from agents.runs.directory import RunDirectory, RunError, find_run
from agents.training.observers import Episode, Observer, Update

if TYPE_CHECKING:
    from agents.pretrained.acting import load_pretrained
    from agents.snapshots.agent import load_agent
    from agents.training.loop import create_run, train_run

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ConfigError",
    "Episode",
    "Observer",
    "RunConfig",
    "RunDirectory",
    "RunError",
    "Update",
    "create_run",
    "find_run",
    "load_agent",
    "load_preset",
    "load_pretrained",
    "pretrained_names",
    "train_run",
]

# SB3 takes seconds to import, which reading a run does not need.
_NEED_SB3 = {
    "create_run": "agents.training.loop",
    "load_agent": "agents.snapshots.agent",
    "load_pretrained": "agents.pretrained.acting",
    "train_run": "agents.training.loop",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _NEED_SB3:
        return getattr(import_module(_NEED_SB3[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
