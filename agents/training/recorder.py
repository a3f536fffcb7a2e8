"""The tables of a run: a row an update in `metrics.csv`, a row an episode in `episodes.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, make_output_format

from agents.algorithms import ALGORITHMS
from agents.learners.model import optimizers
from agents.runs.directory import RunDirectory
from agents.runs.tables import Table
from agents.training.observers import Episode, Observer, Update

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


class Recorder(Observer):
    """Writes the tables of a run, and the phase into its TensorBoard log.

    Args:
        run: The run; rows are added behind those its tables have.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._losses = ALGORITHMS[run.config.algo].losses
        self.logger = UpdateLogger(run.tensorboard_path)
        self._metrics = Table(run.metrics_path, metric_columns(run.config.algo))
        self._episodes = Table(run.episodes_path, EPISODE_COLUMNS)

    def losses(self) -> dict[str, float]:
        """What the algorithm's losses were at the last update; those that it computed."""
        recorded = self.logger.update.name_to_value
        return {
            name: float(recorded[f"train/{name}"])
            for name in self._losses
            if f"train/{name}" in recorded
        }

    def on_update(self, update: Update) -> None:
        """Adds a row to `metrics.csv`.

        The values also go into the TensorBoard log, at the same step, where SB3 has just written
        there, on both sides of a boundary and at the end.

        Args:
            update: The update.
        """
        row = {
            "step": update.step,
            "phase": update.phase,
            "learning_rate": update.learning_rate,
            **update.losses,
            "return_mean": update.return_mean,
            "success_rate": update.success_rate,
            "wall_time_s": f"{update.elapsed_s:.3f}",
        }
        self._metrics.append({name: value for name, value in row.items() if value is not None})
        for name in ("phase", "learning_rate"):
            self.logger.record(f"train/{name}", row[name])
        step, interval = update.step, self._run.steps_per_update
        around = {self._phase(step - interval), update.phase, self._phase(step + interval)}
        is_last = step >= self._run.config.total_timesteps
        self.logger.end_update(step, is_written=len(around) > 1 or is_last)

    def _phase(self, step: int) -> int:
        return self._run.phase_at(step).index

    def on_episode(self, episode: Episode) -> None:
        """Adds a row to `episodes.csv`.

        Args:
            episode: The episode.
        """
        self._episodes.append(
            {
                "step": episode.step,
                "phase": episode.phase,
                "env": episode.env,
                "return": episode.episode_return,
                "length": episode.length,
                "success": int(episode.success),
                "wall_time_s": f"{episode.elapsed_s:.3f}",
            }
        )

    def marks(self) -> dict[str, dict[str, Any]]:
        """Brings both tables to the disk.

        Returns:
            The mark of each table by its file name.
        """
        return {"metrics.csv": self._metrics.mark(), "episodes.csv": self._episodes.mark()}

    def on_end(self) -> None:
        """Closes the tables and the TensorBoard log."""
        self.logger.close()
        self._metrics.close()
        self._episodes.close()
