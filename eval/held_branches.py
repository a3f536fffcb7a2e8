"""Held branches: what a phase would have come to, had the rate not decayed at its boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agents import RunDirectory, RunError
from agents.runs.directory import Parent
from agents.runs.manifest import Snapshot, read_snapshot
from eval.phase_ends import phase_ends


@dataclass(frozen=True)
class HeldBranch:
    """A branch that kept the rate of the phase before a boundary.

    Attributes:
        run: The branch.
        end: Its final snapshot.
        end_phase: Index of the branch's own phase that ends there.
        rival_phase: Index of the trunk's phase that ends at the same step: the phase that begins
            at the boundary, or the last one, if the branch was trained to the end of the run.
    """

    run: RunDirectory
    end: Snapshot
    end_phase: int
    rival_phase: int


def held_branches(
    trunk: RunDirectory, ends: Mapping[int, Snapshot]
) -> tuple[dict[int, HeldBranch], tuple[str, ...]]:
    """Finds the held branches below `branches/` of a run.

    A branch whose rate changes after the fork is no held branch and is passed over in silence.

    Args:
        trunk: The run that follows the schedule.
        ends: Its snapshots at phase ends, by phase.

    Returns:
        The held branches, by the phase that begins where they were forked; and one line for each
        branch that cannot be used.
    """
    found: dict[int, HeldBranch] = {}
    notes: list[str] = []
    folder = trunk.path / "branches"
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for name in names:
        if name.startswith("."):
            continue
        try:
            branch = RunDirectory.open(folder / name)
            phase = _held_phase(trunk, branch)
            if phase is None:
                continue
            if phase in found:
                raise RunError(f"{found[phase].run.path.name} holds the rate at the same boundary")
            found[phase] = _held_branch(branch, phase, ends)
        except RunError as error:
            notes.append(f"branch {name} is left out: {error}")
    return found, tuple(notes)


def _held_branch(branch: RunDirectory, phase: int, ends: Mapping[int, Snapshot]) -> HeldBranch:
    last = branch.effective_phases[-1].index
    branch_ends = phase_ends(branch)
    end = branch_ends.snapshots.get(last)
    if end is None:
        raise RunError(f"it is not complete: {branch_ends.missing[last]}")
    rivals = [index for index, rival in ends.items() if index >= phase and rival.step == end.step]
    if not rivals:
        raise RunError(f"it ends at step {end.step}, where its parent has no agent to compare with")
    return HeldBranch(branch, end, last, rivals[0])


def _held_phase(trunk: RunDirectory, branch: RunDirectory) -> int | None:
    """The phase in which a branch holds the rate of the one before; `None` if it does not."""
    parent = branch.parent
    if parent is None or not _is_same(branch.path / parent.run, trunk.path):
        raise RunError("its run.json names another parent")
    _check_config(trunk, branch)
    if parent.phase not in trunk.fork_steps:
        raise RunError(f"its parent has no boundary into phase {parent.phase}")
    if parent.step != trunk.fork_steps[parent.phase]:
        raise RunError(
            f"its run.json says that it was forked at step {parent.step}, but its parent's "
            f"boundary into phase {parent.phase} is after step {trunk.fork_steps[parent.phase]}"
        )
    _check_fork(trunk, branch, parent)
    past = _rates_until(trunk, parent.step)
    if _rates_until(branch, parent.step) != past:
        raise RunError("its schedule is not the parent's before the fork")
    _, old_rate = past[-1]
    later = _rates_from(branch, parent.step + branch.steps_per_update)
    return parent.phase if later == {old_rate} else None


def _check_config(trunk: RunDirectory, branch: RunDirectory) -> None:
    """Refuses a branch that was trained otherwise than its parent, but for rate and length."""
    own, parents = (
        {**run.config.to_dict(), "steps_per_update": run.steps_per_update}
        | {"first_update": run.first_update}
        for run in (branch, trunk)
    )
    for name in own:
        if (
            name in ("schedule", "total_timesteps", "observers", "learner")
            or own[name] == parents[name]
        ):
            continue
        first, second = own[name], parents[name]
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            key = next(k for k in {**first, **second} if first.get(k) != second.get(k))
            name, first, second = f"{name} {key}", first.get(key), second.get(key)
        raise RunError(f"its {name} is not the parent's: {first!r} instead of {second!r}")


def _check_fork(trunk: RunDirectory, branch: RunDirectory, parent: Parent) -> None:
    """Refuses a branch that does not go on from its parent's very state."""
    noted = parent.state_sha256
    for whose, run in (("parent's", trunk), ("own", branch)):
        state = read_snapshot(run, parent.step).state_sha256
        if noted is None:  # an old branch; the two must at least agree
            noted = state
        if state != noted:
            raise RunError(
                f"its {whose} snapshot at step {parent.step} is not the one it was forked from: "
                f"its state has the checksum {state[:16]}, not {noted[:16]}"
            )


def _rates_until(run: RunDirectory, step: int) -> list[tuple[int, float]]:
    """Where the rate of the updates changed up to a step, and to what."""
    changes: list[tuple[int, float]] = []
    for phase in run.effective_phases:
        if phase.start <= step and (not changes or changes[-1][1] != phase.learning_rate):
            changes.append((phase.start, phase.learning_rate))
    return changes


def _rates_from(run: RunDirectory, step: int) -> set[float]:
    """The rates of the updates from a step on."""
    phases = run.effective_phases
    later = {left.learning_rate for left, right in pairwise(phases) if right.start > step}
    return later | {phase.learning_rate for phase in phases[-1:]}


def _is_same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
