"""Prints checksums of episodes and of trainings, to compare interpreters and builds of PyBullet.

Run it under each of them, and compare what follows the first line:

    python -m benchmarks.interpreters
"""

import hashlib
import platform
import tempfile
from importlib.metadata import packages_distributions, version
from pathlib import Path

import gymnasium
import numpy as np
from rich.console import Console

import envs  # registers the tasks
from agents import RunConfig, create_run, train_run
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from schedules import StaircaseSchedule

EPISODES, STEPS = 3, 60
TRAININGS = {
    "sac": {"learning_starts": 100, "batch_size": 64, "buffer_size": 1_000},
    "ppo": {"n_steps": 128, "batch_size": 64},
}


def checksum_of_episodes(task: str) -> str:
    """SHA-256 of the observations and rewards of some episodes with the same random actions."""
    env = gymnasium.make(task, reward="dense")
    digest, generator = hashlib.sha256(), np.random.default_rng(0)
    for seed in range(EPISODES):
        observation, _ = env.reset(seed=seed)
        for _ in range(STEPS):
            for key in sorted(observation):
                digest.update(np.ascontiguousarray(observation[key]).tobytes())
            action = generator.uniform(-1, 1, env.action_space.shape).astype(np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            digest.update(np.float64(reward).tobytes())
            if terminated or truncated:
                break
    env.close()
    return digest.hexdigest()


def checksum_of_training(algo: str, folder: Path) -> str:
    """SHA-256 of all that a short run ends with: networks, optimizers, buffer, generators."""
    config = RunConfig(
        env="reach",
        algo=algo,
        total_timesteps=512,
        schedule=StaircaseSchedule(1e-3, decay_steps=256, decay_rate=0.5),
        hyperparameters={**TRAININGS[algo], "policy_kwargs": {"net_arch": [64, 64]}},
    )
    run = create_run(config, folder / algo)
    train_run(run, Console(quiet=True))
    return read_snapshot(run, snapshot_steps(run)[-1]).state_sha256


def main() -> None:
    (build,) = packages_distributions()["pybullet"]
    print(f"Python {platform.python_version()}, {build} {version(build)}, torch {version('torch')}")
    for task in envs.TASKS.values():
        print(f"{task:<24}{checksum_of_episodes(task)}")
    with tempfile.TemporaryDirectory() as folder:
        for algo in TRAININGS:
            print(f"{'training by ' + algo:<24}{checksum_of_training(algo, Path(folder))}")


if __name__ == "__main__":
    main()
