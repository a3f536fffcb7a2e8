"""Schedules of branches: the run's own up to a boundary, another one from there on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.config import ConfigError
from agents.runs.directory import RunDirectory
from schedules import ConstantSchedule, Schedule, StaircaseSchedule, joined


def held_schedule(run: RunDirectory, phase: int) -> Schedule:
    """Follows a run's schedule up to a boundary and holds the rate before it from there on.

    Args:
        run: The run to be forked.
        phase: Index of the phase whose beginning is the boundary, a key of `run.fork_steps`.

    Returns:
        The schedule of a held branch.
    """
    # The rate of the last update: planned phases without any update may lie in between.
    last = run.phases[max(p.index for p in run.effective_phases if p.index < phase)]
    return joined(run.config.schedule, last.stop, ConstantSchedule(last.learning_rate))


def held_schedule_at(run: RunDirectory, step: int) -> Schedule:
    """Follows a run's schedule up to a step and holds the rate of that step from there on.

    Args:
        run: The run to be forked.
        step: Step of the fork.

    Returns:
        The schedule of a held branch.
    """
    rate = ConstantSchedule(run.phase_at(step).learning_rate)
    return joined(run.config.schedule, step + run.steps_per_update, rate)


def decayed_schedule(run: RunDirectory, boundary: int, changes: Mapping[str, Any]) -> Schedule:
    """Follows a run's schedule up to a step and another staircase from there on.

    Args:
        run: The run to be forked; its schedule is a staircase.
        boundary: First step of the other staircase.
        changes: Arguments of `StaircaseSchedule` that differ from the run's own.
            `initial_learning_rate` is the rate at the boundary; by default the rate before the
            boundary is decayed once.

    Returns:
        The schedule of a branch.

    Raises:
        ConfigError: If a value is invalid or the run's schedule is no staircase.
    """
    schedule = run.config.schedule
    if not isinstance(schedule, StaircaseSchedule):
        raise ConfigError(f"the schedule of {run.path} is no staircase but {schedule!r}")
    decay_rate = changes.get("decay_rate", schedule.decay_rate)
    minimum = changes.get("minimum_learning_rate", schedule.minimum_learning_rate)
    decayed_once = max(schedule(boundary - 1) * decay_rate, minimum)
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


def branch_total(run: RunDirectory, phase: int, schedule: Schedule, length: str) -> int:
    """Returns the total steps of a branch, counted from the start of its run.

    Args:
        run: The run to be forked.
        phase: Index of the phase that the branch replaces.
        schedule: Schedule of the branch.
        length: `"phase"` ends the branch where the run's phase ends, `"end"` where the run does.

    Raises:
        ConfigError: If the branch would end before its first update.
    """
    if length == "end" or phase == run.effective_phases[-1].index:
        return run.config.total_timesteps
    total = run.phase_end_steps[phase]
    if schedule(total) != schedule(total - 1):
        # The last update of a run uses the rate before the end, so it cannot begin a phase.
        raise ConfigError(
            f"phase {phase} of {run.path} is a single update long; use --branch-length end"
        )
    return total
