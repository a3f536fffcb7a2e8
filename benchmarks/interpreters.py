"""Prints a checksum of what each task gives, to compare interpreters and builds of PyBullet.

Run it under each of them; it needs neither torch nor Stable-Baselines3:

    python benchmarks/interpreters.py
"""

import hashlib
import platform
from importlib.metadata import packages_distributions, version

import gymnasium
import numpy as np

import envs  # noqa: F401 - registers the tasks

TASKS = ("Reach", "Push", "Slide", "PickAndPlace", "Stack")
EPISODES, STEPS = 3, 60


def checksum(task: str) -> str:
    """SHA-256 of the observations and rewards of some episodes with the same random actions."""
    env = gymnasium.make(f"bullet/{task}-v0", reward="dense")
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


def main() -> None:
    (build,) = packages_distributions()["pybullet"]
    print(f"Python {platform.python_version()}, {build} {version(build)}")
    for task in TASKS:
        print(f"{task:<14}{checksum(task)}")


if __name__ == "__main__":
    main()
