"""Configs of runs that train in a second or two."""

from __future__ import annotations

from typing import Any

from agents import ALGORITHMS, RunConfig
from agents.training.observers import Observer
from schedules import Schedule, StaircaseSchedule

STAIRCASE = StaircaseSchedule(1e-3, decay_steps=130, decay_rate=0.5)

OFF_POLICY = {
    "learning_starts": 110,
    "batch_size": 32,
    "buffer_size": 10_000,
    "policy_kwargs": {"net_arch": [16, 16]},
}
ON_POLICY = {"n_steps": 64, "policy_kwargs": {"net_arch": [16, 16]}}
HER = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}


def small_config(algo: str, schedule: Schedule = STAIRCASE, **changes: Any) -> RunConfig:
    """A run of 300 steps, with snapshots every 40; `changes` go over it.

    `hyperparameters` in the changes are laid over the algorithm's small ones.
    """
    on_policy = not ALGORITHMS[algo].off_policy
    hyperparameters = dict(ON_POLICY if on_policy else OFF_POLICY)
    if algo in ("ppo", "trpo"):
        hyperparameters["batch_size"] = 32
    hyperparameters.update(changes.pop("hyperparameters", {}))
    values: dict[str, Any] = {
        "env": "reach",
        "algo": algo,
        "total_timesteps": 300,
        "schedule": schedule,
        "snapshot_every": 40,
        "hyperparameters": hyperparameters,
        "her": None if on_policy else HER,
    }
    values.update(changes)
    return RunConfig(**values)


class OnSnapshot(Observer):
    """Calls a function after each snapshot."""

    def __init__(self, function):
        self._function = function

    def on_snapshot(self, snapshot):
        self._function(snapshot)
