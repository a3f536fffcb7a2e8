"""The agents that are compared: each phase's, at the end of the phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents import RunDirectory, RunError
from agents.divergence import read_divergence
from agents.snapshots import Snapshot, read_snapshot, snapshot_steps
from agents.spans import phases_by_reason


@dataclass(frozen=True)
class PhaseEnds:
    """The snapshots at the phase ends of a run.

    Attributes:
        snapshots: By index of the phase, in order; those phases that have one.
        missing: Why each other planned phase has none, by index, in order.
    """

    snapshots: Mapping[int, Snapshot]
    missing: Mapping[int, str]


def phase_ends(run: RunDirectory) -> PhaseEnds:
    """Finds the snapshot at the end of each phase: the last before the next phase's first update.

    Args:
        run: The run, which need not be complete.

    Returns:
        What there is, and what is missing.

    Raises:
        RunError: If there is none at all.
    """
    # Not told by the snapshots' own `phase_end`: a branch has the one at which it was forked from
    # its parent, and in a held branch no phase ends there.
    existing = snapshot_steps(run)
    no_snapshot = (
        f"there is no snapshot at the end, the newest is at step {existing[-1]}"
        if existing
        else "there is no snapshot yet"
    )
    if (divergence := read_divergence(run)) is not None:
        no_snapshot = f"the run {divergence}"
    found: dict[int, Snapshot] = {}
    missing = {i: f"no update came there, {why}" for i, why in run.untrained_phases.items()}
    for index, step in run.phase_end_steps.items():
        if step not in existing:
            missing[index] = no_snapshot
            continue
        try:
            found[index] = read_snapshot(run, step)
        except RunError as error:
            missing[index] = str(error)
    if not found:
        reasons = "; ".join(missing_phases(missing))
        raise RunError(f"{run.path} has no trained agent to play with: {reasons}")
    return PhaseEnds(found, dict(sorted(missing.items())))


def missing_phases(missing: Mapping[int, str]) -> tuple[str, ...]:
    """Says which phases have no agent.

    Args:
        missing: Why each of them has none, by index, in order.

    Returns:
        A line for each reason.
    """
    return tuple(
        f"no agent of {name}: {reason}" for name, reason in phases_by_reason(missing).items()
    )
