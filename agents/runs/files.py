"""Writing files and folders so that a reader, after any kill, sees all of one or nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file through a temporary neighbour that is synced and then renamed.

    Args:
        path: The file; one that exists is replaced as a whole.
        data: Its content.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the old file then remains.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until it is on the disk.

    Args:
        path: The file.
        data: Its content.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Gives a file that is never rewritten another name, so that both share the disk if they can.

    Args:
        source: The file.
        target: Its other name, on the same disk or another.

    Raises:
        OSError: If it cannot be written.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sync_directory(path: Path) -> None:
    """Makes renames and new names in a folder survive a power cut.

    Args:
        path: The folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
