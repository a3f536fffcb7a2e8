"""What recording and snapshots add to training, against plain SB3 `learn()` on the same task.

Both train SAC with the Reach preset for 3,000 steps, alternating; medians of the CPU seconds of
three rounds. Run with `python -m benchmarks.recording`; takes two minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from stable_baselines3.common.logger import configure

from agents import RunConfig, load_preset
from agents.learners.environments import training_envs
from agents.learners.model import build_model
from agents.training.loop import create_run, train_run

ROUNDS = 3


def plain(config: RunConfig, folder: Path) -> float:
    start = time.process_time()
    with training_envs(config) as venv:
        model = build_model(config, venv)
        model.set_logger(configure(str(folder), ["tensorboard"]))
        model.learn(config.total_timesteps, log_interval=10)
    return time.process_time() - start


def recorded(config: RunConfig, folder: Path) -> float:
    run = create_run(config, folder)
    start = time.process_time()
    train_run(run, Console(quiet=True))
    return time.process_time() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    preset = RunConfig.from_dict(load_preset("sac", "reach"))
    config = dataclasses.replace(preset, total_timesteps=3_000, snapshot_every=1_000)
    seconds: dict[str, list[float]] = {"plain SB3": [], "a run": []}
    with TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            seconds["plain SB3"].append(plain(config, Path(folder) / f"plain-{number}"))
            seconds["a run"].append(recorded(config, Path(folder) / f"run-{number}"))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:>12} {median:8.2f} CPU s")
    print(f"{'ratio':>12} {medians['a run'] / medians['plain SB3']:8.3f}")


if __name__ == "__main__":
    main()
