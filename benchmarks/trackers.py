"""What trackers cost a training: the time that it spends on Weights & Biases and MLflow.

    pip install -c constraints.txt -e '.[wandb,mlflow]'
    python -m benchmarks.trackers

Counts what the training's own process does for them, from starting their processes to the wait at
the end. Those processes have the lowest priority and are not counted.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents import Observer, RunConfig, RunDirectory, create_run, load_preset, train_run
from agents.runs.manifest import Snapshot
from agents.training.trackers.mlflow_tracking import MLflow
from agents.training.trackers.tracker import Tracker
from agents.training.trackers.weights_and_biases import WeightsAndBiases

ROUNDS = 3


class Timed(Observer):
    """Passes everything on to the trackers, and adds up how long that takes."""

    def __init__(self, run: RunDirectory) -> None:
        self.wall_s = self.cpu_s = 0.0
        self._trackers: list[Tracker] = []
        self._timed(lambda: self._trackers.extend([WeightsAndBiases(run), MLflow(run)]))

    def on_snapshot(self, snapshot: Snapshot) -> None:
        self._timed(lambda: [tracker.on_snapshot(snapshot) for tracker in self._trackers])

    def on_end(self) -> None:
        self._timed(lambda: [tracker.on_end() for tracker in self._trackers])

    def _timed(self, call: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    config = RunConfig.from_dict(load_preset("sac", "reach"))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["WANDB_MODE"] = "offline"
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for number in range(ROUNDS):
            run = create_run(config, Path(folder, f"run-{number}"))
            wall, cpu = time.perf_counter(), time.process_time()
            timed = Timed(run)
            train_run(run, Console(quiet=True), [timed])
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(
                f"{timed.wall_s:.3f} of {wall:.1f} s ({timed.wall_s / wall:.2%}), "
                f"{timed.cpu_s:.4f} of {cpu:.1f} CPU s ({timed.cpu_s / cpu:.2%})",
                flush=True,
            )


if __name__ == "__main__":
    main()
