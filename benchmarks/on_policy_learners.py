"""PPO and A2C, ours beside SB3's, and what SB3's training consists of; alternating in one process.

    python -m benchmarks.on_policy_learners [--task reach] [--rounds 9] [--steps 2048]

Prints the tables on on-policy algorithms in docs/learners.md; takes a few minutes. Each side trains
from our presets, on environments of its own. The first table is of SB3's training: shares of its
processor time. The second is of environment steps per second of processor time, start-up left out;
both sides come to the same bits, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import obs_as_tensor

from agents import RunConfig, load_preset
from agents.learners.environments import make_training_envs
from agents.learners.exact_on_policy import ExactOnPolicyLearner
from agents.learners.model import build_model
from benchmarks.learners import learning

PARTS = {
    "environments": ("env", "step"),
    "acting": ("policy", "forward"),
    "storing": ("rollout_buffer", "add"),
    "update": (None, "train"),
    "forward passes": ("policy", "evaluate_actions"),
    "optimizer's step": ("policy.optimizer", "step"),
}
"""Where SB3 spends its time, by column; the last two are within the update."""


def built(algo: str, task: str, learner: str) -> Any:
    """A model in training, from the preset of a task."""
    config = RunConfig.from_dict({**load_preset(algo, task), "learner": learner})
    model = build_model(config, make_training_envs(config))
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def shares(model: Any, steps: int) -> dict[str, float]:
    """Shares of a training's processor time, by part."""
    seconds = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, call: Any) -> Any:
        def measured(*given: Any, **others: Any) -> Any:
            start = time.process_time()
            try:
                return call(*given, **others)
            finally:
                seconds[part] += time.process_time() - start

        return measured

    for part, (path, name) in PARTS.items():
        owner = model
        for attribute in path.split(".") if path else ():
            owner = getattr(owner, attribute)
        setattr(owner, name, timed(part, getattr(owner, name)))
    start = time.process_time()
    learning(model, steps)
    whole = time.process_time() - start
    return {part: value / whole for part, value in seconds.items()}


def paired(
    sides: Mapping[str, Any], work: Callable[[Any], object], rounds: int
) -> tuple[list[float], float]:
    """Median seconds of processor time of each side, and of the ratios of SB3's to ours.

    All sides take turns in every round and draw the same numbers.
    """
    seconds: list[list[float]] = []
    for number in range(rounds):
        seconds.append([])
        for model in sides.values():
            torch.manual_seed(number)
            np.random.seed(number)
            start = time.process_time()
            work(model)
            seconds[-1].append(time.process_time() - start)
    medians = [statistics.median(side) for side in zip(*seconds, strict=True)]
    return medians, statistics.median(theirs / ours for ours, theirs in seconds)


def acting(model: Any, steps: int = 200) -> None:
    """Acts as in a rollout, without the environments."""
    observations = obs_as_tensor(model._last_obs, model.device)
    act = model._update.act if isinstance(model, ExactOnPolicyLearner) else model.policy
    with torch.no_grad():
        for _ in range(steps):
            act(observations)


def updating(model: Any) -> None:
    """Makes as many updates as take tenths of a second."""
    for _ in range(1 if hasattr(model, "n_epochs") else 20):
        model.train()


def weights(model: Any) -> bytes:
    """A model's weights, bit for bit."""
    return b"".join(p.detach().numpy().tobytes() for p in model.policy.parameters())


def main() -> None:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--task", default="reach")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2048, help="steps a round")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    first, second = [], []
    for algo in ("ppo", "a2c", "trpo"):
        if algo != "trpo":
            sides = {learner: built(algo, arguments.task, learner) for learner in ("auto", "sb3")}
            train = partial(learning, steps=arguments.steps)
            paired(sides, train, 2)  # With the trial.
            seconds, ratio = paired(sides, train, arguments.rounds)
            ratios = [paired(sides, work, arguments.rounds)[1] for work in (acting, updating)]
            assert weights(sides["auto"]) == weights(sides["sb3"])
            ours, theirs = (arguments.steps / value for value in seconds)
            alone = " | ".join(f"{value:.2f}" for value in ratios)
            second.append(f"| {algo} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} | {alone} |")
        model = built(algo, arguments.task, "sb3")
        learning(model, arguments.steps)
        values = shares(model, arguments.rounds * arguments.steps).values()
        first.append(f"| {algo} | " + " | ".join(f"{100 * v:.0f} %" for v in values) + " |")
    print("| SB3's training | " + " | ".join(PARTS) + " |\n|" + "---|" * (len(PARTS) + 1))
    print("\n".join(first))
    print("\n| steps a second | ours | SB3 | ratio | of acting | of the update |")
    print("|---|---|---|---|---|---|")
    print("\n".join(second))


if __name__ == "__main__":
    main()
