"""Schedules of branches: a run's own up to a boundary, something else from there on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError, snapshot_steps
from schedules import ConstantSchedule, Schedule, StaircaseSchedule, joined


def fork_step(run: RunDirectory, phase: int) -> int:
    """Step of the snapshot from which a branch goes its own way in a phase.

    Args:
        run: The run to be forked.
        phase: Index of the phase.

    Raises:
        ConfigError: If the run cannot be forked there.
        RunError: If it has not come that far.
    """
    if phase not in run.fork_steps:
        raise ConfigError(run.why_no_fork(phase))
    step = run.fork_steps[phase]
    if step not in snapshot_steps(run):
        raise RunError(
            f"{run.path} has not reached phase {phase} yet: it has no snapshot at {step}"
        )
    return step


def held_schedule(run: RunDirectory, phase: int) -> Schedule:
    """The run's schedule up to a boundary, and the rate before it from there on.

    Args:
        run: The run to be forked.
        phase: Index of the phase at whose beginning it is forked, a key of `run.fork_steps`.

    Returns:
        The schedule of a held branch.
    """
    # The rate that the last update had: planned phases that none met may lie between.
    last = run.phases[max(p.index for p in run.effective_phases if p.index < phase)]
    return joined(run.config.schedule, last.stop, ConstantSchedule(last.learning_rate))


def decayed_schedule(run: RunDirectory, phase: int, changes: Mapping[str, Any]) -> Schedule:
    """The run's schedule up to a boundary, and another staircase from there on.

    Args:
        run: The run to be forked; its schedule is a staircase.
        phase: Index of the phase at whose beginning it is forked.
        changes: Arguments of `StaircaseSchedule` that differ from the run's own.
            `initial_learning_rate` is the rate at the boundary; without it that is the rate
            before the boundary, decayed once.

    Returns:
        The schedule of a branch.

    Raises:
        ConfigError: If a value is invalid or the run's schedule is no staircase.
    """
    schedule, boundary = run.config.schedule, run.phases[phase].start
    if not isinstance(schedule, StaircaseSchedule):
        raise ConfigError(f"the schedule of {run.path} is no staircase but {schedule!r}")
    decay_rate = changes.get("decay_rate", schedule.decay_rate)
    minimum = changes.get("minimum_learning_rate", schedule.minimum_learning_rate)
    decayed_once = max(run.phases[phase - 1].learning_rate * decay_rate, minimum)
    try:
        staircase = StaircaseSchedule(
            initial_learning_rate=changes.get("initial_learning_rate", decayed_once),
            decay_steps=changes.get("decay_steps", schedule.decay_steps),
            decay_rate=decay_rate,
            minimum_learning_rate=minimum,
            constant_steps=changes.get("constant_steps"),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return joined(schedule, boundary, staircase)
