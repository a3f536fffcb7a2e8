"""The lock of a run: one process at a time trains it, and a process trains one run at a time."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from agents.runs.directory import RunDirectory, RunError

_HOLDING = threading.Lock()
_SIGN_OF_LIFE_S = 20.0
_DEAD_AFTER_S = 6 * _SIGN_OF_LIFE_S


class RunLocked(RunError):
    """Another process is training the run."""


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Locks a run for this process while the block runs.

    The kernel releases the lock however its holder ends, so a crash blocks nobody. On a disk shared
    between machines, the lock of a lost machine may remain. The holder therefore gives regular
    signs of life, and another machine's lock without one for two minutes is taken over.

    A process can lock only one run: two training threads would draw from the same random
    generators, and neither run could be repeated.

    Args:
        run: The run.

    Raises:
        RunLocked: If another process holds it.
        RunError: If this process already holds a run, or the folder cannot be written.
    """
    if not _HOLDING.acquire(blocking=False):
        raise RunError(f"this process already trains a run: train {run.path} in one of its own")
    try:
        with _locked_file(run):
            yield
    finally:
        _HOLDING.release()


def is_locked(run: RunDirectory) -> bool:
    """Whether a process trains a run at this moment.

    It looks and does not touch: only where the noted holder is alive on this machine is the lock
    itself tried, for no longer than a system call.

    Args:
        run: The run.
    """
    path = run.path / "lock"
    words = _lock_words(path)
    if len(words) != 2 or not words[1].isdecimal():
        return False
    if words[0] != socket.gethostname():
        return not _is_of_a_dead_machine(path)
    try:
        os.kill(int(words[1]), 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _locked_file(run: RunDirectory) -> Iterator[None]:
    path = run.path / "lock"
    try:
        file = _open_locked(path)
        if file is None and _is_of_a_dead_machine(path):
            path.unlink(missing_ok=True)
            file = _open_locked(path)
        if file is None:
            raise RunLocked(f"another process is training {run.path}{_holder(path)}")
        file.truncate(0)
        file.write(f"{socket.gethostname()} {os.getpid()}\n".encode())
        file.flush()
    except OSError as error:
        raise RunError(f"cannot write in {run.path}: {error.strerror}") from error
    with file, _signs_of_life(path):
        yield


def _open_locked(path: Path) -> BinaryIO | None:
    """Opens and locks a file; returns `None` if another process has locked it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _is_of_a_dead_machine(path: Path) -> bool:
    host = _lock_words(path)[:1]
    if not host or host == [socket.gethostname()]:
        return False  # the kernel already decides for this machine
    return time.time() - path.stat().st_mtime > _DEAD_AFTER_S


def _holder(path: Path) -> str:
    words = _lock_words(path)
    return f" (process {words[1]} on {words[0]})" if len(words) == 2 else ""


def _lock_words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return []


@contextmanager
def _signs_of_life(path: Path) -> Iterator[None]:
    over = threading.Event()

    def live() -> None:
        while not over.wait(_SIGN_OF_LIFE_S):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
