"""How near Reach is to panda-gym's, so that agents carry over.

    python benchmarks/cross_play.py [--episodes 100]

Matched episodes have the same goal. First the same random actions are played on both sides without
looking; then a proportional controller plays by what it sees.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import panda_gym  # noqa: F401 (registers its environments)
from numpy.typing import NDArray

import envs

PEER = {"ee": "PandaReach-v3", "joints": "PandaReachJoints-v3"}
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


def towards_goal(gain: float) -> Policy:
    """Proportional controller: displaces the end effector towards the goal."""

    def act(observation: dict[str, Any], step: int) -> NDArray[np.float32]:
        offset = observation["desired_goal"] - observation["achieved_goal"]
        action: NDArray[np.float32] = np.clip(gain * offset, -1.0, 1.0).astype(np.float32)
        return action

    return act


def compare_random(control: str, episodes: int, hold: int) -> None:
    """Print how far apart the same random actions lead, while both episodes last."""
    ours = gym.make(envs.TASKS["reach"], control=control)
    peer = gym.make(PEER[control])
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
    for steps in (1, 10, 25, 50):
        at = np.array([each[steps] for each in deviations if len(each) > steps])
        distance = 1000 * np.linalg.norm(at[:, :3], axis=1)
        speed = 1000 * np.linalg.norm(at[:, 3:6], axis=1)
        print(
            f"{control:6} actions held {hold} steps, after {steps:2} steps:"
            f" position {np.median(distance):5.1f} mm (90 %: {np.quantile(distance, 0.9):5.1f}),"
            f" velocity {np.median(speed):4.0f} mm/s"
        )
    ours.close()
    peer.close()


def compare_controller(episodes: int, gain: float, reward: str) -> None:
    """Print success and return of the proportional controller on matched goals."""
    sides = {
        "ours": gym.make(envs.TASKS["reach"], reward=reward),
        "panda-gym": gym.make(PEER["ee"], reward_type=reward),
    }
    for name, env in sides.items():
        results = [play(env, seed, towards_goal(gain)) for seed in range(episodes)]
        returns = np.array([total for _, total, _ in results])
        success = np.mean([success for _, _, success in results])
        print(
            f"controller, gain {gain:2.0f}, {reward:6} reward, {name:9}:"
            f" success {success:4.0%}, return {returns.mean():6.2f} ± {returns.std():.2f}"
        )
        env.close()


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100)
    episodes = parser.parse_args().episodes
    for control in PEER:
        for hold in (1, 5):
            compare_random(control, episodes, hold)
    for gain in (2.0, 10.0, 20.0):
        for reward in ("sparse", "dense"):
            compare_controller(episodes, gain, reward)


if __name__ == "__main__":
    main()
