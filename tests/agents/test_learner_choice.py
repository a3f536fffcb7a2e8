"""Which code computes the updates is noted in a run, and changes nothing of it."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest
from rich.console import Console

from agents import ConfigError, RunConfig, RunDirectory, create_run, learners, train_run
from agents.runs.manifest import newest_good_snapshot
from agents.training.branch_schedules import held_schedule
from agents.training.branches import create_branch
from tests.agents.small_runs import small_config

pytestmark = pytest.mark.slow

PUSHES = {
    "env": "push",
    "n_envs": 2,
    "normalize": {"norm_reward": False},
    "hyperparameters": {
        "learning_starts": 110,
        "gradient_steps": 2,
        "policy_kwargs": {"net_arch": [64, 64], "optimizer_kwargs": {"fused": True}},
    },
}
NOISY = {"action_noise": {"kind": "normal", "sigma": 0.1}}
CASES = [
    ("sac", {}),
    ("sac", PUSHES),
    ("td3", NOISY),
    ("ddpg", {}),
    ("tqc", {}),
    ("ppo", {}),
    ("a2c", {}),
]


def trained(config: RunConfig, path: Path) -> RunDirectory:
    run = create_run(config, path)
    train_run(run, Console(quiet=True))
    return run


def final_state(run: RunDirectory) -> str:
    snapshot, _ = newest_good_snapshot(run)
    assert snapshot is not None
    assert snapshot.final
    return snapshot.state_sha256


def recorded(run: RunDirectory) -> dict[str, str | None]:
    learner: dict[str, str | None] = json.loads((run.path / "run.json").read_text())["learner"]
    assert RunDirectory.open(run.path).learner == learner
    return learner


@pytest.mark.parametrize(("algo", "changes"), CASES, ids=str)
def test_a_run_ends_in_the_same_bits_whichever_code_computes(
    algo: str, changes: dict[str, object], tmp_path: Path
) -> None:
    config = small_config(algo, **changes)
    auto = trained(config, tmp_path / "auto")
    sb3 = trained(dataclasses.replace(config, learner="sb3"), tmp_path / "sb3")
    assert recorded(auto) == {"updates": "by hand", "fallback": None}
    assert recorded(sb3) == {"updates": "by autograd", "fallback": None}
    assert final_state(auto) == final_state(sb3)
    assert auto.config == sb3.config
    assert auto.metrics_path.read_text().count("\n") == sb3.metrics_path.read_text().count("\n")


def test_a_branch_of_the_other_learner_is_a_branch_of_the_same_run(tmp_path: Path) -> None:
    run = trained(small_config("sac"), tmp_path / "run")
    file = run.path / "run.json"
    file.write_text(file.read_text().replace('"learner": "auto"', '"learner": "sb3"'))
    other = RunDirectory.open(run.path)
    assert other.config.learner == "sb3"
    branch = create_branch(other, 1, other.config.schedule, "end", tmp_path / "branch")
    train_run(branch, Console(quiet=True))
    assert final_state(branch) == final_state(run)
    assert held_schedule(other, 1) == held_schedule(run, 1)


def test_what_is_left_to_sb3_is_said_in_a_line_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {"policy_kwargs": {"net_arch": [16], "activation_fn": "elu"}}
    with caplog.at_level(logging.WARNING):
        run = create_run(small_config("sac", hyperparameters=odd), tmp_path / "run")
    reason = "a network with a layer ELU is not covered"
    assert recorded(run) == {"updates": "by autograd", "fallback": reason}
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == f"sac: SB3's own update is used, which takes longer: {reason}"


def test_an_unknown_learner_is_refused_in_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^unknown learner 'sb4'.*auto, sb3"):
        small_config("sac", learner="sb4")


def test_a_learner_that_does_not_exist_is_named_beside_those_that_do() -> None:
    with pytest.raises(
        AttributeError, match=r"no learner 'TRPO'; valid: A2C, DDPG, PPO, SAC, TD3, TQC"
    ):
        learners.TRPO  # noqa: B018
