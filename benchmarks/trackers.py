"""What trackers cost a training: its processor time with Weights & Biases and MLflow, and without.

    pip install -c constraints.txt -e '.[wandb,mlflow]'
    python -m benchmarks.trackers

Each pair of trainings, one alone and one that is tracked, alternates in one process. The processes
of the trackers have the lowest priority, and only what the training's own process does is counted.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents import RunConfig, create_run, load_preset, train_run

STEPS = 1500
PAIRS = 3


def training_s(config: RunConfig, path: Path) -> float:
    """Processor seconds of a training, its beginning and end included."""
    run = create_run(config, path)
    started = time.process_time()
    train_run(run, Console(quiet=True))
    return time.process_time() - started


def main() -> None:
    alone = RunConfig.from_dict({**load_preset("sac", "reach"), "total_timesteps": STEPS})
    tracked = dataclasses.replace(alone, observers=["wandb", "mlflow"])
    ratios = []
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["WANDB_MODE"] = "offline"
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        training_s(alone, Path(folder, "warm-up"))
        for pair in range(PAIRS):
            seconds = [
                training_s(config, Path(folder, f"{name}-{pair}"))
                for name, config in (("alone", alone), ("tracked", tracked))
            ]
            ratios.append(seconds[1] / seconds[0])
            print(f"alone {seconds[0]:.2f} s, tracked {seconds[1]:.2f} s", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
