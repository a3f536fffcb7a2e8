"""The replay buffer as rows that never change once written, and bookkeeping derived from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer

from agents.config import ConfigError
from agents.learners.hindsight import EpisodicHerReplayBuffer

Columns = dict[str, NDArray]  # type: ignore[type-arg]


class ReplayRows:
    """Reads and writes the rows of an SB3 replay buffer, with or without hindsight.

    A row holds one transition of each parallel environment. Rows are counted from the start of
    training; the buffer holds the last `capacity` of them.

    Args:
        buffer: The buffer, with dictionary observations.
        rows_per_rollout: Rows added between two updates.

    Attributes:
        capacity: Most rows that the buffer holds.
        rows_per_rollout: Rows added between two updates.

    Raises:
        ConfigError: If the buffer is too small: rows could be overwritten before they are logged.
    """

    def __init__(self, buffer: DictReplayBuffer, rows_per_rollout: int) -> None:
        if buffer.buffer_size < 2 * rows_per_rollout:
            raise ConfigError(
                f"buffer_size must hold at least two rollouts of {rows_per_rollout} steps in each "
                f"environment, and holds {buffer.buffer_size}"
            )
        self._buffer = buffer
        self.capacity = buffer.buffer_size
        self.rows_per_rollout = rows_per_rollout

    def rows_at(self, step: int) -> int:
        """Rows added when a training has come to a step.

        Args:
            step: Environment timesteps, summed over the parallel environments.
        """
        return step // self._buffer.n_envs

    def columns(self) -> Columns:
        """Returns the buffer's arrays by name, with rows as the first axis."""
        buffer = self._buffer
        columns = {
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

    def marks(self) -> Columns:
        """Returns what is needed besides the rows: where running episodes began."""
        if isinstance(self._buffer, HerReplayBuffer):
            return {"current_ep_start": self._buffer._current_ep_start.copy()}
        return {}

    def may_lack(self) -> frozenset[str]:
        """Names of columns that `restore` can do without: those that only hindsight needs."""
        return frozenset({"ep_start"} if isinstance(self._buffer, HerReplayBuffer) else ())

    def restore(self, rows: int, marks: Columns, *, lacking: bool = False) -> None:
        """Brings the buffer's bookkeeping in line with rows written through `columns`.

        Args:
            rows: Rows added since the start of training.
            marks: What `marks` gave, or nothing where that is lacking.
            lacking: Whether rows came without the columns of `may_lack`, from a buffer without
                hindsight.
        """
        buffer = self._buffer
        buffer.pos = rows % buffer.buffer_size
        buffer.full = rows >= buffer.buffer_size
        if isinstance(buffer, HerReplayBuffer):
            if lacking:
                _derive_episode_starts(buffer, rows)
            else:
                buffer._current_ep_start[:] = marks["current_ep_start"]
            _restore_episode_lengths(buffer, rows)
            if isinstance(buffer, EpisodicHerReplayBuffer):
                buffer.forget_finished()


def _derive_episode_starts(buffer: HerReplayBuffer, rows: int) -> None:
    """Derives SB3's `ep_start` from the ends of the episodes."""
    oldest = max(0, rows - buffer.buffer_size)
    positions = np.arange(oldest, rows) % buffer.buffer_size
    for env in range(buffer.n_envs):
        begun = np.concatenate(([True], buffer.dones[positions, env][:-1] > 0))
        starts = positions[np.maximum.accumulate(np.where(begun, np.arange(len(begun)), 0))]
        if oldest > 0:
            # Where the first of these episodes began is not known, so it is not drawn from.
            first = np.flatnonzero(begun)[1:2]
            starts[: first[0] if len(first) else None] = (positions[0] - 1) % buffer.buffer_size
        buffer.ep_start[positions, env] = starts
        ended = buffer.dones[positions[-1], env] > 0
        buffer._current_ep_start[env] = buffer.pos if ended else starts[-1]


def _restore_episode_lengths(buffer: HerReplayBuffer, rows: int) -> None:
    """Derives SB3's `ep_length` from the ends of the episodes.

    A transition gets the length of its episode once the episode has ended. Until then, and after
    the buffer has begun to overwrite the episode, it has length 0.
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
