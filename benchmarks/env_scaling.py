"""Several environments at once: steps a second, and memory; then frames a second.

    python -m benchmarks.env_scaling [--steps 1000] [--environments 20]

Prints the tables in docs/physics.md; takes about two minutes. Steps are those of Push with
random actions, summed over SB3's vectors of environments, medians of alternating rounds. Memory is
what a process grows by, per environment, frames not drawn. Frames are those of PickAndPlace.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from benchmarks import peers

ROUNDS = 5
COUNTS = (1, 2, 4)
SIZES = ((720, 480), (84, 84))


def rate(vector: VecEnv, steps: int) -> float:
    """Steps a second, those of all environments counted."""
    generator = np.random.default_rng(0)
    shape = (vector.num_envs, *vector.action_space.shape)
    actions = generator.uniform(-1.0, 1.0, (steps // vector.num_envs, *shape)).astype(np.float32)
    vector.reset()
    start = time.perf_counter()
    for action in actions:
        vector.step(action)
    return len(actions) * vector.num_envs / (time.perf_counter() - start)


def print_rates(steps: int) -> None:
    """A row for each kind and number of environments."""
    print("| environments | processes | here         | panda-gym    | ratio |")
    print("|--------------|-----------|--------------|--------------|-------|")
    for count in COUNTS:
        for kind in (DummyVecEnv, SubprocVecEnv):
            makers = {side: functools.partial(peers.make, side, "push") for side in peers.SIDES}
            vectors = {side: kind([maker] * count) for side, maker in makers.items()}
            rates: dict[str, list[float]] = {side: [] for side in vectors}
            for _ in range(ROUNDS):
                for side, vector in vectors.items():
                    rates[side].append(rate(vector, steps))
            for vector in vectors.values():
                vector.close()
            ours, peer = (statistics.median(rates[side]) for side in peers.SIDES)
            each = zip(*rates.values(), strict=True)
            ratio = statistics.median(one / other for one, other in each)
            processes = 1 if kind is DummyVecEnv else 1 + count
            print(
                f"| {count:<12} | {processes:<9} | {f'{ours:.0f} steps/s':12} |"
                f" {f'{peer:.0f} steps/s':12} | {ratio:5.2f} |",
                flush=True,
            )


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def print_growth(side: str, environments: int) -> None:
    """MB an environment; the first one pays for what all share, and is left out."""
    kept = [peers.make(side, "push")]
    kept[0].reset()
    before = resident()
    for _ in range(environments):
        kept.append(peers.make(side, "push"))
        kept[-1].reset()
    print((resident() - before) / environments)


def print_memory(environments: int) -> None:
    """A row for each side, each measured in a process of its own."""
    print("\n|           | memory of an environment |")
    print("|-----------|--------------------------|")
    for side in peers.SIDES:
        command = [sys.executable, "-m", "benchmarks.env_scaling", "--growth", side]
        command += ["--environments", str(environments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        growth = float(done.stdout.splitlines()[-1])
        print(f"| {side:9} | {f'{growth:.1f} MB':24} |", flush=True)


def print_frames() -> None:
    """A row for each size of frames."""
    print("\n| frame     | here           | panda-gym      | ratio |")
    print("|-----------|----------------|----------------|-------|")
    for width, height in SIZES:
        size = {"render_width": width, "render_height": height}
        drawn = {
            side: peers.make(side, "pick_and_place", render_mode="rgb_array", **size)
            for side in peers.SIDES
        }
        for env in drawn.values():
            env.reset(seed=0)
        frames = 5 if width > 100 else 50
        rates: dict[str, list[float]] = {side: [] for side in drawn}
        for _ in range(ROUNDS):
            for side, env in drawn.items():
                start = time.perf_counter()
                for _ in range(frames):
                    env.render()
                rates[side].append(frames / (time.perf_counter() - start))
        for env in drawn.values():
            env.close()
        ours, peer = (statistics.median(rates[side]) for side in peers.SIDES)
        ratio = statistics.median(one / other for one, other in zip(*rates.values(), strict=True))
        print(
            f"| {f'{width} × {height}':9} | {f'{ours:.1f} frames/s':14} |"
            f" {f'{peer:.1f} frames/s':14} | {ratio:5.2f} |",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--environments", type=int, default=20)
    parser.add_argument("--growth", choices=peers.SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.growth:
        print_growth(args.growth, args.environments)
        return
    print_rates(args.steps)
    print_memory(args.environments)
    print_frames()


if __name__ == "__main__":
    main()
