"""Branches: runs forked from a run at a boundary, all else equal."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
from collections import deque
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError
from agents.learners.model import check_device
from agents.runs.directory import Parent, RunDirectory, RunError, branch_path, snapshot_steps
from agents.runs.divergence import Diverged, read_divergence
from agents.runs.keeping import copy_past
from agents.runs.manifest import DamagedSnapshot, Snapshot, check_snapshot, read_snapshot
from agents.training.branch_schedules import fork_step, held_schedule
from agents.training.interruption import TrainingInterrupted, handled_signals
from agents.training.loop import train_run
from agents.training.observers import Observer
from schedules import Schedule

logger = logging.getLogger(__name__)

# Exit code of a branch's process.
_DIVERGED = 3


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
    )
    copy_past(run, snapshot, branch)
    return branch


class HeldBranches(Observer):
    """Trains the held branches of a run in processes of their own, beside it.

    Use it as a context: whatever way the block is left, no branch goes on training behind it, and
    each can be resumed.

    Args:
        run: The run.
        length: Length of the branches, see `create_branch`.
    """

    def __init__(self, run: RunDirectory, length: str) -> None:
        self._run = run
        self._length = length
        self._waiting: deque[RunDirectory] = deque()
        self._running: dict[int, tuple[SpawnProcess, RunDirectory]] = {}
        self._failed: list[RunDirectory] = []
        # This process trains the run itself.
        self._slots = max(1, len(os.sched_getaffinity(0)) - 1)

    def __enter__(self) -> HeldBranches:
        for step in snapshot_steps(self._run):
            try:
                self.on_snapshot(read_snapshot(self._run, step))
            except DamagedSnapshot as error:
                logger.warning("%s; no held branch is forked there", error)
        return self

    def __exit__(self, *_: object) -> None:
        for process, _branch in self._running.values():
            process.terminate()
        for process, _branch in self._running.values():
            process.join()

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Starts the held branch of a boundary, or queues it until a core is free.

        Args:
            snapshot: A snapshot of the run; one that is not at a boundary is passed over.
        """
        boundaries = {step: phase for phase, step in self._run.fork_steps.items()}
        phase = boundaries.get(snapshot.step)
        if phase is None:
            return
        path = branch_path(self._run, f"held-{phase}")
        if (path / "run.json").exists():
            branch = RunDirectory.open(path)
        else:
            schedule = held_schedule(self._run, phase)
            branch = create_branch(self._run, phase, schedule, self._length, path)
        self._waiting.append(branch)
        self._start()

    def finish(self) -> None:
        """Waits until every branch is trained, now with all cores.

        Raises:
            RunError: If a branch failed.
        """
        self._slots += 1
        self._start()
        while self._running:
            wait(list(self._running))
            self._start()
        if self._failed:
            names = ", ".join(str(branch.path) for branch in self._failed)
            raise RunError(f"could not train {names}; --resume {self._run.path} tries again")

    def _start(self) -> None:
        for sentinel, (process, branch) in list(self._running.items()):
            if process.exitcode is not None:
                del self._running[sentinel]
                if process.exitcode == _DIVERGED:
                    # An answer too: this is what the rate would have come to.
                    logger.warning("held branch %s %s", branch.path, read_divergence(branch))
                elif process.exitcode != 0:
                    self._failed.append(branch)
        while self._waiting and len(self._running) < self._slots:
            branch = self._waiting.popleft()
            process = get_context("spawn").Process(target=_train_branch, args=(branch.path,))
            # It ignores Ctrl-C until it can take a snapshot.
            with handled_signals(signal.SIG_IGN, signal.SIGINT):
                process.start()
            self._running[process.sentinel] = (process, branch)


def _train_branch(path: Path) -> None:
    """Entry of a branch's process: trains quietly, and ends at once if the parent is killed."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        train_run(RunDirectory.open(path), Console(quiet=True))
    except TrainingInterrupted as interruption:
        raise SystemExit(128 + interruption.signal_number) from None
    except Diverged:
        raise SystemExit(_DIVERGED) from None
    except RunError as error:
        raise SystemExit(str(error)) from None


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)
