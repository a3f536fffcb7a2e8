"""Agents trained in panda-gym and here, each playing the same episodes on both sides.

    python -m benchmarks.trained_cross_play [--tasks push] [--algo sac] [--seed 0] [--episodes 200]

One agent learns in panda-gym and one here, both with the preset that this project ships for the
task, the staircase included; the one here is that of `benchmarks.presets`, from the same place.
Then each plays matched episodes, which have the same goal and objects, on both sides. Prints a row
for each agent. Takes a few minutes for Reach, and half an hour each for Push and PickAndPlace.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from agents import RunConfig, RunDirectory
from agents.learners.environments import make_training_envs
from agents.learners.model import build_model
from agents.learners.sb3_learner import SB3Learner
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.snapshots.store import load_acting
from benchmarks import peers, presets
from benchmarks.cross_play import matched_seeds, play
from schedules.callback import StaircaseCallback

TASKS = ("reach", "push", "pick_and_place")


def peer_envs(config: RunConfig) -> VecEnv:
    """Panda-gym's counterpart of `make_training_envs`."""

    def make() -> gym.Env[Any, Any]:
        return peers.Trainable(peers.make("panda-gym", config.env), **config.training_env_kwargs)

    venv = DummyVecEnv([make] * config.n_envs)
    return venv if config.normalize is None else VecNormalize(venv, **config.normalize)


def trained_there(config: RunConfig) -> BaseAlgorithm:
    """The agent at the end of the training that the config describes, in panda-gym."""
    model = build_model(config, peer_envs(config))
    model.learn(config.total_timesteps, callback=StaircaseCallback(), log_interval=None)
    return model


def trained_here(run: RunDirectory) -> BaseAlgorithm:
    """The agent at the end of a run."""
    learner = SB3Learner(build_model(run.config, make_training_envs(run.config)))
    load_acting(read_snapshot(run, snapshot_steps(run)[-1]), learner)
    return learner.model


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


def cross_play(run: RunDirectory, episodes: int) -> None:
    """Train in panda-gym as the run was here, play both agents on both sides, print the rows."""
    task = run.config.env
    seeds = matched_seeds(task, episodes)
    ours, peer = (peers.make(side, task) for side in peers.SIDES)
    agents = {"panda-gym": trained_there(run.config), "here": trained_here(run)}
    for name, model in agents.items():
        played = [returns(model, env, seeds) for env in (ours, peer)]
        model.env.close()
        successes = " | ".join(f"{success.mean():.1%}" for _, success in played)
        means = " | ".join(f"{total.mean():.2f}" for total, _ in played)
        print(f"| {task} | {name} | {successes} | {means} |", flush=True)
    ours.close()
    peer.close()


def main() -> None:
    """Train, play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--algo", default="sac")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--root", type=Path, default=presets.ROOT)
    args = parser.parse_args()
    print("| task | trained in | success here | there | return here | there |")
    print("|---|---|---|---|---|---|")
    for task in args.tasks:
        run = presets.trained(task, args.algo, args.seed, args.root)
        cross_play(run, args.episodes)


if __name__ == "__main__":
    main()
