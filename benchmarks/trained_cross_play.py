"""Agents trained in panda-gym and here, each playing the same episodes on both sides.

    python -m benchmarks.trained_cross_play [--tasks push] [--algo sac] [--seed 0] [--episodes 200]

One agent learns in panda-gym and one here, both with the preset that this project ships for the
task, the staircase included. Then each plays matched episodes, which have the same goal and
objects, on both sides. Prints a row for each agent. Takes a few minutes for Reach, and half an hour
each for Push and PickAndPlace.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from agents import RunConfig, load_preset
from agents.environments import make_training_envs
from agents.model import build_model
from benchmarks import peers
from benchmarks.cross_play import matched_seeds, play
from schedules.callback import StaircaseCallback

TASKS = ("reach", "push", "pick_and_place")


def peer_envs(config: RunConfig) -> VecEnv:
    """Panda-gym's counterpart of `make_training_envs`."""

    def make() -> gym.Env[Any, Any]:
        return peers.Trainable(peers.make("panda-gym", config.env), **config.training_env_kwargs)

    venv = DummyVecEnv([make] * config.n_envs)
    return venv if config.normalize is None else VecNormalize(venv, **config.normalize)


def train(config: RunConfig, venv: VecEnv) -> BaseAlgorithm:
    """The agent at the end of the training that the config describes."""
    model = build_model(config, venv)
    model.learn(config.total_timesteps, callback=StaircaseCallback(), log_interval=None)
    return model


def returns(
    model: BaseAlgorithm, env: gym.Env, seeds: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return and success of every episode, played by the deterministic policy."""
    normalizer = model.get_vec_normalize_env()

    def act(observation: Mapping[str, NDArray], _: int) -> NDArray[np.float32]:
        if normalizer is not None:
            observation = normalizer.normalize_obs(observation)
        return model.predict(observation, deterministic=True)[0]

    episodes = [play(env, seed, act) for seed in seeds]
    return (
        np.array([total for _, total, _ in episodes]),
        np.array([success for _, _, success in episodes]),
    )


def cross_play(config: RunConfig, episodes: int) -> None:
    """Train on either side, play on both, and print the rows."""
    seeds = matched_seeds(config.env, episodes)
    ours, peer = (peers.make(side, config.env) for side in peers.SIDES)
    for name, make_envs in (("panda-gym", peer_envs), ("here", make_training_envs)):
        venv = make_envs(config)
        model = train(config, venv)
        played = [returns(model, env, seeds) for env in (ours, peer)]
        venv.close()
        successes = " | ".join(f"{success.mean():.1%}" for _, success in played)
        means = " | ".join(f"{total.mean():.2f}" for total, _ in played)
        print(f"| {config.env} | {name} | {successes} | {means} |", flush=True)
    ours.close()
    peer.close()


def main() -> None:
    """Train, play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--algo", default="sac")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=200)
    args = parser.parse_args()
    print("| task | trained in | success here | there | return here | there |")
    for task in args.tasks:
        preset = load_preset(args.algo, task)
        cross_play(RunConfig.from_dict({**preset, "seed": args.seed}), args.episodes)


if __name__ == "__main__":
    main()
