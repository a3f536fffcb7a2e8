"""SB3 algorithms under any learning-rate schedule, in runs that can be continued exactly."""

from agents.algorithms import ALGORITHMS, Algorithm
from agents.config import ConfigError, RunConfig
from agents.presets import load_preset
from agents.run_directory import RunDirectory, RunError, find_run

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ConfigError",
    "RunConfig",
    "RunDirectory",
    "RunError",
    "find_run",
    "load_preset",
]
