"""SB3 algorithms under any learning-rate schedule, in runs that can be continued exactly."""

from typing import TYPE_CHECKING, Any

from agents.algorithms import ALGORITHMS, Algorithm
from agents.config import ConfigError, RunConfig
from agents.presets import load_preset
from agents.runs.directory import RunDirectory, RunError, find_run

if TYPE_CHECKING:
    from agents.snapshots.agent import load_agent

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ConfigError",
    "RunConfig",
    "RunDirectory",
    "RunError",
    "find_run",
    "load_agent",
    "load_preset",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # SB3 takes seconds to import, which reading a run does not need.
    if name == "load_agent":
        from agents.snapshots.agent import load_agent

        return load_agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
