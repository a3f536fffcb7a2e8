"""Branches: runs forked from a run at a boundary, all else equal."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path

from agents.config import ConfigError
from agents.learners.model import check_device
from agents.runs.directory import Parent, RunDirectory, RunError, branch_path, snapshot_steps
from agents.runs.keeping import copy_past
from agents.runs.manifest import DamagedSnapshot, Snapshot, check_snapshot, read_snapshot
from agents.training.branch_schedules import fork_step, held_schedule
from agents.training.observers import Observer
from agents.training.workers import RunPool
from schedules import Schedule

logger = logging.getLogger(__name__)


def fork_snapshot(run: RunDirectory, phase: int) -> Snapshot:
    """The snapshot at which a branch parts from its run: the last before a phase's first update.

    Args:
        run: The run to be forked.
        phase: Index of the phase that begins there, one of the effective phases but the first.

    Returns:
        The snapshot, checked.

    Raises:
        ConfigError: If the run cannot be forked there.
        RunError: If the run has not come that far or the snapshot is damaged.
    """
    snapshot = read_snapshot(run, fork_step(run, phase))
    check_snapshot(run, snapshot)
    return snapshot


def create_branch(
    run: RunDirectory, phase: int, schedule: Schedule, length: str, path: Path
) -> RunDirectory:
    """Creates a branch: its beginning is the run's up to a boundary, copied.

    Args:
        run: The run to be forked.
        phase: Index of the phase at whose beginning it is forked.
        schedule: Schedule of the branch, the run's own before the boundary.
        length: `"phase"` ends the branch where the run's phase ends, `"end"` where the run
            does.
        path: Folder of the branch, new or empty.

    Returns:
        The branch, for `train_run`.

    Raises:
        ConfigError: If the run cannot be forked there, or its device is not to be found here.
        RunError: If the snapshot is missing or damaged, or the folder cannot be used.
    """
    check_device(run.config.device)
    snapshot = fork_snapshot(run, phase)
    total = run.config.total_timesteps
    if length == "phase" and phase != run.effective_phases[-1].index:
        total = run.phase_end_steps[phase]
        if schedule(total) != schedule(total - 1):
            # The last update of a run keeps to the rate before its end, so it cannot be the first
            # of a phase.
            raise ConfigError(
                f"phase {phase} of {run.path} is a single update long; use --branch-length end"
            )
    config = dataclasses.replace(run.config, schedule=schedule, total_timesteps=total)
    relative = os.path.relpath(run.path, path)
    branch = RunDirectory.create(
        path,
        config,
        run.steps_per_update,
        run.first_update,
        parent=Parent(relative, snapshot.step, phase, snapshot.state_sha256),
        learner=run.learner,
    )
    copy_past(run, snapshot, branch)
    return branch


class HeldBranches(Observer):
    """Trains the held branches of a run in processes of their own, beside it.

    Use it as a context, and as an observer of the run's training: whatever way the block is left,
    no branch goes on training behind it, and each can be resumed.

    Args:
        run: The run.
        length: Length of the branches, see `create_branch`.
    """

    def __init__(self, run: RunDirectory, length: str) -> None:
        self._run = run
        self._length = length
        # This process trains the run itself.
        self._pool = RunPool(max(1, len(os.sched_getaffinity(0)) - 1))

    def __enter__(self) -> HeldBranches:
        """Goes on with the branches of the boundaries that the run has passed already."""
        self._pool.__enter__()
        for step in snapshot_steps(self._run):
            try:
                self.on_snapshot(read_snapshot(self._run, step))
            except DamagedSnapshot as error:
                logger.warning("%s; no held branch is forked there", error)
        return self

    def __exit__(self, *exception: object) -> None:
        """Has the branches that are in training stop."""
        self._pool.__exit__(*exception)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Starts the held branch of a boundary, or queues it until a core is free.

        Args:
            snapshot: A snapshot of the run; one that is not at a boundary is passed over.
        """
        phase = {step: phase for phase, step in self._run.fork_steps.items()}.get(snapshot.step)
        if phase is None:
            return
        path = branch_path(self._run, f"held-{phase}")
        if (path / "run.json").exists():
            branch = RunDirectory.open(path)
        else:
            schedule = held_schedule(self._run, phase)
            branch = create_branch(self._run, phase, schedule, self._length, path)
        self._pool.submit(branch)

    def finish(self) -> None:
        """Waits until every branch is trained, now with all cores.

        Raises:
            RunError: If a branch failed. One that diverged did not: that is what the rate came to.
        """
        self._pool.processes += 1
        try:
            self._pool.finish()
        except RunError as error:
            raise RunError(f"{error}; --resume {self._run.path} tries again") from None
        finally:
            for path, divergence in self._pool.diverged.items():
                logger.warning("held branch %s %s", path, divergence)
