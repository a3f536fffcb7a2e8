"""One process at a time trains a run, and one run at a time."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agents.runs.directory import RunDirectory, RunError

_HOLDING = threading.Lock()


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Holds a run for this process while the block runs.

    The kernel gives the lock up when its holder ends in whatever way, so a crash blocks nobody.
    Within a process only one run is held: two threads that train would draw from the same random
    generators, and neither run could be repeated.

    Args:
        run: The run.

    Raises:
        RunError: If another process holds it, this one holds a run already, or the folder cannot
            be written.
    """
    if not _HOLDING.acquire(blocking=False):
        raise RunError(f"this process already trains a run: train {run.path} in one of its own")
    try:
        with _locked_file(run):
            yield
    finally:
        _HOLDING.release()


@contextmanager
def _locked_file(run: RunDirectory) -> Iterator[None]:
    try:
        file = (run.path / "lock").open("ab")
    except OSError as error:
        raise RunError(f"cannot write in {run.path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process is training {run.path}") from None
        yield
