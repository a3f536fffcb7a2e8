"""What each setting of the physics is worth: one at a time is changed.

    python -m benchmarks.settings [--rounds 15]

Prints the tables in docs/physics.md; takes two minutes. The time is that of a step of PickAndPlace
with random actions, beside the settings as they are, in alternating rounds of processor time. The
hand's way is that in 1000 zero actions from rest, a cube's that in 200; the depth is how far a
closed hand presses a cube of 1 kg into the table. All with the Panda. A second table has the depth
for other masses.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import envs
from envs import simulation
from envs.server import pybullet

_DEFAULT = {"SOLVER": pybullet.CONSTRAINT_SOLVER_LCP_SI, "SOLVER_ITERATIONS": 50}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "as they are": {},
    "50 sweeps": {"SOLVER_ITERATIONS": 50},
    "20 sweeps": {"SOLVER_ITERATIONS": 20},
    "default solver, residual 1e-7": {**_DEFAULT, "ROUND_RESIDUAL": 1e-7},
    "default solver, residual 0.0002": _DEFAULT,
    "default solver, residual 0.001": {**_DEFAULT, "ROUND_RESIDUAL": 1e-3},
    "contact gain 0.08": {"CONTACT_GAIN": 0.08},
    "20 physics steps, motor gain 0.1": {"SUBSTEPS": 20, "MOTOR_GAIN": 0.1},
    "inverse kinematics as in panda-gym": {"IK_ITERATIONS": 20, "IK_DAMPING": 0.5},
}
STEPS = 150
MASSES = (0.1, 0.2, 0.5, 1.0, 10.0)


@contextlib.contextmanager
def using(values: Mapping[str, Any]) -> Iterator[None]:
    """Give settings other values; some are read when an environment is made, some in each step."""
    before = {name: getattr(simulation, name) for name in values}
    vars(simulation).update(values)
    try:
        yield
    finally:
        vars(simulation).update(before)


def make(task: str, **kwargs: Any) -> Any:
    """An environment whose episodes do not end."""
    env = gym.make(envs.TASKS[task], **kwargs).unwrapped
    env.task.threshold = -1.0  # type: ignore[attr-defined]
    return env


def seconds(env: Any, actions: NDArray[np.float32]) -> float:
    """Of the processor, for a reset and all the actions."""
    start = time.process_time()
    env.reset()
    for action in actions:
        env.step(action)
    return time.process_time() - start


def idle() -> tuple[float, float]:
    """How far the hand goes by itself in 1000 control periods, and a cube in 200, in mm."""
    env = make("push")
    start = env.reset(seed=0)[0]
    ends = [env.step(np.zeros(3, np.float32))[0] for _ in range(1000)]
    env.close()
    hand = math.dist(start["observation"][:3], ends[-1]["observation"][:3])
    return 1e3 * hand, 1e3 * math.dist(start["achieved_goal"], ends[199]["achieved_goal"])


def depth(robot: str = "panda", mass: float = 1.0) -> float:
    """How far a closed hand presses a cube into the table, in mm."""
    env = make("push", robot=robot, object_mass=mass, object_x=0.0, object_y=0.0)
    seen = env.reset(seed=0, options={"goal": [0.15, 0.15, 0.02]})[0]["observation"]
    heights = []
    for step in range(60):
        x, y, _ = np.clip(15.0 * (seen[6:9] - seen[:3]), -1.0, 1.0)
        seen = env.step(np.array([x, y, -1.0 if step > 10 else 0.0], np.float32))[0]["observation"]
        heights.append(float(seen[8]))
    env.close()
    return 1e3 * (0.02 - min(heights))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    made = {}
    for name, values in SETTINGS.items():
        with using(values):
            made[name] = make("pick_and_place")
    generator, taken = np.random.default_rng(0), {name: [] for name in SETTINGS}
    for _ in range(rounds):
        actions = generator.uniform(-1.0, 1.0, (STEPS, 4)).astype(np.float32)
        for name, values in SETTINGS.items():
            with using(values):
                taken[name].append(seconds(made[name], actions))
    print("| setting                            | time | idle hand | idle cube | pressed |")
    print("|------------------------------------|------|-----------|-----------|---------|")
    usual = taken["as they are"]
    for name, values in SETTINGS.items():
        ratio = statistics.median(
            one / other for one, other in zip(taken[name], usual, strict=True)
        )
        with using(values):
            (hand, cube), pressed = idle(), depth()
        print(f"| {name:34} | {ratio:4.2f} | {hand:6.1f} mm | {cube:6.2f} mm | {pressed:4.1f} mm |")
    print("\n| pressed | " + " | ".join(f"{mass:4g} kg" for mass in MASSES) + " |")
    print("|---------|" + "---------|" * len(MASSES))
    for robot in envs.ROBOTS:
        depths = (f"{depth(robot, mass):4.1f} mm" for mass in MASSES)
        print(f"| {robot:7} | " + " | ".join(depths) + " |")


if __name__ == "__main__":
    main()
