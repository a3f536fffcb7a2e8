"""What snapshots cost: time and size against the buffer's size, and the share of training time.

Run with `python -m benchmarks.snapshots`; takes two to three minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

import agents.training.loop
from agents import RunConfig, RunDirectory, load_preset
from agents.learners.environments import training_envs
from agents.learners.model import build_model
from agents.learners.sb3_learner import SB3Learner
from agents.runs.keeping import Pruning
from agents.snapshots.replay_log import ReplayLog
from agents.snapshots.store import save_snapshot
from agents.training.loop import create_run, train_run

NEW_ROWS = 10_000
ROUNDS = 5


def bytes_below(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def fill(buffer: DictReplayBuffer, start: int, stop: int) -> None:
    """Puts random transitions of 50-step episodes into rows of the buffer."""
    generator = np.random.default_rng(start)
    rows = np.arange(start, stop)
    positions = rows % buffer.buffer_size
    for columns in (buffer.observations, buffer.next_observations):
        for column in columns.values():
            column[positions] = generator.normal(size=(len(rows), *column.shape[1:]))
    buffer.actions[positions] = generator.uniform(-1, 1, (len(rows), *buffer.actions.shape[1:]))
    buffer.dones[positions] = (rows % 50 == 49)[:, None]


def snapshot_cost(full_rows: int) -> tuple[float, float, float]:
    """Median seconds and MB of a snapshot after 10,000 new rows, and the MB of those before."""
    config = RunConfig.from_dict(load_preset("sac", "reach"))
    with TemporaryDirectory() as folder, training_envs(config) as venv:
        run = RunDirectory.create(Path(folder) / "run", config, 1, 1)
        model = build_model(config, venv)
        model._setup_learn(1)
        assert isinstance(model, OffPolicyAlgorithm)
        assert isinstance(model.replay_buffer, DictReplayBuffer)
        learner = SB3Learner(model)
        assert learner.replay is not None
        log = ReplayLog(run.replay_path, learner.replay)
        fill(model.replay_buffer, 0, full_rows)
        log.extend(full_rows)
        whole = bytes_below(run.path)
        seconds, sizes = [], []
        for number in range(1, ROUNDS + 1):
            rows = full_rows + number * NEW_ROWS
            fill(model.replay_buffer, rows - NEW_ROWS, rows)
            model.num_timesteps = rows
            before, start = bytes_below(run.path), time.perf_counter()
            save_snapshot(run, learner, log, {}, phase_end=None, final=False, elapsed_s=0.0)
            seconds.append(time.perf_counter() - start)
            sizes.append(bytes_below(run.path) - before)
    return statistics.median(seconds), statistics.median(sizes) / 1e6, whole / 1e6


def share_of_training(algo: str) -> tuple[float, float, int]:
    """Seconds in snapshots, seconds in all, and the number of snapshots of a Reach training."""
    config = RunConfig.from_dict(load_preset(algo, "reach"))
    spent: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent.append(time.perf_counter() - start)

        return call

    save, add, extend = agents.training.loop.save_snapshot, Pruning.add, ReplayLog.extend
    agents.training.loop.save_snapshot = timed(save)
    Pruning.add = timed(add)  # type: ignore[method-assign]
    ReplayLog.extend = timed(extend)  # type: ignore[method-assign]
    try:
        with TemporaryDirectory() as folder:
            run = create_run(config, Path(folder) / "run")
            spent.clear()
            start = time.perf_counter()
            train_run(run, Console(quiet=True))
            total = time.perf_counter() - start
    finally:
        agents.training.loop.save_snapshot = save
        Pruning.add = add  # type: ignore[method-assign]
        ReplayLog.extend = extend  # type: ignore[method-assign]
    every = config.total_timesteps // config.snapshot_every
    return sum(spent), total, every + len(config.schedule.phases(config.total_timesteps))


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("a snapshot of SAC with HER on Reach, 10,000 transitions after the last one")
    print(
        f"{'transitions before':>20} {'milliseconds':>14} {'MB written':>12} {'MB of buffer':>14}"
    )
    for rows in (0, 10_000, 100_000, 900_000):
        seconds, written, whole = snapshot_cost(rows)
        print(f"{rows:>20,} {1e3 * seconds:>14.0f} {written:>12.2f} {whole:>14.1f}")
    print("\nshare of the training time on Reach, presets as shipped")
    print(f"{'algorithm':>20} {'snapshots':>14} {'seconds':>12} {'of':>14} {'share':>8}")
    for algo in ("sac", "ppo"):
        spent, total, count = share_of_training(algo)
        print(f"{algo:>20} {count:>14} {spent:>12.2f} {total:>14.1f} {spent / total:>8.2%}")


if __name__ == "__main__":
    main()
