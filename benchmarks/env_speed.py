"""Steps a second of every task, beside panda-gym's, alternating in one process on one core.

    python -m benchmarks.env_speed [--rounds 9] [--steps 600] [--tasks reach push] [--robot iiwa]

Prints the table in docs/physics.md; takes about three minutes. Both sides get the same random
actions through `gymnasium.make`; resets are included in the rates. Seconds are processor time,
which other processes disturb less. The share of a step outside PyBullet's `stepSimulation`, without
resets, is measured in separate rounds by the wall clock, because asking for processor time takes as
long as some of the calls. Panda-gym's robot is always its Panda.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

import envs
from benchmarks import peers
from envs.robots.robot import CONTROLS


def run(
    env: gym.Env[Any, Any], actions: np.ndarray, clock: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """Seconds, of the processor by default, for all the actions, and for the resets between."""
    start, resets, over = clock(), 0.0, True
    for action in actions:
        if over:
            before = clock()
            env.reset()
            resets += clock() - before
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return clock() - start - resets, resets


def share_outside(env: gym.Env[Any, Any], simulation: Any, actions: np.ndarray) -> float:
    """Share of the steps not spent advancing the physics, which no reset does on either side."""
    original, inside = simulation.step, 0.0

    def step() -> None:
        nonlocal inside
        start = time.perf_counter()
        original()
        inside += time.perf_counter() - start

    simulation.step = step
    try:
        total, _ = run(env, actions, time.perf_counter)
        return 1.0 - inside / total
    finally:
        del simulation.step


def compare(task: str, control: str, robot: str, rounds: int, steps: int) -> str:
    """Measure one task on both sides; a row of the table."""
    sides = {
        "ours": peers.make("ours", task, control, robot=robot),
        "panda-gym": peers.make("panda-gym", task, control),
    }
    simulations = {
        "ours": sides["ours"].unwrapped._simulation,
        "panda-gym": sides["panda-gym"].unwrapped.sim,
    }
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {side: [] for side in sides}
    shares: dict[str, list[float]] = {side: [] for side in sides}
    for env in sides.values():
        env.reset(seed=0)
    for _ in range(rounds):
        shape = sides["ours"].action_space.shape
        actions = generator.uniform(-1.0, 1.0, (steps, *shape)).astype(np.float32)
        for side, env in sides.items():
            rates[side].append(steps / sum(run(env, actions)))
        for side, env in sides.items():
            shares[side].append(share_outside(env, simulations[side], actions))
    for env in sides.values():
        env.close()
    ours, peer = (statistics.median(rates[side]) for side in peers.SIDES)
    ratio = statistics.median(one / other for one, other in zip(*rates.values(), strict=True))
    share, share_there = (statistics.median(shares[side]) for side in peers.SIDES)
    return (
        f"| {f'`{task}`':16} | {f'`{chr(34)}{control}{chr(34)}`':10} | {f'{ours:.0f} steps/s':12} |"
        f" {f'{peer:.0f} steps/s':12} | {ratio:5.2f} | {100 * share:4.1f} %     |"
        f" {100 * share_there:4.1f} %      |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--tasks", nargs="+", choices=peers.TASKS, default=list(peers.TASKS))
    parser.add_argument("--robot", choices=envs.ROBOTS, default="panda")
    args = parser.parse_args()
    # What PyBullet prints comes in between unless the table waits.
    rows = [
        compare(task, control, args.robot, args.rounds, args.steps)
        for task in args.tasks
        for control in CONTROLS
    ]
    print(
        "| task             | `control`  | here         | panda-gym    | ratio | share here |"
        " share there |\n"
        "|------------------|------------|--------------|--------------|-------|------------|"
        "-------------|"
    )
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
