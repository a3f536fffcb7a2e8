"""Finds the agent at the end of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents import ConfigError, RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.manifest import Snapshot, read_snapshot
from agents.runs.spans import phases_by_reason, spans


@dataclass(frozen=True)
class PhaseEnds:
    """The snapshots at the phase ends of a run.

    Attributes:
        snapshots: By phase index, in order; only phases that have one.
        missing: Why each other planned phase has none, by phase index, in order.
    """

    snapshots: Mapping[int, Snapshot]
    missing: Mapping[int, str]


def phase_ends(run: RunDirectory) -> PhaseEnds:
    """Finds the snapshot at the end of each phase: the last before the next phase's first update.

    Args:
        run: The run, which need not be complete.

    Returns:
        The snapshots, and the reasons for those that are missing.

    Raises:
        RunError: If there is none at all.
    """
    missing = missing_ends(run)

    found: dict[int, Snapshot] = {}
    # A snapshot's own `phase_end` will not do: a branch inherits that of the fork, where no phase
    # of a held branch ends.
    for index, step in run.phase_end_steps.items():
        if index not in missing:
            try:
                found[index] = read_snapshot(run, step)
            except RunError as error:
                missing[index] = str(error)
    if not found:
        raise _no_agent(run, missing)
    return PhaseEnds(found, dict(sorted(missing.items())))


def missing_ends(run: RunDirectory) -> dict[int, str]:
    """Says why phases have no snapshot at their end, without reading any.

    Args:
        run: The run.

    Returns:
        The reason for each such phase, by index, in order.

    Raises:
        RunError: If no phase has one.
    """
    steps = snapshot_steps(run)
    newest = f"the newest is at step {steps[-1]}" if steps else "nor any other"
    absent = f"there is no snapshot at the end, {newest}"
    if (divergence := read_divergence(run)) is not None:
        absent = f"the run {divergence}"
    missing = {i: f"no update came there, {why}" for i, why in run.untrained_phases.items()}
    for index, step in run.phase_end_steps.items():
        if step not in steps:
            missing[index] = absent
    if len(missing) == len(run.phases):
        raise _no_agent(run, missing)
    return dict(sorted(missing.items()))


def missing_phases(missing: Mapping[int, str]) -> tuple[str, ...]:
    """Describes which phases have no agent.

    Args:
        missing: The reasons, by phase index, in order.

    Returns:
        A line for each reason.
    """
    return tuple(
        f"no agent of {name}: {reason}" for name, reason in phases_by_reason(missing).items()
    )


def ended_phase(run: RunDirectory, phase: int | None) -> int:
    """Checks that a phase has an agent.

    Args:
        run: The run.
        phase: Index of the phase; `None` for the last one that has ended.

    Returns:
        Its index.

    Raises:
        ConfigError: If the run has no such phase, or no update came there.
        RunError: If the phase has not ended yet.
    """
    missing = missing_ends(run)
    trained = list(run.phase_end_steps)
    if phase is None:
        return max(index for index in trained if index not in missing)
    if phase in run.untrained_phases:
        why = f"no agent of phase {phase}: {missing[phase]}"
        raise ConfigError(f"{run.path} has {why}; valid phases are {spans(trained)}")
    if phase not in trained:
        raise ConfigError(f"{run.path} has no phase {phase}: valid phases are {spans(trained)}")
    if phase in missing:
        raise RunError(f"{run.path} has no agent of phase {phase}: {missing[phase]}")
    return phase


def _no_agent(run: RunDirectory, missing: Mapping[int, str]) -> RunError:
    reasons = "; ".join(missing_phases(dict(sorted(missing.items()))))
    return RunError(f"{run.path} has no trained agent to play with: {reasons}")
