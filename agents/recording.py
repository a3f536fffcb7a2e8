"""The tables of a run: a row an update in `metrics.csv`, a row an episode in `episodes.csv`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.utils import safe_mean

from agents.algorithms import ALGORITHMS
from agents.model import optimizers
from agents.run_directory import RunDirectory
from schedules import Phase

EPISODE_COLUMNS = ("step", "phase", "env", "return", "length", "success", "wall_time_s")


def metric_columns(algo: str) -> tuple[str, ...]:
    """Columns of `metrics.csv` for an algorithm.

    Args:
        algo: A key of `agents.ALGORITHMS`.

    Returns:
        Step, phase and rate, then the algorithm's losses, then the window over recent episodes.
    """
    losses = ALGORITHMS[algo].losses
    return ("step", "phase", "learning_rate", *losses, "return_mean", "success_rate", "wall_time_s")


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """The phase that holds at a step: the last one that has started, or else the first.

    Args:
        phases: Phases in order, as in `RunDirectory.timeline`.
        step: The step.

    Returns:
        The phase.
    """
    return phases[max(0, bisect_right(phases, step, key=lambda phase: phase.start) - 1)]


class UpdateLogger(Logger):
    """SB3's logger, which also keeps apart what the latest update recorded.

    The logger's own values stay until they are dumped to TensorBoard, so a loss that an update did
    not compute (TD3's delayed actor) would be read again from an earlier one.

    Args:
        folder: Folder of the TensorBoard event files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), [make_output_format("tensorboard", str(folder))])
        self.latest: dict[str, Any] = {}

    def record(self, key: str, value: Any, exclude: Any = None) -> None:  # noqa: ANN401
        """Records a value for the next dump, as SB3 has it.

        Args:
            key: Name, such as `"train/actor_loss"`.
            value: The value.
            exclude: Output formats that shall not get it.
        """
        super().record(key, value, exclude)
        self.latest[key] = value


class Table:
    """A CSV file that only grows, and can say how far it has got.

    Args:
        path: The file, created with a header if it does not exist.
        columns: Names of the columns; a row may leave some out.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._line = io.StringIO()
        self._writer = csv.DictWriter(self._line, columns, restval="", lineterminator="\n")
        content = path.read_bytes() if path.exists() else b""
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
        """Brings all rows to the disk and describes them.

        Returns:
            `bytes` and `sha256` of the file so far, as `rewind_table` takes them.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        """Writes what is buffered and closes the file."""
        self._file.close()


def matches_mark(path: Path, mark: Mapping[str, Any]) -> bool:
    """Whether a table still begins with the rows that a mark describes.

    Args:
        path: The CSV file.
        mark: What `Table.mark` gave.

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
    """Drops the rows written after a mark; a continued run writes them again.

    Args:
        path: The CSV file; nothing is done if it does not exist.
        size: Bytes to keep.
    """
    if path.exists():
        os.truncate(path, size)


class Recorder:
    """Writes the tables of a run, and the phase into its TensorBoard log.

    Args:
        run: The run; rows are added behind those its tables have.
        elapsed_s: Seconds that the run has trained in earlier processes.
    """

    def __init__(self, run: RunDirectory, elapsed_s: float = 0.0) -> None:
        self._phases = run.timeline
        self._losses = ALGORITHMS[run.config.algo].losses
        self.logger = UpdateLogger(run.tensorboard_path)
        self._metrics = Table(run.metrics_path, metric_columns(run.config.algo))
        self._episodes = Table(run.episodes_path, EPISODE_COLUMNS)
        self._started = time.monotonic() - elapsed_s
        self.updates_recorded = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has trained, in all its processes."""
        return time.monotonic() - self._started

    def record_update(self, model: BaseAlgorithm) -> None:
        """Adds a row to `metrics.csv` if the model was updated since the last one.

        Args:
            model: The model, right after its update.

        Raises:
            RuntimeError: If the optimizers do not all have the same rate.
        """
        updates = model._n_updates
        if updates == self.updates_recorded:
            return
        self.updates_recorded = updates
        rates = {
            name: group["lr"] for name, o in optimizers(model).items() for group in o.param_groups
        }
        if len(set(rates.values())) != 1:
            raise RuntimeError(f"the optimizers disagree about the learning rate: {rates}")
        phase = phase_at(self._phases, model.num_timesteps).index
        row: dict[str, Any] = {
            "step": model.num_timesteps,
            "phase": phase,
            "learning_rate": next(iter(rates.values())),
            "wall_time_s": f"{self.elapsed_s:.3f}",
        }
        for name in self._losses:
            if f"train/{name}" in self.logger.latest:
                row[name] = float(self.logger.latest[f"train/{name}"])
        self.logger.latest.clear()
        if model.ep_info_buffer:
            row["return_mean"] = safe_mean([episode["r"] for episode in model.ep_info_buffer])
        if model.ep_success_buffer:
            row["success_rate"] = safe_mean([float(s) for s in model.ep_success_buffer])
        self._metrics.append(row)
        self.logger.record("train/phase", phase)

    def record_episodes(self, step: int, infos: Sequence[Mapping[str, Any]]) -> None:
        """Adds a row to `episodes.csv` for each environment whose episode ended.

        Args:
            step: Step count after the environments' step.
            infos: What the environments returned.
        """
        for number, info in enumerate(infos):
            if (episode := info.get("episode")) is None:
                continue
            self._episodes.append(
                {
                    "step": step,
                    # The action that ended the episode was step number `step - 1`.
                    "phase": phase_at(self._phases, step - 1).index,
                    "env": number,
                    "return": episode["r"],
                    "length": episode["l"],
                    "success": int(info["is_success"]),
                    "wall_time_s": f"{self.elapsed_s:.3f}",
                }
            )

    def marks(self) -> dict[str, dict[str, Any]]:
        """Brings both tables to the disk.

        Returns:
            The mark of each table by its file name.
        """
        return {"metrics.csv": self._metrics.mark(), "episodes.csv": self._episodes.mark()}

    def close(self) -> None:
        """Closes the tables and the TensorBoard log."""
        self.logger.close()
        self._metrics.close()
        self._episodes.close()
