"""CSV files that only grow and can be rewound to an earlier end."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_TAIL_BYTES = 4096


class Table:
    """A CSV file that only grows and can mark its current end.

    Args:
        path: The file, created with a header if it does not exist.
        columns: Names of the columns; a row may leave some out. A file that exists keeps its own,
            and rows are written without what it has no column for.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._line = io.StringIO()
        content = path.read_bytes() if path.exists() else b""
        if content:
            columns = content.partition(b"\n")[0].decode().split(",")
        self._writer = csv.DictWriter(
            self._line, columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        self._hash = hashlib.sha256(content)
        self._size = len(content)
        self._file = path.open("ab")
        if not content:
            self._writer.writeheader()
            self._write_line()

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row.

        Args:
            row: Values by column name.
        """
        self._writer.writerow(row)
        self._write_line()

    def _write_line(self) -> None:
        data = self._line.getvalue().encode()
        self._line.seek(0)
        self._line.truncate()
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)

    def mark(self) -> dict[str, Any]:
        """Flushes all rows to disk and describes them.

        Returns:
            `bytes` and `sha256` of the file so far, as `rewind_table` takes them.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        """Writes what is buffered and closes the file."""
        self._file.close()


def last_row(path: Path) -> dict[str, str]:
    """The last whole row of a table, which may be growing at this moment.

    Args:
        path: The file.

    Returns:
        Its cells by column; empty if there is no row or the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            header = stream.readline().decode(errors="replace").strip().split(",")
            stream.seek(max(stream.tell(), path.stat().st_size - _TAIL_BYTES))
            lines = stream.read().decode(errors="replace").split("\n")[:-1]
    except OSError:
        return {}
    return dict(zip(header, lines[-1].split(","), strict=False)) if lines else {}


def matches_mark(path: Path, mark: Mapping[str, Any]) -> bool:
    """Returns whether a table still begins with the rows that a mark describes.

    Args:
        path: The CSV file.
        mark: A result of `Table.mark`.

    Returns:
        True if the file can be rewound to the mark.
    """
    try:
        with path.open("rb") as file:
            start = file.read(mark["bytes"])
    except OSError:
        return False
    expected: tuple[int, str] = (mark["bytes"], mark["sha256"])
    return (len(start), hashlib.sha256(start).hexdigest()) == expected


def rewind_table(path: Path, size: int) -> None:
    """Drops the rows written after a mark; a resumed run writes them again.

    Args:
        path: The CSV file; nothing happens if it does not exist.
        size: Bytes to keep.
    """
    if path.exists():
        os.truncate(path, size)
