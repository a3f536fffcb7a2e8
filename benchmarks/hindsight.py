"""SB3's hindsight replay and ours, side by side on one task.

    python -m benchmarks.hindsight push [--steps 96000] [--every 32000] [--seed 0]

Trains SAC's preset for the task with each of the two replay buffers in turn, at the rate of the
constant-rate phase, and prints the success rate of the last 100 training episodes on the way.
"""

from __future__ import annotations

import argparse

import numpy as np
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents import RunConfig, load_preset
from agents.learners.environments import training_envs
from agents.learners.hindsight import EpisodicHerReplayBuffer
from agents.learners.model import build_model
from benchmarks.trained_cross_play import TASKS
from schedules import ConstantSchedule


class SuccessRates(BaseCallback):
    """Notes the success rate of the last 100 training episodes at regular steps."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.noted: list[float] = []

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.every * (len(self.noted) + 1):
            self.noted.append(float(np.mean(self.model.ep_success_buffer)))
        return True


def success_rates(config: RunConfig, kind: type[HerReplayBuffer], every: int) -> list[float]:
    """Success rates on the way of a training with one of the two buffers."""
    with training_envs(config) as venv:
        model = build_model(config, venv)
        assert isinstance(model, OffPolicyAlgorithm)
        if kind is HerReplayBuffer:
            model.replay_buffer = HerReplayBuffer(
                model.buffer_size,
                venv.observation_space,  # type: ignore[arg-type]
                venv.action_space,
                env=venv,
                device=model.device,
                n_envs=config.n_envs,
                **{k: v for k, v in (config.her or {}).items() if k != "skip_reached"},
            )
        rates = SuccessRates(every)
        model.learn(config.total_timesteps, callback=rates, log_interval=None)
    return rates.noted


def main() -> None:
    """Train with both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--steps", type=int, default=96_000)
    parser.add_argument("--every", type=int, default=32_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    preset = load_preset("sac", args.task)
    rate = RunConfig.from_dict(preset).schedule(0)
    config = RunConfig.from_dict(
        {
            **preset,
            "total_timesteps": args.steps,
            "schedule": ConstantSchedule(rate),
            "seed": args.seed,
        }
    )
    noted = range(args.every, args.steps + 1, args.every)
    print("| replay buffer |" + "".join(f" {step:,} steps |" for step in noted))
    for kind in (HerReplayBuffer, EpisodicHerReplayBuffer):
        rates = success_rates(config, kind, args.every)
        print(f"| {kind.__name__} |" + "".join(f" {rate:.0%} |" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
