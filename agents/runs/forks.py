"""What forks of a run may change, and whether a run really is the fork that it claims to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.hyperparameters import HINDSIGHT_ARGUMENTS, SURVIVED_HYPERPARAMETERS
from agents.plain import shown
from agents.runs.directory import FORKED_STATES, FRESH_AGENT, Parent, RunDirectory, RunError
from agents.runs.manifest import read_snapshot
from schedules import Phase

_CONFIG_KEYS = ("schedule", "total_timesteps")
_OF_AGENTS = ("her", "normalize", "reward", "action_noise")
_OF_EXPERIENCE = frozenset({*("buffer_size", "learning_starts", "train_freq"), "env", "n_envs"})
GENERATOR_SEED, STATE = "seed", "state"


def changed_config(run: RunDirectory, changes: Mapping[str, Any]) -> RunConfig:
    """Returns the config of a fork: its run's, with some values changed.

    Args:
        run: The run to be forked.
        changes: New values by name: `schedule`, `total_timesteps`, `seed` (of the generators from
            the fork on; the config keeps the run's own), hyperparameters that a snapshot's state
            does not depend on, hindsight arguments, or `her` if the run has no hindsight. With
            `state` a fresh agent, the seed is the config's, too, and whatever a replay buffer does
            not depend on may change: hyperparameters, `her`, `normalize`, `reward` and
            `action_noise`.

    Returns:
        The config.

    Raises:
        ConfigError: If a key cannot be changed in a fork, or a value is invalid.
    """
    config = run.config
    if run.parent is not None and run.parent.state == FRESH_AGENT:
        raise ConfigError(f"{run.path} began with a fresh agent: fork its parent instead")
    if STATE in changes:
        _check_state_change(run, changes[STATE])
        if changes[STATE] == FRESH_AGENT:
            return _fresh_config(config, {k: v for k, v in changes.items() if k != STATE})
    hyperparameters, her = dict(config.hyperparameters), dict(config.her or {})
    top: dict[str, Any] = {}
    for key, value in changes.items():
        if key in _CONFIG_KEYS:
            top[key] = value
        elif key in SURVIVED_HYPERPARAMETERS:
            hyperparameters[key] = value
        elif key in HINDSIGHT_ARGUMENTS and config.her is not None:
            her[key] = value
        elif key == "her" and config.her is None:
            top[key] = value  # The replay buffer has all that hindsight needs.
        elif key not in (GENERATOR_SEED, STATE):
            valid = [*_CONFIG_KEYS, GENERATOR_SEED, STATE, *sorted(SURVIVED_HYPERPARAMETERS)]
            valid += ["her"] if config.her is None else sorted(HINDSIGHT_ARGUMENTS)
            raise ConfigError(
                f"a fork cannot change {key}, because a snapshot's state would not fit or the past "
                f"would not be the same; valid: {', '.join(valid)}"
            )
    _check_entropy(config, hyperparameters)
    if config.her is not None:
        top["her"] = her
    return dataclasses.replace(config, hyperparameters=hyperparameters, **top)


def _check_state_change(run: RunDirectory, state: object) -> None:
    if state not in FORKED_STATES:
        raise ConfigError(f"state must be {' or '.join(FORKED_STATES)}, got {shown(state)}")
    if not ALGORITHMS[run.config.algo].off_policy:
        raise ConfigError(f"state: {run.config.algo} has no replay buffer, which {state} needs")


def _fresh_config(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The config of a fork that begins with the replay buffer and an agent of its own."""
    hyperparameters, top = dict(config.hyperparameters), {}
    for key, value in changes.items():
        if key in _OF_EXPERIENCE or (key == "her" and value is None):
            raise ConfigError(f"a fork cannot change {key}: the replay buffer would not fit")
        if key in (*_CONFIG_KEYS, GENERATOR_SEED, *_OF_AGENTS):
            top[key] = value
        else:
            hyperparameters[key] = value
    return dataclasses.replace(config, hyperparameters=hyperparameters, **top)


def _check_entropy(config: RunConfig, hyperparameters: Mapping[str, Any]) -> None:
    """Refuses to fix a learned entropy coefficient or free a fixed one: their states differ."""
    was, becomes = (
        isinstance(values.get("ent_coef", "auto"), str)
        for values in (config.hyperparameters, hyperparameters)
    )
    if was != becomes and ALGORITHMS[config.algo].off_policy:
        raise ConfigError(
            "a fork cannot change ent_coef between a number and auto: only a learned coefficient "
            "has an optimizer"
        )


def check_past(run: RunDirectory, phases: Sequence[Phase], step: int) -> None:
    """Checks that up to a step, a fork's updates have the same rates as its run's.

    Args:
        run: The run that is forked.
        phases: Effective phases of the fork.
        step: Step of the snapshot at the fork.

    Raises:
        RunError: If they differ.
    """
    if rates_until(phases, step) != rates_until(run.effective_phases, step):
        raise RunError("its schedule is not the parent's before the fork")


def stated_parent(trunk: RunDirectory, fork: RunDirectory) -> Parent:
    """Returns where a fork claims to have left a run.

    Args:
        trunk: The run.
        fork: The fork.

    Raises:
        RunError: If it names another run, or none.
    """
    parent = fork.parent
    if parent is None or (fork.path / parent.run).resolve() != trunk.path.resolve():
        raise RunError("its run.json names another parent")
    return parent


def check_state(trunk: RunDirectory, fork: RunDirectory, parent: Parent) -> None:
    """Checks that a fork starts from exactly the state of its trunk.

    Args:
        trunk: The run that was forked.
        fork: The fork.
        parent: Where the two part.

    Raises:
        RunError: If the state in one of them is not the one that was recorded at the fork.
    """
    noted = parent.state_sha256
    for whose, run in (("parent's", trunk), ("own", fork)):
        state = read_snapshot(run, parent.step).state_sha256
        if noted is None:  # an old branch; the two must at least agree
            noted = state
        if state != noted:
            raise RunError(
                f"its {whose} snapshot at step {parent.step} is not the one it was forked from: "
                f"its state has the checksum {state[:16]}, not {noted[:16]}"
            )


def differences(trunk: RunDirectory, fork: RunDirectory) -> dict[str, tuple[Any, Any]]:
    """Returns what a fork changes besides its schedule and length.

    Args:
        trunk: The run that was forked.
        fork: The fork.

    Returns:
        The values of the fork and of its trunk by config key, such as `"env"` or
        `"hyperparameters gamma"`.
    """
    own, parents = (
        {**run.config.to_dict(), "steps_per_update": run.steps_per_update}
        | {"first_update": run.first_update}
        for run in (fork, trunk)
    )
    found: dict[str, tuple[Any, Any]] = {}
    for name in own.keys() - {"schedule", "total_timesteps", "observers", "learner"}:
        first, second = own[name], parents[name]
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            found |= {
                f"{name} {key}": (first.get(key), second.get(key))
                for key in {**first, **second}
                if first.get(key) != second.get(key)
            }
        elif first != second:
            found[name] = (first, second)
    if fork.parent is not None and fork.parent.generator_seed is not None:
        found["seed of the generators"] = (fork.parent.generator_seed, None)
    return found


def rates_until(phases: Sequence[Phase], step: int) -> list[tuple[int, float]]:
    """Lists the changes of the updates' rate up to a step, as pairs of step and new rate.

    Args:
        phases: Effective phases of a run.
        step: The step.
    """
    changes: list[tuple[int, float]] = []
    for phase in phases:
        if phase.start <= step and (not changes or changes[-1][1] != phase.learning_rate):
            changes.append((phase.start, phase.learning_rate))
    return changes


def rates_from(phases: Sequence[Phase], step: int) -> set[float]:
    """Returns the rates of the updates from a step on.

    Args:
        phases: Effective phases of a run.
        step: The step.
    """
    later = {left.learning_rate for left, right in pairwise(phases) if right.start > step}
    return later | {phase.learning_rate for phase in phases[-1:]}
