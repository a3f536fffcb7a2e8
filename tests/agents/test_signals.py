"""Signals say how a training fares, and change nothing of it."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter

import pytest
from rich.console import Console

import agents.learners.sb3_learner as sb3_learner
from agents import ALGORITHMS, RunDirectory
from agents.learners.signals import SIGNALS, UPDATES_BETWEEN
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.runs.tables import Table
from agents.training.forks import fork_at
from agents.training.loop import create_run, train_run
from schedules import ConstantSchedule
from tests.agents.small_runs import small_config

pytestmark = pytest.mark.slow

SHARES = (
    *("saturated_actions", "actor_dormant", "critic_dormant", "constant_inputs"),
    *("clipped_inputs", "unexplained_inputs", "moved_goals"),
)
NOT_OF = {
    "td3": {"entropy"},
    "ddpg": {"entropy"},
    "trpo": {"actor_update_ratio"},
}


def config(algo, **changes):
    """A run with signals at a few updates."""
    values = {"schedule": ConstantSchedule(1e-3), "snapshot_every": 200}
    if ALGORITHMS[algo].off_policy:
        hyperparameters = {"gradient_steps": 4}
        values["total_timesteps"] = 280
    else:
        hyperparameters = {"n_steps": 64 if algo == "a2c" else 512}
        values |= {"total_timesteps": 2304, "n_envs": 2}
    hyperparameters |= changes.pop("hyperparameters", {})
    return small_config(algo, **{**values, "hyperparameters": hyperparameters, **changes})


def trained(config, path):
    run = create_run(config, path)
    train_run(run, Console(quiet=True))
    return run


def rows(run):
    with run.metrics_path.open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name != "wall_time_s"}
            for row in csv.DictReader(file)
        ]


def final_state(run: RunDirectory) -> str:
    return read_snapshot(run, snapshot_steps(run)[-1]).state_sha256


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def run(request, tmp_path_factory):
    normalize = {} if request.param in ("sac", "ppo") else None
    path = tmp_path_factory.mktemp("runs") / request.param
    return trained(config(request.param, normalize=normalize), path)


def test_training_comes_to_the_same_state_without_signals(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sb3_learner, "take_signals", lambda model, rollout: {})
    without = trained(run.config, tmp_path / "without")
    assert final_state(without) == final_state(run)
    assert not any(row["q_mean"] for row in rows(without))


def test_signals_are_recorded_now_and_then(run):
    algo = run.config.algo
    table = rows(run)
    taken = [row for row in table if row["q_mean"]]
    assert taken
    if ALGORITHMS[algo].off_policy:
        assert len(taken) == (280 - 110) * 4 // UPDATES_BETWEEN
        assert len(taken) < len(table)
    missing = NOT_OF.get(algo, set())
    if run.config.normalize is None:
        missing = missing | {"clipped_inputs"}
    counts = Counter(name for row in taken for name in SIGNALS if row[name])
    # Sparse rewards of a run this short may all be -1.
    assert set(SIGNALS) - set(counts) - {"reward_distance_correlation"} == missing


def test_signals_lie_where_they_can(run):
    for row in rows(run):
        values = {name: float(row[name]) for name in SIGNALS if row[name]}
        for name in SHARES:
            assert 0 <= values.get(name, 0) <= 1
        if "q_mean" in values:
            assert values["q_min"] <= values["q_mean"] <= values["q_max"]
            assert values["q_low_bound"] <= 0 <= values["q_high_bound"]
            assert values["critic_gradient_norm"] > 0
            assert 1e-7 < values["critic_update_ratio"] < 1
            assert 0 <= values["critic_effective_rank"] <= 16


@pytest.mark.parametrize("algo", ["sac", "td3", "tqc"])
def test_signals_are_the_same_whichever_code_makes_the_updates(algo, tmp_path):
    by_hand = trained(config(algo), tmp_path / "auto")
    by_autograd = trained(dataclasses.replace(by_hand.config, learner="sb3"), tmp_path / "sb3")
    assert by_hand.learner["updates"] == "by hand"
    assert rows(by_hand) == rows(by_autograd)


def test_continued_runs_have_the_same_signals(tmp_path):
    whole = trained(config("sac"), tmp_path / "whole")
    fork = fork_at(whole, 200, {}, tmp_path / "fork")
    train_run(fork, Console(quiet=True))
    assert rows(fork) == rows(whole)
    assert sum(bool(row["q_mean"]) for row in rows(fork)) == 3


def test_signals_work_with_other_optimizers_and_activations(tmp_path):
    policy = {"optimizer_class": "sgd", "activation_fn": "gelu", "net_arch": [16, 16]}
    run = trained(config("sac", hyperparameters={"policy_kwargs": policy}), tmp_path / "run")
    (row, *_) = [row for row in rows(run) if row["q_mean"]]
    assert float(row["critic_update_ratio"]) > 0
    assert row["actor_dormant"]


def test_a_table_of_an_older_version_keeps_its_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,phase\n1,0\n")
    table = Table(path, ["step", "phase", "q_mean"])
    table.append({"step": 2, "phase": 0, "q_mean": 1.5})
    table.close()
    assert path.read_text() == "step,phase\n1,0\n2,0\n"
