"""Steps a second of every task, beside panda-gym's, alternating in one process on one core.

    python benchmarks/env_speed.py [--rounds 7] [--steps 2000] [--tasks reach push]

Both sides get the same random actions through `gymnasium.make`; resets are included. The share of
time outside PyBullet's `stepSimulation` is measured in rounds of their own, because timing every
call slows it down.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import panda_gym.assets
import pybullet
from PIL import Image

import envs

# The wheel of panda-gym lacks the picture that its Flip puts on the cube: any other will do.
TEXTURES = tempfile.TemporaryDirectory()
Image.new("RGB", (4, 4)).save(Path(TEXTURES.name) / "colored_cube.png")
panda_gym.assets.get_data_path = lambda: TEXTURES.name

SUFFIX = {"ee": "", "joints": "Joints"}


def run(env: gym.Env[Any, Any], actions: np.ndarray) -> tuple[float, float]:
    """Seconds for all the actions, and seconds an episode's reset takes."""
    start, resetting, resets = time.perf_counter(), 0.0, 0
    over = True
    for action in actions:
        if over:
            before = time.perf_counter()
            env.reset()
            resetting += time.perf_counter() - before
            resets += 1
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return time.perf_counter() - start, resetting / resets


@contextmanager
def timed_physics(client: int) -> Iterator[Callable[[], float]]:
    """Count the seconds spent in `stepSimulation` of one PyBullet server."""
    original, spent = pybullet.stepSimulation, 0.0

    def step(*_: Any) -> None:
        nonlocal spent
        start = time.perf_counter()
        # PyBullet's own client class names its server to built-in functions alone.
        original(client)
        spent += time.perf_counter() - start

    pybullet.stepSimulation = step
    try:
        yield lambda: spent
    finally:
        pybullet.stepSimulation = original


def compare(task: str, control: str, rounds: int, steps: int) -> None:
    """Measure one task on both sides and print it."""
    peer = f"Panda{envs.TASK_TYPES[task].__name__}{SUFFIX[control]}-v3"
    sides = {
        "ours": gym.make(envs.TASKS[task], control=control),
        "panda-gym": gym.make(peer),
    }
    shape = sides["ours"].action_space.shape
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    resets: dict[str, list[float]] = {name: [] for name in sides}
    for env in sides.values():
        env.reset(seed=0)
    for _ in range(rounds):
        actions = generator.uniform(-1.0, 1.0, (steps, *shape)).astype(np.float32)
        for name, env in sides.items():
            seconds, reset = run(env, actions)
            rates[name].append(steps / seconds)
            resets[name].append(reset)
    actions = generator.uniform(-1.0, 1.0, (steps, *shape)).astype(np.float32)
    print(f"{task}, {control}")
    clients = {
        "ours": sides["ours"].unwrapped._simulation._client,
        "panda-gym": sides["panda-gym"].unwrapped.sim.physics_client._client,
    }
    for name, env in sides.items():
        with timed_physics(clients[name]) as physics:
            total, _ = run(env, actions)
            outside = 1.0 - physics() / total
        print(
            f"  {name:9} {statistics.median(rates[name]):7.0f} steps/s"
            f"  ({min(rates[name]):.0f} to {max(rates[name]):.0f})"
            f"  reset {1e6 * statistics.median(resets[name]):5.0f} µs"
            f"  outside stepSimulation {outside:4.0%}"
        )
        env.close()
    ratios = [ours / peer for ours, peer in zip(*rates.values(), strict=True)]
    print(f"  ratio     {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tasks", nargs="+", choices=envs.TASKS, default=list(envs.TASKS))
    args = parser.parse_args()
    for task in args.tasks:
        for control in SUFFIX:
            compare(task, control, args.rounds, args.steps)


if __name__ == "__main__":
    main()
