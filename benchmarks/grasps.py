"""Which cubes a hand goes on holding, still and shaken.

    python -m benchmarks.grasps [--tries 15] [--robots panda iiwa]

Prints the tables in docs/physics.md; takes five minutes. Sizes and masses go beyond what
PickAndPlace accepts, to show why it does not accept them. Episodes begin with the cube in the hand,
which closes for 50 control periods. Meanwhile it stays still, or moves at full speed for four
periods in one direction and for four in the other.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

import envs
from envs.tasks import PickAndPlace

SIZES = (0.02, 0.03, 0.04, 0.05, 0.06)
MASSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
AXES = {"still": None, "shaken along x": 0, "shaken along y": 1, "shaken along z": 2}


def is_held(env: gym.Env[Any, Any], seed: int, axis: int | None = None) -> bool:
    """Whether a hand that begins with a cube still holds it at the end.

    Args:
        env: PickAndPlace, made with `grasped=1` and `control="ee"`.
        seed: Of the episode.
        axis: Along which the hand is shaken: 0, 1 or 2; None leaves it still.

    Returns:
        Whether the cube is near the hand and keeps the fingers apart. It may be off their middle,
        because fingers are not coupled, neither here nor in panda-gym.
    """
    env.reset(seed=seed)
    for step in range(50):
        action = np.array([0.0, 0.0, 0.0, -1.0], np.float32)
        if axis is not None:
            action[axis] = 1.0 if step // 4 % 2 == 0 else -1.0
        observation, _, over, _, _ = env.step(action)
        if over:
            # At the goal by chance, and still in the hand, or it would be on the table.
            break
    seen, size = observation["observation"], env.unwrapped.task.ranges["object_size"][0]
    return bool(math.dist(seen[:3], seen[7:10]) <= 0.04 and seen[6] >= 0.9 * size)


def take_all() -> None:
    """Have PickAndPlace take any size and any mass."""
    wide = {
        name: replace(PickAndPlace.quantities[name], valid=(0.0, math.inf))
        for name in ("object_size", "object_mass")
    }
    PickAndPlace.quantities = MappingProxyType({**PickAndPlace.quantities, **wide})


def table(robot: str, axis: int | None, tries: int) -> list[str]:
    """Rows of one table: how many of so many tries hold a cube, by its size and its mass."""
    rows = []
    for size in SIZES:
        counts = []
        for mass in MASSES:
            env = gym.make(
                "bullet/PickAndPlace-v0",
                robot=robot,
                grasped=1,
                object_size=size,
                object_mass=mass,
            )
            counts.append(sum(is_held(env, seed, axis) for seed in range(tries)))
            env.close()
        rows.append(f"| {100 * size:.0f} cm | " + " | ".join(f"{n:7}" for n in counts) + " |")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=15)
    parser.add_argument("--robots", nargs="+", choices=envs.ROBOTS, default=list(envs.ROBOTS))
    args = parser.parse_args()
    take_all()
    for robot in args.robots:
        for name, axis in AXES.items():
            print(f"\n{robot}, {name}, held of {args.tries}:\n")
            print("| size | " + " | ".join(f"{mass:4g} kg" for mass in MASSES) + " |")
            print("|------|" + "---------|" * len(MASSES))
            print(*table(robot, axis, args.tries), sep="\n", flush=True)


if __name__ == "__main__":
    main()
