"""Writing files and folders so that even after a kill, readers see them complete or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file by syncing a temporary file next to it and renaming that.

    Args:
        path: The file; an existing one is replaced as a whole.
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
    """Writes a file and waits until it is on disk.

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
    """Links a file that is never rewritten, or copies it where links are impossible.

    Args:
        source: The file.
        target: The new name, on the same disk or another.

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
