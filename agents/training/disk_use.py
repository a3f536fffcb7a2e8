"""How much disk the snapshots of a run will take."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from agents.config import RunConfig
from agents.learners.environments import training_envs
from agents.learners.sb3_learner import build_learner
from agents.snapshots.replay_log import ReplayLog
from agents.snapshots.store import snapshot_bytes


def kept_bytes(config: RunConfig, steps: Sequence[int]) -> int:
    """Estimates the disk use of snapshots, including the replay chunks that they share.

    Args:
        config: What is trained.
        steps: Step of each snapshot that is kept, ascending.

    Returns:
        Bytes.
    """
    with training_envs(dataclasses.replace(config, vec_env="dummy")) as venv:
        learner = build_learner(config, venv)
        size = len(steps) * snapshot_bytes(learner)
        if learner.replay is not None:
            size += ReplayLog(Path(), learner.replay).disk_use(steps)
    return size
