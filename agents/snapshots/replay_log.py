"""The replay buffer on disk: a log of chunks that grows with it and is never rewritten.

A buffer row is immutable once it is written, until the buffer comes round and overwrites it. So the
log cuts the rows, counted from the start of training, into chunks of fixed length: a chunk is
written when it is full, the rows behind the last full chunk go into the snapshot itself, and a
snapshot costs what was added since the last one. Chunks do not depend on when snapshots are taken,
which makes their checksums comparable between runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer

from agents.config import ConfigError
from agents.learners.hindsight import EpisodicHerReplayBuffer
from agents.runs.files import write_atomically
from agents.snapshots.arrays import Arrays, to_npz

MAX_CHUNK_ROWS = 1024


class ReplayLog:
    """Keeps a replay buffer in a folder, and fills one from it.

    Args:
        directory: Folder of the chunks; created with the first one.
        buffer: The buffer, with dictionary observations, with or without HER.
        rows_per_rollout: Rows added between two calls of `extend`.

    Raises:
        ConfigError: If the buffer is too small: rows could be overwritten before they are logged.
    """

    def __init__(self, directory: Path, buffer: DictReplayBuffer, rows_per_rollout: int) -> None:
        if buffer.buffer_size < 2 * rows_per_rollout:
            raise ConfigError(
                f"buffer_size must hold at least two rollouts of {rows_per_rollout} steps in each "
                f"environment, and holds {buffer.buffer_size}"
            )
        self._directory = directory
        self._buffer = buffer
        self._chunk_rows = min(MAX_CHUNK_ROWS, buffer.buffer_size - rows_per_rollout)
        self._checksums: list[str] = []

    def extend(self, rows: int) -> None:
        """Writes the chunks that have become full.

        Args:
            rows: Rows added to the buffer since the start of training.

        Raises:
            OSError: If a chunk cannot be written.
        """
        while (number := len(self._checksums)) < rows // self._chunk_rows:
            data = to_npz(self._read(number * self._chunk_rows, (number + 1) * self._chunk_rows))
            self._directory.mkdir(exist_ok=True)
            write_atomically(self._chunk_path(number), data)
            self._checksums.append(hashlib.sha256(data).hexdigest())

    def snapshot(self, rows: int) -> tuple[dict[str, Any], Arrays]:
        """Describes the buffer, after `extend`.

        Args:
            rows: Rows added to the buffer since the start of training.

        Returns:
            JSON data for `restore`, in which `chunks` maps the names of the chunk files in use
            to their checksums, and the arrays that are in no chunk.
        """
        self.extend(rows)
        first = max(0, rows - self._buffer.buffer_size) // self._chunk_rows
        full = len(self._checksums)
        arrays = self._read(full * self._chunk_rows, rows)
        if isinstance(self._buffer, HerReplayBuffer):
            arrays["current_ep_start"] = self._buffer._current_ep_start.copy()
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
        for name in state["chunks"]:
            number = int(Path(name).stem)
            with np.load(self._directory / name, allow_pickle=False) as chunk:
                self._write(number * chunk_rows, dict(chunk), rows)
        tail = {name: value for name, value in arrays.items() if name != "current_ep_start"}
        self._write(len(self._checksums) * chunk_rows, tail, rows)
        buffer = self._buffer
        buffer.pos = rows % buffer.buffer_size
        buffer.full = rows >= buffer.buffer_size
        if isinstance(buffer, HerReplayBuffer):
            buffer._current_ep_start[:] = arrays["current_ep_start"]
            _restore_episode_lengths(buffer, rows)
            if isinstance(buffer, EpisodicHerReplayBuffer):
                buffer.forget_finished()

    def disk_use(self, rows: Iterable[int]) -> int:
        """What snapshots take on the disk for the buffer, the chunks they share counted once.

        Args:
            rows: Rows added to the buffer before each snapshot, in order.

        Returns:
            Bytes, of chunks and of the rows behind the last full one.
        """
        kept, logged = 0, 0
        for count in rows:
            full = count // self._chunk_rows
            first = max(0, count - self._buffer.buffer_size) // self._chunk_rows
            kept += (full - max(first, logged)) * self._chunk_rows + count % self._chunk_rows
            logged = full
        row_bytes: int = sum(column[0].nbytes for column in self._columns().values())
        return kept * row_bytes

    def _chunk_path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.npz"

    def _columns(self) -> Arrays:
        """The buffer's arrays, whose rows never change once they are written."""
        buffer = self._buffer
        columns: Arrays = {
            "actions": buffer.actions,
            "rewards": buffer.rewards,
            "dones": buffer.dones,
            "timeouts": buffer.timeouts,
        }
        for key in buffer.observations:
            columns[f"observations.{key}"] = buffer.observations[key]
            columns[f"next_observations.{key}"] = buffer.next_observations[key]
        if isinstance(buffer, HerReplayBuffer):
            columns["ep_start"] = buffer.ep_start
        return columns

    def _read(self, start: int, stop: int) -> Arrays:
        positions = np.arange(start, stop) % self._buffer.buffer_size
        return {name: column[positions] for name, column in self._columns().items()}

    def _write(self, start: int, arrays: Arrays, rows: int) -> None:
        columns = self._columns()
        if set(arrays) != set(columns):
            raise ValueError(f"replay rows have {sorted(arrays)}, the buffer {sorted(columns)}")
        count = len(arrays["rewards"])
        # A chunk may begin with rows that the buffer has since overwritten.
        skipped = max(0, rows - self._buffer.buffer_size - start)
        positions = np.arange(start + skipped, start + count) % self._buffer.buffer_size
        for name, column in columns.items():
            if arrays[name].shape[1:] != column.shape[1:] or arrays[name].dtype != column.dtype:
                raise ValueError(f"replay column {name} does not fit the buffer")
            column[positions] = arrays[name][skipped:]


def _restore_episode_lengths(buffer: HerReplayBuffer, rows: int) -> None:
    """Derives SB3's `ep_length` from the ends of the episodes.

    A transition counts, with the length of its episode, once that has ended; it no longer does once
    the buffer has begun to overwrite the episode, or before the episode's end is known.
    """
    oldest = max(0, rows - buffer.buffer_size)
    positions = np.arange(oldest, rows) % buffer.buffer_size
    buffer.ep_length[:] = 0
    for env in range(buffer.n_envs):
        ends = np.flatnonzero(buffer.dones[positions, env]) + 1
        starts = np.concatenate(([0], ends))[: len(ends)]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if start == 0 and buffer.ep_start[positions[0], env] != positions[0]:
                continue
            buffer.ep_length[positions[start:end], env] = end - start
