"""The agents that are compared: each phase's, at the end of the phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents import RunDirectory, RunError
from agents.divergence import read_divergence
from agents.snapshots import Snapshot, phase_end_steps, read_snapshot, snapshot_steps


@dataclass(frozen=True)
class PhaseEnds:
    """The snapshots at the phase ends of a run.

    Attributes:
        snapshots: By index of the phase, in order; those phases that have one.
        missing: Why each other planned phase has none, by index.
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
    steps = phase_end_steps(run)
    existing = snapshot_steps(run)
    divergence = read_divergence(run)
    yet = "yet" if divergence is None else f"because the run {divergence}"
    found: dict[int, Snapshot] = {}
    missing: dict[int, str] = {}
    for index in (phase.index for phase in run.phases):
        if index not in steps:
            missing[index] = (
                f"no update falls into it, because {run.config.algo} updates every "
                f"{run.steps_per_update} steps"
            )
        elif steps[index] not in existing:
            missing[index] = f"the run has no snapshot at its end (step {steps[index]}) {yet}"
        else:
            try:
                found[index] = read_snapshot(run, steps[index])
            except RunError as error:
                missing[index] = str(error)
    if not found:
        reasons = "; ".join(f"phase {index}: {reason}" for index, reason in missing.items())
        raise RunError(f"{run.path} has no agent to play with: {reasons}")
    return PhaseEnds(found, missing)
