"""How close the tasks are to panda-gym's, so that agents transfer between the two.

    python -m benchmarks.cross_play [--episodes 100]

Matched episodes have the same goal and objects. First the same random actions are played on both
sides of Reach without looking; then scripted controllers play by what they see.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from envs import controllers
from envs.controllers import Controller
from envs.robots.robot import CONTROLS

Policy = Callable[[dict[str, Any], int], NDArray[np.float32]]


def play(env: gym.Env[Any, Any], seed: int, policy: Policy) -> tuple[NDArray[Any], float, bool]:
    """Observations, return and success of an episode that ends as the environment says."""
    observation, _ = env.reset(seed=seed)
    seen, total, over, step = [observation["observation"]], 0.0, False, 0
    while not over:
        observation, reward, terminated, truncated, info = env.step(policy(observation, step))
        seen.append(observation["observation"])
        total += float(reward)
        over, step = terminated or truncated, step + 1
    return np.array(seen), total, bool(info["is_success"])


def random_deviations(control: str, episodes: int, hold: int) -> list[NDArray[Any]]:
    """How far the same random actions diverge, step by step, while both episodes last."""
    ours, peer = (peers.make(side, "reach", control) for side in peers.SIDES)
    generator = np.random.default_rng(0)
    deviations: list[NDArray[Any]] = []
    for seed in range(episodes):
        size = ours.action_space.shape
        draws = generator.uniform(-1.0, 1.0, (50, *size)).astype(np.float32)
        actions = np.repeat(draws, hold, axis=0)

        def policy(_: dict[str, Any], step: int, actions: Any = actions) -> Any:
            return actions[step]

        one, _, _ = play(ours, seed, policy)
        other, _, _ = play(peer, seed, policy)
        steps = min(len(one), len(other))
        deviations.append(one[:steps] - other[:steps])
    ours.close()
    peer.close()
    return deviations


def after(steps: int, deviations: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """How far apart the hands are, in mm, and how much faster, in mm/s, where so many were made."""
    at = np.array([each[steps] for each in deviations if len(each) > steps])
    return 1000 * np.linalg.norm(at[:, :3], axis=1), 1000 * np.linalg.norm(at[:, 3:6], axis=1)


def compare_random(control: str, episodes: int, hold: int) -> None:
    """Print how far apart the same random actions lead."""
    deviations = random_deviations(control, episodes, hold)
    for steps in (1, 10, 25, 50):
        distance, speed = after(steps, deviations)
        print(
            f"{control:6} actions held {hold} steps, after {steps:2} steps:"
            f" position {np.median(distance):5.1f} mm (90 %: {np.quantile(distance, 0.9):5.1f}),"
            f" velocity {np.median(speed):4.0f} mm/s"
        )


def matched_seeds(task: str, episodes: int) -> list[int]:
    """Seeds that give both sides the same goal and objects.

    Where panda-gym lets an object start at its goal, it is drawn again here: those are left out.
    """
    ours, peer = (peers.make(side, task) for side in peers.SIDES)
    seeds: list[int] = []
    seed = 0
    while len(seeds) < episodes:
        one, other = ours.reset(seed=seed)[0], peer.reset(seed=seed)[0]
        if all(np.allclose(one[key], other[key], atol=0.002) for key in one):
            seeds.append(seed)
        seed += 1
    ours.close()
    peer.close()
    return seeds


def compare_controller(
    task: str, name: str, controller: Controller, seeds: list[int], reward: str
) -> None:
    """Print success and return of a scripted controller on matched episodes."""
    sides = {
        "ours": peers.make("ours", task, reward=reward),
        "panda-gym": peers.make("panda-gym", task, reward_type=reward),
    }
    for side, env in sides.items():
        results = [play(env, seed, lambda seen, _: controller(seen)) for seed in seeds]
        returns = np.array([total for _, total, _ in results])
        success = np.mean([success for _, _, success in results])
        print(
            f"{name:15} {reward:6} reward, {side:9}:"
            f" success {success:4.0%}, return {returns.mean():6.2f} ± {returns.std():.2f}"
        )
        env.close()


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100)
    episodes = parser.parse_args().episodes
    for control in CONTROLS:
        for hold in (1, 5):
            compare_random(control, episodes, hold)
    scripted = [
        ("reach", "reach, gain 2", controllers.reach(2.0)),
        ("reach", "reach, gain 10", controllers.reach(10.0)),
        ("reach", "reach, gain 20", controllers.reach(20.0)),
        ("push", "push", controllers.push),
        ("pick_and_place", "pick and place", controllers.pick_and_place),
    ]
    for task, name, controller in scripted:
        seeds = matched_seeds(task, episodes)
        for reward in ("sparse", "dense"):
            compare_controller(task, name, controller, seeds, reward)


if __name__ == "__main__":
    main()
