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


def rate_in_use(model: BaseAlgorithm) -> float:
    """The learning rate as the optimizers of a model have it.

    Args:
        model: The model.

    Raises:
        RuntimeError: If they do not all have the same rate.
    """
    rates = {name: g["lr"] for name, o in optimizers(model).items() for g in o.param_groups}
    if len(set(rates.values())) != 1:
        raise RuntimeError(f"the optimizers disagree about the learning rate: {rates}")
    rate: float = next(iter(rates.values()))
    return rate


class UpdateLogger(Logger):
    """SB3's logger, which keeps what an update recorded apart, for its own step.

    SB3 dumps to TensorBoard before an update and not after, so the values of an update, and its
    rate, would appear at the step of the next dump, and the last ones never. And the values stay
    until they are dumped, so a loss that an update did not compute (TD3's delayed actor) would be
    read again from an earlier one.

    Args:
        folder: Folder of the TensorBoard event files.

    Attributes:
        update: What was recorded below `train/` since it was last dumped or cleared.
        is_due: Whether SB3 has dumped since then; the next update then belongs in the log.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), [make_output_format("tensorboard", str(folder))])
        self.update = Logger(None, self.output_formats)
        self.is_due = False

    def record(self, key: str, value: Any, exclude: Any = None) -> None:  # noqa: ANN401
        """Records a value for the next dump, or of this update.

        Args:
            key: Name, such as `"train/actor_loss"`.
            value: The value.
            exclude: Output formats that shall not get it.
        """
        record = self.update.record if key.startswith("train/") else super().record
        record(key, value, exclude)

    def dump(self, step: int = 0) -> None:
        """Writes what is recorded, but for the update's part.

        Args:
            step: Step count that it is written at.
        """
        super().dump(step)
        self.is_due = True

    def end_update(self, step: int, *, is_written: bool) -> None:
        """Writes what the update recorded, or drops it.

        Args:
            step: Step count right after the update.
            is_written: Whether it is written even if SB3 has not dumped at this time.
        """
        if is_written or self.is_due:
            self.update.dump(step)
        self.update.name_to_value.clear()
        self.update.name_to_excluded.clear()
        self.is_due = False


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
        self._run = run
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

    def losses(self) -> dict[str, float]:
        """What was recorded by name since the last row; nothing if there was no update."""
        recorded = self.logger.update.name_to_value
        return {
            name: float(recorded[f"train/{name}"])
            for name in self._losses
            if f"train/{name}" in recorded
        }

    def record_update(self, model: BaseAlgorithm) -> None:
        """Adds a row to `metrics.csv` if the model was updated since the last one.

        The values also go into the TensorBoard log, at the same step, where SB3 has just written
        there, on both sides of a boundary and at the end.

        Args:
            model: The model, right after its update.

        Raises:
            RuntimeError: If the optimizers do not all have the same rate.
        """
        step = model.num_timesteps
        if model._n_updates == self.updates_recorded:
            self.logger.end_update(step, is_written=False)
            return
        self.updates_recorded = model._n_updates
        row: dict[str, Any] = {
            "step": step,
            "phase": self._phase(step),
            "learning_rate": rate_in_use(model),
            "wall_time_s": f"{self.elapsed_s:.3f}",
        }
        for name in ("phase", "learning_rate"):
            self.logger.record(f"train/{name}", row[name])
        row.update(self.losses())
        if model.ep_info_buffer:
            row["return_mean"] = safe_mean([episode["r"] for episode in model.ep_info_buffer])
        if model.ep_success_buffer:
            row["success_rate"] = safe_mean([float(s) for s in model.ep_success_buffer])
        self._metrics.append(row)
        interval = self._run.steps_per_update
        around = {self._phase(step - interval), self._phase(step), self._phase(step + interval)}
        is_last = step >= self._run.config.total_timesteps
        self.logger.end_update(step, is_written=len(around) > 1 or is_last)

    def _phase(self, step: int) -> int:
        return phase_at(self._run.timeline, step).index

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
                    "phase": self._phase(step - 1),
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
