"""Finds held branches, which show how a phase would have gone without the decay before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents import RunDirectory, RunError
from agents.runs.forks import (
    check_past,
    check_state,
    differences,
    rates_from,
    rates_until,
    stated_parent,
)
from agents.runs.manifest import Snapshot
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


@dataclass(frozen=True)
class HoldingFork:
    """A fork of a run that keeps the rate of the phase before a boundary, trained or not.

    Attributes:
        run: The fork.
        phase: Index of the trunk's phase that begins at the boundary.
    """

    run: RunDirectory
    phase: int

    @property
    def is_placebo(self) -> bool:
        """Whether its generators were reseeded at the boundary."""
        return self.run.parent is not None and self.run.parent.generator_seed is not None


def held_branches(
    trunk: RunDirectory, ends: Mapping[int, Snapshot]
) -> tuple[dict[int, HeldBranch], tuple[str, ...]]:
    """Finds the held branches below `branches/` of a run.

    A branch whose rate changes after the fork is not a held branch and is ignored.

    Args:
        trunk: The run that follows the schedule.
        ends: Its snapshots at phase ends, by phase.

    Returns:
        The held branches, by the phase that begins where they were forked; and one line for each
        branch that cannot be used.
    """
    found: dict[int, HeldBranch] = {}
    forks, notes = holding_forks(trunk)
    for fork in forks:
        if fork.is_placebo:
            continue
        try:
            if fork.phase in found:
                name = found[fork.phase].run.path.name
                raise RunError(f"{name} holds the rate at the same boundary")
            found[fork.phase] = _held_branch(fork.run, fork.phase, ends)
        except RunError as error:
            notes += (_left_out(fork.run.path.name, error),)
    return found, notes


def holding_forks(trunk: RunDirectory) -> tuple[tuple[HoldingFork, ...], tuple[str, ...]]:
    """Finds and checks the held branches and placebo forks below `branches/` of a run.

    Args:
        trunk: The run that follows the schedule.

    Returns:
        The forks, in the order of their names; and one line for each branch that cannot be used.
    """
    found: list[HoldingFork] = []
    notes: list[str] = []
    folder = trunk.path / "branches"
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for name in names:
        if name.startswith("."):
            continue
        try:
            branch = RunDirectory.open(folder / name)
            if (phase := _held_phase(trunk, branch)) is not None:
                found.append(HoldingFork(branch, phase))
        except RunError as error:
            notes.append(_left_out(name, error))
    return tuple(found), tuple(notes)


def _left_out(name: str, error: RunError) -> str:
    return f"branch {name} is left out: {error}"


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
    parent = stated_parent(trunk, branch)
    for name, (own, parents) in differences(trunk, branch).items():
        if name == "seed of the generators":
            continue  # a placebo fork
        raise RunError(f"its {name} is not the parent's: {own!r} instead of {parents!r}")
    check_past(trunk, branch.effective_phases, parent.step)
    _, old_rate = rates_until(trunk.effective_phases, parent.step)[-1]
    if rates_from(branch.effective_phases, parent.step + branch.steps_per_update) != {old_rate}:
        return None
    if parent.phase not in trunk.fork_steps:
        raise RunError(f"its parent has no boundary into phase {parent.phase}")
    if parent.step != trunk.fork_steps[parent.phase]:
        raise RunError(
            f"its run.json says that it was forked at step {parent.step}, but its parent's "
            f"boundary into phase {parent.phase} is after step {trunk.fork_steps[parent.phase]}"
        )
    check_state(trunk, branch, parent)
    return parent.phase
