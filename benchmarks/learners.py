"""SAC's update and training, ours beside SB3's and SBX's, alternating in one process on one core.

    python -m benchmarks.learners [--tasks reach push] [--widths 64 256] [--rounds 9]

Prints the tables in docs/learners.md; takes about ten minutes. The first is of an update by itself:
milliseconds of processor time, and what its matrix products alone would take, timed one by one in
their shapes. The second is of whole training from our presets with these widths: environment steps
per second of processor time, start-up and compilation left out. `ours` and `SB3's update` come to
the same bits, with the same replay buffer; `SB3` has SB3's own, and so has panda-gym. SBX takes
part if it is installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agents import RunConfig, load_preset
from agents.learners.environments import make_training_envs
from agents.learners.model import build_model
from benchmarks.trained_cross_play import peer_envs

try:
    import sbx
except ModuleNotFoundError:
    sbx = None

OURS, SB3_UPDATE, SB3_ALL, PANDA_GYM, SBX = "ours", "SB3's update", "SB3", "SB3, panda-gym", "SBX"
Work = Callable[[], object]


def medians(work: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Seconds of processor time of each, all of them in turn in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            start = time.process_time()
            do()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def preset(task: str, width: int, learner: str = "auto") -> RunConfig:
    """The preset of a task, with other networks and a short warm-up."""
    values = load_preset("sac", task)
    hyperparameters = {
        **values["hyperparameters"],
        "policy_kwargs": {"net_arch": [width, width], "optimizer_kwargs": {"fused": True}},
        "learning_starts": 100 * values.get("n_envs", 1),
        "buffer_size": 50_000,
    }
    changes = {"hyperparameters": hyperparameters, "learner": learner}
    return RunConfig.from_dict({**values, **changes})


def with_sb3s_buffer(config: RunConfig, venv: VecEnv, module: Any) -> OffPolicyAlgorithm:
    """A model as a script would build it, of SB3's or SBX's SAC, with SB3's hindsight replay."""
    arguments = dict(config.hyperparameters)
    arguments["policy_kwargs"] = dict(arguments["policy_kwargs"])
    if sbx is not None and module is sbx.SAC:
        del arguments["policy_kwargs"]["optimizer_kwargs"]
    model: OffPolicyAlgorithm = module(
        env=venv,
        learning_rate=1e-3,
        seed=config.seed,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={
            k: v for k, v in (config.her or {}).items() if not k.startswith("skip_")
        },
        **arguments,
    )
    return model


def models(task: str, width: int) -> dict[str, OffPolicyAlgorithm]:
    """A model of each side on environments of its own."""
    config = preset(task, width)
    built: dict[str, Any] = {}
    for name, learner in ((OURS, "auto"), (SB3_UPDATE, "sb3")):
        given = dataclasses.replace(config, learner=learner)
        built[name] = build_model(given, make_training_envs(given))
    built[SB3_ALL] = with_sb3s_buffer(config, make_training_envs(config), SAC)
    built[PANDA_GYM] = with_sb3s_buffer(config, peer_envs(config), SAC)
    if sbx is not None:
        built[SBX] = with_sb3s_buffer(config, make_training_envs(config), sbx.SAC)
    return built


class Batches:
    """A replay buffer that gives the same batches again and again, without a search for them."""

    def __init__(self, buffer: Any, env: Any, batch_size: int) -> None:
        self._batches = [buffer.sample(batch_size, env) for _ in range(32)]
        self._given = 0

    def sample(self, *given: Any, **others: Any) -> Any:
        """The next batch."""
        self._given += 1
        return self._batches[self._given % len(self._batches)]


def products(model: Any) -> list[tuple[int, int, int]]:
    """The matrix products of an update, each as rows, inner size and columns."""
    batch = model.batch_size

    def layers(module: Any) -> list[tuple[int, int]]:
        linear = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
        return [(m.in_features, m.out_features) for m in linear]

    actor, critics = layers(model.actor), layers(model.critic)
    first = {model.actor.latent_pi[0].in_features}
    found = [(2 * batch, i, o) for i, o in actor]
    # Of what was put in, and of the weights; the actor's gradient goes through the critics.
    found += [(o, batch, i) for i, o in actor]
    found += [(batch, o, i) for i, o in actor if i not in first]
    found += 3 * [(batch, i, o) for i, o in critics]
    found += [(o, batch, i) for i, o in critics]
    inputs = model.critic.q_networks[0][0].in_features
    found += [(batch, o, i) for i, o in critics if i != inputs]
    found += [(batch, o, i) for i, o in critics]
    return found


def arithmetic(model: Any, rounds: int) -> tuple[float, float]:
    """Seconds of an update's products by themselves, and their floating-point operations."""
    shapes = products(model)
    operands = [(torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)) for m, k, n in shapes]

    def multiply() -> None:
        with torch.no_grad():
            for left, right, out in operands:
                torch.mm(left, right, out=out)

    seconds = medians({"": multiply}, 10 * rounds)[""]
    return seconds, sum(2.0 * m * k * n for m, k, n in shapes)


def learning(model: OffPolicyAlgorithm, steps: int) -> None:
    """Goes on with a training, as a caller of `learn` would."""
    model.learn(steps, reset_num_timesteps=False, log_interval=10**9)


def update(model: Any, times: int) -> None:
    """Makes updates by themselves."""
    for _ in range(times):
        model.train(1, model.batch_size)


def main() -> None:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tasks", nargs="+", default=["reach", "push"])
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=40, help="updates a round")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    updates, rounds = arguments.updates, arguments.rounds
    first, second = [], []
    for width in arguments.widths:
        for task in arguments.tasks:
            sides = models(task, width)
            for model in sides.values():
                model.set_logger(Logger(folder=None, output_formats=[]))
                learning(model, model.learning_starts + 4 * model.n_envs)
            per_update = model.n_envs / (model.gradient_steps * model.train_freq.frequency)
            steps = int(updates * per_update)
            work = {name: partial(learning, model, steps) for name, model in sides.items()}
            seconds = medians(work, rounds)
            rates = {name: steps / value for name, value in seconds.items()}
            ratios = " | ".join(
                f"{rates[name]:.0f} ({rates[OURS] / rates[name]:.2f})" if name in rates else "-"
                for name in (SB3_UPDATE, SB3_ALL, PANDA_GYM, SBX)
            )
            second.append(f"| {task}, {width} x {width} | {rates[OURS]:.0f} | {ratios} |")
        pair = {name: sides[name] for name in (OURS, SB3_UPDATE)}
        for model in pair.values():
            model.replay_buffer = Batches(
                model.replay_buffer, model._vec_normalize_env, model.batch_size
            )

        work = {name: partial(update, model, updates) for name, model in pair.items()}
        seconds = medians(work, rounds)
        ours, theirs = (1e3 * seconds[name] / updates for name in pair)
        least, operations = arithmetic(pair[OURS], rounds)
        first.append(
            f"| {width} x {width} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} | "
            f"{1e3 * least:.2f} ({operations / least / 1e9:.0f} GFLOP/s) |"
        )
    print("| an update, ms | ours | SB3's | ratio | its products alone |\n|---|---|---|---|---|")
    print("\n".join(first))
    heads = " | ".join((SB3_UPDATE, SB3_ALL, PANDA_GYM, SBX))
    print(f"\n| steps a second (ours is so many times as fast) | ours | {heads} |")
    print("|---|---|---|---|---|---|")
    print("\n".join(second))


if __name__ == "__main__":
    main()
