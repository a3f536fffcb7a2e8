"""Training many runs in worker processes, one per core."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError
from agents.runs.divergence import Diverged
from agents.training.interruption import TrainingInterrupted, handled_signals
from agents.training.loop import train_run

# A process takes this much before its replay buffer fills, mostly for torch and SB3 themselves.
_LEAST_MEMORY = 600 * 2**20

# Importing torch takes seconds, and so does its compiler, which optimizers import at their first
# step. On Linux the workers fork off a server that has both.
if sys.platform == "linux":
    _CONTEXT = get_context("forkserver")
    _CONTEXT.set_forkserver_preload(["__main__", "agents.training.loop", "torch._dynamo"])
else:
    _CONTEXT = get_context("spawn")


@dataclass(frozen=True)
class Outcome:
    """How the training of a run ended.

    Attributes:
        path: Folder of the run.
        kind: `"complete"`, `"diverged"` or `"failed"`.
        message: Why it is not complete, in one line; empty if it is.
    """

    path: Path
    kind: str
    message: str


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    run: RunDirectory
    outcome: Connection


class RunPool:
    """Trains runs in worker processes.

    Use it as a context manager: however the block is left, no process outlives it, and every run
    can be resumed. The processes also end if this one is killed.

    Args:
        processes: How many runs train at once; one per core if `None`.

    Attributes:
        processes: How many runs train at once; may be changed between calls.
        diverged: A description of where each diverged run diverged, by path. Divergence is an
            outcome, not a failure: trained again, the run would diverge again.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or len(os.sched_getaffinity(0))
        self.diverged: dict[Path, str] = {}
        self._failed: dict[Path, str] = {}
        self._ended: list[Outcome] = []
        self._waiting: deque[RunDirectory] = deque()
        self._workers: dict[int, _Worker] = {}
        self._most_memory = _LEAST_MEMORY

    def __enter__(self) -> RunPool:
        """Returns the pool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Makes every run in training take a snapshot and stop."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()

    def capacity(self) -> int:
        """How many runs it trains at once."""
        return self.processes

    def submit(self, run: RunDirectory) -> None:
        """Starts a run, or queues it until a process is free.

        Args:
            run: An existing run; it continues from its newest snapshot.
        """
        self._waiting.append(run)
        self._start()

    def finish(self) -> None:
        """Waits until every run is trained.

        Raises:
            RunError: If some runs failed; the message names each with the reason. All others have
                ended.
        """
        self._start()
        while self._workers:
            self.wait()
        if self._failed:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in self._failed.items())
            raise RunError(f"could not train {reasons}")

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Waits until a run has ended, however it ended.

        Args:
            timeout_s: Longest wait in seconds; unlimited if `None`.

        Returns:
            The outcomes of the runs that have ended since the last call; empty after a timeout, or
            if no run is in training.
        """
        if self._workers and not self._ended:
            wait(list(self._workers), timeout_s)
        self._start()
        ended, self._ended = self._ended, []
        return ended

    def _start(self) -> None:
        for sentinel, worker in list(self._workers.items()):
            if worker.process.exitcode is not None:
                del self._workers[sentinel]
                self._note_outcome(worker)
        while self._waiting and len(self._workers) < self.processes and self._has_memory():
            run = self._waiting.popleft()
            receiver, sender = _CONTEXT.Pipe(duplex=False)
            process = _CONTEXT.Process(target=_train, args=(run.path, sender))
            # The new process ignores Ctrl-C until it can take a snapshot.
            with handled_signals(signal.SIG_IGN, signal.SIGINT):
                process.start()
            sender.close()
            self._workers[process.sentinel] = _Worker(process, run, receiver)

    def _has_memory(self) -> bool:
        """Returns whether one more process is likely to fit; the first is always started."""
        if not self._workers:
            return True
        used = [_peak_memory(worker.process.pid) for worker in self._workers.values()]
        self._most_memory = max(self._most_memory, *used)
        return _available_memory() > self._most_memory

    def _note_outcome(self, worker: _Worker) -> None:
        try:
            kind, message = worker.outcome.recv()
        except EOFError:
            code = worker.process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            kind, message = "failed", f"its process ended without a word ({name})"
        worker.outcome.close()
        self._ended.append(Outcome(worker.run.path, kind, message))
        if kind == "diverged":
            self.diverged[worker.run.path] = message
        elif kind == "failed":
            self._failed[worker.run.path] = message


def _train(path: Path, outcome: Connection) -> None:
    """Trains a run in a worker process, which ends at once if its parent is killed."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        train_run(RunDirectory.open(path), Console(quiet=True))
    except TrainingInterrupted as interruption:
        outcome.send(("failed", str(interruption)))
    except Diverged as error:
        outcome.send(("diverged", str(error.divergence)))
    except (ConfigError, RunError) as error:
        outcome.send(("failed", str(error)))
    except Exception as error:
        outcome.send(("failed", f"{type(error).__name__}: {error}"))
        raise
    else:
        outcome.send(("complete", ""))


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _peak_memory(pid: int | None) -> int:
    """Returns the peak memory of a process so far, in bytes; 0 if it is gone."""
    return 1024 * _kibibytes(Path(f"/proc/{pid}/status"), "VmHWM")


def _available_memory() -> float:
    """Returns the memory available without swapping, in bytes; infinite if it is unknown."""
    return 1024 * _kibibytes(Path("/proc/meminfo"), "MemAvailable") or math.inf


def _kibibytes(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
