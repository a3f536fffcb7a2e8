"""One process at a time trains a run."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from agents.run_directory import RunDirectory, RunError


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Holds a run for this process while the block runs.

    The kernel gives the lock up when its holder ends in whatever way, so a crash blocks nobody.

    Args:
        run: The run.

    Raises:
        RunError: If another process holds it, or the folder cannot be written.
    """
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
