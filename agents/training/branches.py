"""Branches: runs that are forked from another at a boundary and differ only in their schedule."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError, branch_path, snapshot_steps
from agents.runs.manifest import DamagedSnapshot, Snapshot, read_snapshot
from agents.training.branch_schedules import branch_total, held_schedule
from agents.training.forks import fork_at
from agents.training.observers import Observer
from agents.training.workers import RunPool
from schedules import Schedule

logger = logging.getLogger(__name__)


def create_branch(
    run: RunDirectory, phase: int, schedule: Schedule, length: str, path: Path
) -> RunDirectory:
    """Creates a branch, which shares the run's past up to a boundary.

    Args:
        run: The run to be forked.
        phase: Index of the phase whose beginning is the boundary.
        schedule: Schedule of the branch; before the boundary it must equal the run's own.
        length: `"phase"` ends the branch where the run's phase ends, `"end"` where the run
            does.
        path: Folder of the branch, new or empty.

    Returns:
        The branch, for `train_run`.

    Raises:
        ConfigError: If the run cannot be forked there, or this machine does not have its device.
        RunError: If the snapshot is missing or damaged, or the folder cannot be used.
    """
    if phase not in run.fork_steps:
        raise ConfigError(run.why_no_fork(phase))
    step, total = run.fork_steps[phase], branch_total(run, phase, schedule, length)
    return fork_at(run, step, {"schedule": schedule, "total_timesteps": total}, path)


class HeldBranches(Observer):
    """Trains the held branches of a run in worker processes while the run itself trains.

    Use it as a context manager and as an observer of the run's training. However the block is left,
    no branch goes on training after it, and every branch can be resumed.

    Args:
        run: The run.
        length: Length of the branches, see `create_branch`.
    """

    def __init__(self, run: RunDirectory, length: str) -> None:
        self._run = run
        self._length = length
        # One core is left for this process, which trains the run itself.
        self._pool = RunPool(max(1, len(os.sched_getaffinity(0)) - 1))

    def __enter__(self) -> HeldBranches:
        """Starts or resumes the branches at boundaries that the run has already passed."""
        self._pool.__enter__()
        for step in snapshot_steps(self._run):
            try:
                self.on_snapshot(read_snapshot(self._run, step))
            except DamagedSnapshot as error:
                logger.warning("%s; no held branch is forked there", error)
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops the branches in training."""
        self._pool.__exit__(*exception)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Starts the held branch of a boundary, or queues it until a core is free.

        Args:
            snapshot: A snapshot of the run; ignored if it is not at a boundary.
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
        """Waits until every branch is trained, now using all cores.

        Raises:
            RunError: If a branch failed. Divergence is a result of the rate, not a failure.
        """
        self._pool.processes += 1
        try:
            self._pool.finish()
        except RunError as error:
            raise RunError(f"{error}; --resume {self._run.path} tries again") from None
        finally:
            for path, divergence in self._pool.diverged.items():
                logger.warning("held branch %s %s", path, divergence)
