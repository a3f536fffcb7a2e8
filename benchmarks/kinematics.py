"""What fewer iterations of inverse kinematics save, and what they change.

    python -m benchmarks.kinematics [--episodes 60]

Prints the table in docs/physics.md; takes two minutes. The time is that of a single warm call. How
far the hand is sent is relative to PyBullet's defaults, which panda-gym uses, for the same action
from the same pose. The deviation is that of the hand from panda-gym's when both play the same
random actions in open loop.
"""

from __future__ import annotations

import argparse
import timeit
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.cross_play import after, random_deviations
from envs import simulation

DEFAULTS = (20, 0.5)
SETTINGS = (DEFAULTS, (3, 0.067), (2, 0.037), (1, 0.02), (1, 0.015), (1, 0.01))
ACTIONS = 1000
ARM = range(7)


def use(iterations: int, damping: float) -> None:
    """Have environments made from now on solve inverse kinematics so."""
    simulation.IK_ITERATIONS, simulation.IK_DAMPING = iterations, damping


def sent() -> tuple[NDArray[Any], float]:
    """Where random actions send the hand, from random poses, and microseconds of a call.

    Poses and actions are the same in every setting.
    """
    env = peers.make("ours", "reach").unwrapped
    env.reset(seed=0)
    robot, physics = env.robot, env._simulation
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(ACTIONS):
        angles = np.array(robot.rest) + generator.normal(scale=0.2, size=len(ARM))
        physics.place_joints(robot._body, ARM, angles)
        robot.observe()
        start = np.array(robot.ee_position)
        flange = start + robot.above + generator.uniform(-0.05, 0.05, 3)
        physics.place_joints(robot._body, ARM, solve(robot, physics, flange)[:7])
        robot.observe()
        rows.append(np.array(robot.ee_position) - start)
    timer = timeit.Timer(lambda: solve(robot, physics, flange))
    seconds = min(timer.repeat(repeat=7, number=2000)) / 2000
    env.close()
    return np.array(rows), 1e6 * seconds


def solve(robot: Any, physics: simulation.Simulation, flange: NDArray[Any]) -> simulation.Vector:
    """Joint positions for the flange to be somewhere, the hand pointing down."""
    return physics.inverse_kinematics(robot._body, 6, flange.tolist(), robot.down)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=60)
    episodes = parser.parse_args().episodes
    rows = []
    use(*DEFAULTS)
    expected, _ = sent()
    for iterations, damping in SETTINGS:
        use(iterations, damping)
        moved, microseconds = sent()
        far = np.median(np.sum(moved * expected, 1) / np.sum(expected * expected, 1))
        deviations = random_deviations("ee", episodes, hold=1)
        after_10, after_50 = (np.median(after(steps, deviations)[0]) for steps in (10, 50))
        rows.append(
            f"| {iterations:10} | {damping:7} | {microseconds:5.1f} | {far:7.1%} |"
            f" {after_10:8.1f} mm | {after_50:8.1f} mm |"
        )
    print("| iterations | damping | µs    | as far  | after 10    | after 50    |")
    print("|------------|---------|-------|---------|-------------|-------------|")
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
