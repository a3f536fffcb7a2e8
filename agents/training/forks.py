"""Forks: runs that continue from a snapshot of another run, with something changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.config import FIRST_EVALUATION_SEED, ConfigError, RunConfig
from agents.learners.model import check_device
from agents.learners.trial import try_config
from agents.plain import shown
from agents.runs.directory import Parent, RunDirectory, check_free, require_snapshot
from agents.runs.forks import GENERATOR_SEED, STATE, changed_config, check_past
from agents.runs.keeping import copy_past
from agents.runs.manifest import check_snapshot, read_snapshot
from schedules import effective_phases


def fork_at(run: RunDirectory, step: int, changes: Mapping[str, Any], path: Path) -> RunDirectory:
    """Creates a run that continues from a snapshot of another, with some values changed.

    Up to the snapshot the two are the same run: the fork gets the snapshot, the tables up to it,
    and the replay buffer. A check ensures that the fork's schedule agrees with that past.

    Args:
        run: The run to be forked.
        step: Step of one of its snapshots.
        changes: New values by name: `schedule`, `total_timesteps`, and those hyperparameters and
            hindsight arguments that `agents.runs.forks.changed_config` accepts. `seed` reseeds all
            generators at the fork, including those of the environments; the config keeps the run's
            own seed. `state` is one of `FORKED_STATES` and needs a seed; with a fresh agent, the
            seed is the config's, too.
        path: Folder of the fork, new or empty.

    Returns:
        The fork, for `train_run`.

    Raises:
        ConfigError: If something cannot be changed, a value is invalid, or this machine does not
            have the run's device.
        RunError: If the snapshot is missing or damaged, or the folder cannot be used.
    """
    check_device(run.config.device)
    require_snapshot(run, step)
    config = changed_config(run, changes)
    if config.total_timesteps <= step:
        raise ConfigError(
            f"total_timesteps must be above {step}, the step of the fork, got "
            f"{config.total_timesteps}"
        )
    seed = _generator_seed(run.config, changes)
    if STATE in changes and seed is None:
        raise ConfigError("a fork that changes the state needs a seed")
    check_free(path)
    snapshot = read_snapshot(run, step)
    check_snapshot(run, snapshot)
    phases = config.schedule.phases(config.total_timesteps)
    check_past(run, effective_phases(phases, run.steps_per_update, run.first_update), step)
    learner = run.learner
    if changes.keys() - {"schedule", "total_timesteps", GENERATOR_SEED}:
        interval, first_update, learner = try_config(config)
        if (interval, first_update) != (run.steps_per_update, run.first_update):
            raise ConfigError("a fork cannot change when updates come")
    phase = run.phase_at(step + run.steps_per_update).index
    parent = Parent(
        os.path.relpath(run.path, path),
        snapshot.step,
        phase,
        snapshot.state_sha256,
        seed,
        changes.get(STATE),
    )
    fork = RunDirectory.create(
        path, config, run.steps_per_update, run.first_update, parent, learner=learner
    )
    copy_past(run, snapshot, fork)
    return fork


def _generator_seed(config: RunConfig, changes: Mapping[str, Any]) -> int | None:
    if GENERATOR_SEED not in changes:
        return None
    seed, largest = changes[GENERATOR_SEED], FIRST_EVALUATION_SEED - config.n_envs
    if type(seed) is not int or not 0 <= seed <= largest:
        raise ConfigError(f"seed must be an integer from 0 to {largest}, got {shown(seed)}")
    return seed
