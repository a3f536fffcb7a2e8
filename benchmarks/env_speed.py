"""Steps a second of every task, beside panda-gym's, alternating in one process on one core.

    python -m benchmarks.env_speed [--rounds 15] [--steps 1000] [--tasks reach push]

Prints the rows of the table in docs/environments.md; takes about five minutes. Both sides get the
same random actions through `gymnasium.make`; resets are included. The share of time outside
PyBullet's `stepSimulation` is measured in rounds of their own, because timing every call slows it
down; what the timing takes is measured too, and subtracted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import pybullet

import envs
from benchmarks import peers


def run(env: gym.Env[Any, Any], actions: np.ndarray) -> float:
    """Seconds for all the actions, and the resets between them."""
    start, over = time.perf_counter(), True
    for action in actions:
        if over:
            env.reset()
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return time.perf_counter() - start


class Watch:
    """A function with the seconds spent in its calls and their number."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args
        self.calls, self.seconds = 0, 0.0

    def __call__(self, *_: Any, **__: Any) -> None:
        start = time.perf_counter()
        self.function(*self.args)
        self.seconds += time.perf_counter() - start
        self.calls += 1


def watch_cost() -> tuple[float, float]:
    """Seconds that watching adds to a call: in all, and of these counted as the function's."""

    def nothing(*_: Any) -> None:
        pass

    def time_of(function: Callable[..., Any]) -> float:
        start = time.perf_counter()
        for _ in range(10_000):
            function(0)
        return (time.perf_counter() - start) / 10_000

    bare = min(time_of(nothing) for _ in range(5))
    watches = [Watch(nothing, 0) for _ in range(5)]
    watched = min(time_of(watch) for watch in watches)
    return watched - bare, min(watch.seconds / watch.calls for watch in watches) - bare


@contextmanager
def watched_physics(client: int) -> Iterator[Watch]:
    """Watch `stepSimulation` of one PyBullet server."""
    original = pybullet.stepSimulation
    # PyBullet's own client class names its server to built-in functions alone.
    pybullet.stepSimulation = watch = Watch(original, client)
    try:
        yield watch
    finally:
        pybullet.stepSimulation = original


def share_outside(env: gym.Env[Any, Any], client: int, actions: np.ndarray) -> float:
    """Share of the time that is not spent in `stepSimulation`."""
    added, counted = watch_cost()
    with watched_physics(client) as watch:
        total = run(env, actions)
    inside = watch.seconds - counted * watch.calls
    return 1.0 - inside / (total - added * watch.calls)


def compare(task: str, control: str, rounds: int, steps: int) -> str:
    """Measure one task on both sides; a row of the table."""
    sides = {side: peers.make(side, task, control) for side in peers.SIDES}
    clients = {
        "ours": sides["ours"].unwrapped._simulation._client,
        "panda-gym": sides["panda-gym"].unwrapped.sim.physics_client._client,
    }
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {side: [] for side in sides}
    shares: dict[str, list[float]] = {side: [] for side in sides}
    for env in sides.values():
        env.reset(seed=0)
    for number in range(rounds):
        shape = sides["ours"].action_space.shape
        actions = generator.uniform(-1.0, 1.0, (steps, *shape)).astype(np.float32)
        for side, env in sides.items():
            rates[side].append(steps / run(env, actions))
        if number % 3 == 0:
            for side, env in sides.items():
                shares[side].append(share_outside(env, clients[side], actions))
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
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--tasks", nargs="+", choices=envs.TASKS, default=list(envs.TASKS))
    args = parser.parse_args()
    # What PyBullet prints comes in between unless the table waits.
    rows = [
        compare(task, control, args.rounds, args.steps)
        for task in args.tasks
        for control in ("ee", "joints")
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
