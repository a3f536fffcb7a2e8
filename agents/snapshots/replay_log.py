"""The replay buffer on disk: a log of chunks that grows with it and is never rewritten.

A buffer row never changes until the buffer wraps around and overwrites it. The log therefore splits
the rows, counted from the start of training, into chunks of fixed length. A chunk is written when
it is full, and the rows after the last full chunk go into the snapshot itself, so the cost of a
snapshot is what was added since the last one. Chunks do not depend on when snapshots are taken, so
their checksums can be compared between runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.learners.learner import Arrays
from agents.learners.replay_rows import ReplayRows
from agents.runs.files import write_atomically
from agents.snapshots.arrays import to_npz

MAX_CHUNK_ROWS = 1024


class ReplayLog:
    """Keeps a replay buffer in a folder, and fills one from it.

    Args:
        directory: Folder of the chunks; created with the first one.
        replay: The rows of the buffer.
    """

    def __init__(self, directory: Path, replay: ReplayRows) -> None:
        self._directory = directory
        self._replay = replay
        self._chunk_rows = min(MAX_CHUNK_ROWS, replay.capacity - replay.rows_per_rollout)
        self._checksums: list[str] = []

    def extend(self, step: int) -> None:
        """Writes the chunks that have become full.

        Args:
            step: Environment timesteps trained so far.

        Raises:
            OSError: If a chunk cannot be written.
        """
        rows = self._replay.rows_at(step)
        while (number := len(self._checksums)) < rows // self._chunk_rows:
            data = to_npz(self._read(number * self._chunk_rows, (number + 1) * self._chunk_rows))
            self._directory.mkdir(exist_ok=True)
            write_atomically(self._chunk_path(number), data)
            self._checksums.append(hashlib.sha256(data).hexdigest())

    def snapshot(self, step: int) -> tuple[dict[str, Any], Arrays]:
        """Describes the buffer after bringing the log up to date.

        Args:
            step: Environment timesteps trained so far.

        Returns:
            JSON data for `restore`, in which `chunks` maps the names of the chunk files in use
            to their checksums, and the arrays that are in no chunk.
        """
        self.extend(step)
        rows = self._replay.rows_at(step)
        first = max(0, rows - self._replay.capacity) // self._chunk_rows
        full = len(self._checksums)
        arrays = self._read(full * self._chunk_rows, rows)
        arrays.update(self._replay.marks())
        state = {
            "rows": rows,
            "chunk_rows": self._chunk_rows,
            "checksums": list(self._checksums),
            "chunks": {
                self._chunk_path(number).name: self._checksums[number]
                for number in range(first, full)
            },
        }
        return state, arrays

    def restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Fills the buffer with what a snapshot described.

        Args:
            state: The JSON data of `snapshot`, its chunks checked.
            arrays: The arrays of `snapshot`.

        Raises:
            OSError: If a chunk is missing.
            ValueError: If a chunk does not fit the buffer.
        """
        rows, chunk_rows = state["rows"], state["chunk_rows"]
        if chunk_rows != self._chunk_rows:
            raise ValueError(
                f"the replay log has chunks of {chunk_rows} rows, not {self._chunk_rows}"
            )
        self._checksums = list(state["checksums"])
        lacking = False
        for name in state["chunks"]:
            number = int(Path(name).stem)
            with np.load(self._directory / name, allow_pickle=False) as chunk:
                lacking |= self._write(number * chunk_rows, dict(chunk), rows)
        marks = {name: arrays[name] for name in self._replay.marks() if name in arrays}
        tail = {name: value for name, value in arrays.items() if name not in marks}
        lacking |= self._write(len(self._checksums) * chunk_rows, tail, rows)
        self._replay.restore(rows, marks, lacking=lacking)

    def disk_use(self, steps: Iterable[int]) -> int:
        """Returns the disk use of snapshots' rows, with shared chunks counted once.

        Args:
            steps: Step of each snapshot, in order.

        Returns:
            Bytes of the chunks and of the rows after the last full one.
        """
        kept, logged = 0, 0
        for count in map(self._replay.rows_at, steps):
            full = count // self._chunk_rows
            first = max(0, count - self._replay.capacity) // self._chunk_rows
            kept += (full - max(first, logged)) * self._chunk_rows + count % self._chunk_rows
            logged = full
        row_bytes: int = sum(column[0].nbytes for column in self._replay.columns().values())
        return kept * row_bytes

    def _chunk_path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.npz"

    def _read(self, start: int, stop: int) -> Arrays:
        positions = np.arange(start, stop) % self._replay.capacity
        return {name: column[positions] for name, column in self._replay.columns().items()}

    def _write(self, start: int, arrays: Arrays, rows: int) -> bool:
        """Writes rows into the buffer, and returns whether they lack columns that may be lacking.

        Those are in the log of a run that began with the replay buffer of one without hindsight.
        """
        columns = self._replay.columns()
        lacking = set(columns) - set(arrays)
        if set(arrays) - set(columns) or lacking - self._replay.may_lack():
            raise ValueError(f"replay rows have {sorted(arrays)}, the buffer {sorted(columns)}")
        count = len(arrays["rewards"])
        # A chunk may begin with rows that the buffer has since overwritten.
        skipped = max(0, rows - self._replay.capacity - start)
        positions = np.arange(start + skipped, start + count) % self._replay.capacity
        for name, values in arrays.items():
            column = columns[name]
            if values.shape[1:] != column.shape[1:] or values.dtype != column.dtype:
                raise ValueError(f"replay column {name} does not fit the buffer")
            column[positions] = values[skipped:]
        return bool(lacking)
