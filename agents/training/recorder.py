"""The tables of a run: `metrics.csv` has a row per update, `episodes.csv` a row per episode."""

from __future__ import annotations

from typing import Any

from agents.algorithms import ALGORITHMS
from agents.learners.signals import SIGNALS
from agents.learners.update_logger import UpdateLogger
from agents.runs.directory import RunDirectory
from agents.runs.tables import Table
from agents.training.observers import Episode, Observer, Update

EPISODE_COLUMNS = ("step", "phase", "env", "return", "length", "success", "wall_time_s")


def metric_columns(algo: str) -> tuple[str, ...]:
    """Returns the columns of `metrics.csv` for an algorithm.

    Args:
        algo: A key of `agents.ALGORITHMS`.

    Returns:
        Step, phase and rate, then the algorithm's losses, the window over recent episodes, and
        the signals, which are taken at few updates; an algorithm need not have all of them.
    """
    losses = ALGORITHMS[algo].losses
    window = ("return_mean", "success_rate", "wall_time_s")
    signals = (name for name in SIGNALS if name not in losses)
    return ("step", "phase", "learning_rate", *losses, *window, *signals)


class Recorder(Observer):
    """Writes the tables of a run, and the phase into its TensorBoard log.

    Args:
        run: The run; new rows are appended to its tables.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._losses = ALGORITHMS[run.config.algo].losses
        self.logger = UpdateLogger(run.tensorboard_path)
        self._metrics = Table(run.metrics_path, metric_columns(run.config.algo))
        self._episodes = Table(run.episodes_path, EPISODE_COLUMNS)

    def losses(self) -> dict[str, float]:
        """Returns the losses that the algorithm computed at the last update, by name."""
        recorded = self.logger.update.name_to_value
        return {
            name: float(recorded[f"train/{name}"])
            for name in self._losses
            if f"train/{name}" in recorded
        }

    def on_update(self, update: Update) -> None:
        """Adds a row to `metrics.csv`.

        The values also go into the TensorBoard log, at the same step, if SB3 has just written
        there, on both sides of a boundary, and at the end.

        Args:
            update: The update.
        """
        row = {
            "step": update.step,
            "phase": update.phase,
            "learning_rate": update.learning_rate,
            **{name: f"{value:.6g}" for name, value in update.signals.items()},
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
        """Flushes both tables to disk.

        Returns:
            The mark of each table by its file name.
        """
        return {"metrics.csv": self._metrics.mark(), "episodes.csv": self._episodes.mark()}

    def on_end(self) -> None:
        """Closes the tables and the TensorBoard log."""
        self.logger.close()
        self._metrics.close()
        self._episodes.close()
