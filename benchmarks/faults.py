"""Trains runs with a fault put in on purpose, and counts how often the diagnosis names it.

    python -m benchmarks.faults --arms reach-td3-short --seeds 0 1 --only healthy rate_high

A run lies in ROOT/<arm>/<case>-seed<seed>; one that is complete is not trained again, so the bench
goes on where it was stopped. Thresholds were tuned on the seeds below 10; the tables are printed
for those and for the others apart.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rich.console import Console
from torch import nn

import agents.training.loop as loop
import envs
from agents import RunConfig, RunDirectory, load_preset
from agents.runs.directory import is_complete
from agents.training.interruption import TrainingInterrupted
from envs.manipulation import ManipulationEnv
from eval.checks.check import CLASSES
from eval.diagnosis import CAUSES, diagnose

FIRST_REPORTED_SEED = 10
ARMS: dict[str, tuple[str, str, int]] = {
    "reach-sac": ("reach", "sac", 5_000),
    "reach-td3": ("reach", "td3", 3_000),
    "reach-td3-short": ("reach", "td3", 1_700),
    "reach-ppo": ("reach", "ppo", 24_576),
    "push-sac": ("push", "sac", 20_000),
    "push-td3": ("push", "td3", 8_000),
    "push-ppo": ("push", "ppo", 24_576),
    "pick_and_place-sac": ("pick_and_place", "sac", 20_000),
}
"""Task, algorithm and steps of the constant-rate phase, which is all that is trained."""

REPORTED_ARMS = [arm for arm in ARMS if arm != "reach-td3-short"]
"""Those that `all` stands for."""


def _unreachable(task: type[envs.Task]) -> type[envs.Task]:
    class Unreachable(task):  # type: ignore[misc, valid-type]
        def reset(self, generator: Any, goal: Any = None) -> Any:
            x, y, z = super().reset(generator, goal)
            return [x, y, z + 0.8]

    Unreachable.__name__ = f"Unreachable{task.__name__}"
    return Unreachable


def _badly_scaled(task: type[envs.Task]) -> type[envs.Task]:
    class BadlyScaled(task):  # type: ignore[misc, valid-type]
        observation_size = task.observation_size + 1

        def observe(self) -> Any:
            return [*super().observe(), 1e4 * self.achieved_goal()[0]]

    BadlyScaled.__name__ = f"BadlyScaled{task.__name__}"
    return BadlyScaled


for _name in ("reach", "push", "pick_and_place"):
    envs.register_task(f"bench_far_{_name}", _unreachable(envs.TASK_TYPES[_name]))
    envs.register_task(f"bench_scaled_{_name}", _badly_scaled(envs.TASK_TYPES[_name]))


@dataclass(frozen=True)
class Case:
    """A fault, or none.

    Attributes:
        kind: The kind of finding that is right; `None` for a healthy run.
        changes: Config keys, laid over the arm's; mappings are merged.
        rate: Factor on the learning rate.
        reward: What takes a reward's place.
        weights: What is done to the networks before the training.
        also: Other kinds that are right.
        algos: Algorithms that can have it.
        tasks: Tasks that it is put into.
    """

    kind: str | None
    changes: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 1.0
    reward: Callable[[Any], Any] | None = None
    weights: Callable[[Any], None] | None = None
    also: tuple[str, ...] = ()
    algos: tuple[str, ...] = ("sac", "td3", "ppo")
    tasks: tuple[str, ...] = ("reach", "push", "pick_and_place")


OFF = ("sac", "td3")


def _hyper(**values: Any) -> dict[str, Any]:
    return {"hyperparameters": values}


def _policy(**values: Any) -> dict[str, Any]:
    return _hyper(policy_kwargs=values)


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


@torch.no_grad()
def _dead_units(model: Any) -> None:
    policy = model.policy
    for net in (policy.actor, policy.critic, policy.critic_target):
        for layer in _linear(net):
            if layer.out_features >= 16:
                layer.bias.fill_(-20.0)


@torch.no_grad()
def _saturate(model: Any) -> None:
    actor = model.policy.actor
    layer = actor.mu if isinstance(actor.mu, nn.Linear) else _linear(actor.mu)[-1]
    layer.bias.fill_(30.0)
    if hasattr(model.policy, "actor_target"):
        model.policy.actor_target.load_state_dict(actor.state_dict())


CORNER = {"goal_x": [0.1, 0.15], "goal_y": [0.1, 0.15]}

CASES: dict[str, Case] = {
    "healthy": Case(None),
    "healthy_rate_third": Case(None, rate=1 / 3, algos=OFF),
    "rate_high": Case("rate_too_high", rate=100),
    "rate_high_30": Case("rate_too_high", rate=30),
    "rate_low": Case("rate_too_low", rate=0.01),
    "rate_low_1000": Case("rate_too_low", rate=0.001),
    "batch_8": Case("batch_too_small", _hyper(batch_size=8)),
    "batch_2": Case("batch_too_small", _hyper(batch_size=2), algos=OFF),
    # Elsewhere, such a batch costs ten minutes a run.
    "batch_8192": Case("batch_too_large", _hyper(batch_size=8192), algos=OFF, tasks=("reach",)),
    "sgd": Case("optimizer", _policy(optimizer_class="sgd"), also=("rate_too_low",)),
    "betas": Case("optimizer", _policy(optimizer_kwargs={"betas": [0.999, 0.9]})),
    "gamma_50": Case("discount_too_low", _hyper(gamma=0.5)),
    "gamma_0": Case("discount_too_low", _hyper(gamma=0.0)),
    "tau_1": Case("target_too_fast", _hyper(tau=1.0), algos=OFF),
    "no_entropy": Case("no_exploration", _hyper(ent_coef=0.0), algos=("sac",)),
    "entropy_10": Case("too_much_exploration", _hyper(ent_coef=10.0), algos=("sac", "ppo")),
    "noise_2": Case(
        "too_much_exploration", {"action_noise": {"kind": "normal", "sigma": 2.0}}, algos=("td3",)
    ),
    "small_buffer": Case("buffer_too_small", algos=OFF),
    "rare_updates": Case("too_few_updates", _hyper(gradient_steps=1, train_freq=64), algos=OFF),
    "no_noise": Case("no_exploration", {"action_noise": None}, algos=("td3",)),
    "no_hindsight": Case("no_hindsight", {"her": None}, algos=OFF),
    "late_update": Case("late_first_update", algos=OFF),
    "early_update": Case("early_first_update", algos=OFF),
    "reward_1000": Case("reward_scale", reward=lambda r: 1000 * r),
    "reward_1e-3": Case("reward_scale", reward=lambda r: 0.001 * r),
    "reward_sign": Case("reward_sign", reward=lambda r: -r),
    "unreachable": Case("goals_unreachable"),
    "corner": Case("goals_concentrated", {"training_env_kwargs": CORNER}),
    "noise_03": Case("observation_noise", {"training_env_kwargs": {"observation_noise": 0.03}}),
    "noise": Case("observation_noise", {"training_env_kwargs": {"observation_noise": 0.1}}),
    "noise_1": Case("observation_noise", {"training_env_kwargs": {"observation_noise": 1.0}}),
    "scale_1e4": Case("input_scale", {"normalize": None}),
    "unnormalised": Case("input_scale", {"normalize": None}, tasks=("push",)),
    "units_4": Case("network_too_small", _policy(net_arch=[4, 4])),
    "units_2": Case("network_too_small", _policy(net_arch=[2, 2])),
    "dead_relu": Case("dead_units", weights=_dead_units, algos=OFF),
    "saturated": Case("saturated_actions", weights=_saturate, algos=OFF),
}


def config_of(arm: str, name: str, seed: int) -> RunConfig:
    """The config of a run of the bench."""
    task, algo, steps = ARMS[arm]
    case = CASES[name]
    data: dict[str, Any] = dict(load_preset(algo, task))
    if task != "reach":  # As SAC's presets have it: velocities are a hundred times positions.
        data["normalize"] = {"norm_reward": False, "clip_obs": 5.0}
    rate = data["schedule"]["initial_learning_rate"]
    data |= {
        "seed": seed,
        "total_timesteps": steps,
        "schedule": {"type": "ConstantSchedule", "learning_rate": rate * case.rate},
        "snapshot_every": steps,
    }
    # An episode in each environment, as hindsight needs.
    least = envs.TASK_TYPES[task].max_episode_steps * data.get("n_envs", 1)
    sized = {
        "late_update": {"learning_starts": int(0.8 * steps)},
        "early_update": {"learning_starts": least},
        "small_buffer": {"buffer_size": 2 * least},
    }
    data["hyperparameters"] = {**data["hyperparameters"], **sized.get(name, {})}
    for prefix, fault in (("bench_far", "unreachable"), ("bench_scaled", "scale_1e4")):
        if name == fault:
            data["env"] = f"{prefix}_{task}"
    for key, value in case.changes.items():
        if isinstance(value, Mapping) and isinstance(data.get(key), Mapping):
            value = {**data[key], **value}
            old = data[key].get("policy_kwargs")
            if old and "policy_kwargs" in value:
                value["policy_kwargs"] = {**old, **value["policy_kwargs"]}
        data[key] = value
    return RunConfig.from_dict(data)


@contextlib.contextmanager
def _put_in(case: Case) -> Iterator[None]:
    """Puts a fault that no config can have into this process."""
    judge, build = ManipulationEnv._judge, loop.build_learner

    def judged(self: Any, *args: Any) -> Any:
        reward, reached = judge(self, *args)
        return (reward if case.reward is None else case.reward(reward)), reached

    def built(config: Any, venv: Any) -> Any:
        learner = build(config, venv)
        if case.weights is not None:
            case.weights(learner.model)  # type: ignore[attr-defined]
        return learner

    with (
        mock.patch.object(ManipulationEnv, "_judge", judged),
        mock.patch.object(loop, "build_learner", built),
    ):
        yield


def train(root: Path, arm: str, name: str, seed: int) -> RunDirectory:
    """Trains a run of the bench, or goes on with it."""
    path = root / arm / f"{name}-seed{seed}"
    config = config_of(arm, name, seed)
    exists = (path / "run.json").exists()
    with _put_in(CASES[name]):
        run = RunDirectory.open(path) if exists else loop.create_run(config, path)
        if not is_complete(run) and not run.divergence_path.exists():
            try:
                with contextlib.suppress(loop.Diverged):
                    loop.train_run(run, Console(quiet=True))
            except TrainingInterrupted as interruption:
                raise SystemExit(f"{interruption}; the same command goes on") from None
    return run


def report(root: Path, runs: list[tuple[str, str, int]], title: str) -> None:
    """Prints the confusion tables of both classes and kinds, as Markdown."""
    by_case: dict[str, list[tuple[str, int]]] = {}
    for arm, name, seed in runs:
        by_case.setdefault(name, []).append((arm, seed))
    classes: Counter[tuple[str, str]] = Counter()
    totals: dict[str, Counter[str]] = {"faulty": Counter(), "healthy": Counter()}
    rows = []
    for name, where in by_case.items():
        kind = CASES[name].kind
        counts: Counter[str] = Counter()
        firsts: Counter[str] = Counter()
        for arm, seed in where:
            diagnosis = diagnose(RunDirectory.open(root / arm / f"{name}-seed{seed}"))
            found = [finding.kind for finding in diagnosis.findings[:3]] or ["none"]
            right = {kind or "none", *CASES[name].also}
            put_in, seen = (CAUSES.get(one, "none") for one in (kind, found[0]))
            classes[put_in, seen] += 1
            counts.update(
                runs=1,
                right_class=int(put_in == seen),
                first=int(found[0] in right),
                in_three=int(bool(right & set(found))),
            )
            firsts[found[0]] += 1
        totals["faulty" if kind else "healthy"] += counts
        seen_first = ", ".join(
            f"`{one}`" + (f" x {n}" if n > 1 else "") for one, n in firsts.most_common()
        )
        cells = [str(counts[key]) for key in ("runs", "right_class", "first", "in_three")]
        rows.append(f"| {' | '.join([name, *cells, seen_first])} |")
    print(f"\n{title}\n")
    names = [*CLASSES, "none"]
    print(f"| class put in | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for put_in in names:
        print(f"| {put_in} | {' | '.join(str(classes[put_in, seen]) for seen in names)} |")
    print("\n| case | runs | right class | right first | right in 3 | found first |")
    print("|---|---|---|---|---|---|", *rows, sep="\n")
    for side, counts in totals.items():
        if n := counts["runs"]:
            keys = {"right_class": "class", "first": "kind first", "in_three": "kind in three"}
            rates = (f"{words} {counts[key] / n:.1%}" for key, words in keys.items())
            print(f"\n{side}: {n} runs, right: {', '.join(rates)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--root", type=Path, default=Path("runs/faults"))
    parser.add_argument("--arms", nargs="+", choices=[*ARMS, "all"], default=["reach-sac"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--count", type=int, help="train at most so many runs")
    parser.add_argument("--no-train", action="store_true", help="report what there is")
    arguments = parser.parse_args()
    arms = REPORTED_ARMS if arguments.arms == ["all"] else arguments.arms
    runs, trained, started = [], 0, time.process_time()
    for seed in arguments.seeds:
        for arm in arms:
            for name in arguments.only:
                task, algo, _ = ARMS[arm]
                if algo not in CASES[name].algos or task not in CASES[name].tasks:
                    continue
                path = arguments.root / arm / f"{name}-seed{seed}"
                done = (path / "run.json").exists() and (
                    is_complete(RunDirectory.open(path)) or (path / "diverged.json").exists()
                )
                if not done:
                    if arguments.no_train or trained == arguments.count:
                        continue
                    begun = time.process_time()
                    train(arguments.root, arm, name, seed)
                    trained += 1
                    print(f"{path}: {time.process_time() - begun:.0f} s of CPU", flush=True)
                runs.append((arm, name, seed))
    if trained:
        hours = (time.process_time() - started) / 3600
        print(f"trained {trained} runs in {hours:.2f} core-hours", flush=True)
    for title, chosen in (
        ("tuning seeds", [run for run in runs if run[2] < FIRST_REPORTED_SEED]),
        ("reported seeds", [run for run in runs if run[2] >= FIRST_REPORTED_SEED]),
    ):
        if chosen:
            report(arguments.root, chosen, title)


if __name__ == "__main__":
    main()
