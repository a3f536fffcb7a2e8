"""Held branches: what a phase would have come to, had the rate not decayed at its boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents import RunDirectory, RunError
from agents.snapshots import Snapshot
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
    for name in ("env", "robot", "reward", "control", "observation"):
        if getattr(branch.config, name) != getattr(trunk.config, name):
            raise RunError(f"its {name} is not the parent's")
    if not 1 <= parent.phase < len(trunk.phases):
        raise RunError(f"its parent has no boundary into phase {parent.phase}")
    old_rate = trunk.phases[parent.phase - 1].learning_rate
    first_update = parent.step + branch.steps_per_update
    *earlier, last = branch.effective_phases
    rates = {p.learning_rate for p in earlier if p.stop > first_update} | {last.learning_rate}
    return parent.phase if rates == {old_rate} else None


def _is_same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
