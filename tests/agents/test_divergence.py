"""A training that leaves the finite numbers stops in one line, and what it wrote stays good."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from agents import RunDirectory, RunError
from agents.learners.environments import training_envs
from agents.learners.finite import UpdateWatch, non_finite_state
from agents.learners.model import build_model, optimizers
from agents.learners.training_state import moments
from agents.runs.directory import snapshot_steps
from agents.runs.divergence import Diverged, Divergence, read_divergence, write_divergence
from agents.runs.manifest import check_snapshot, read_snapshot
from agents.training.branches import HeldBranches
from agents.training.loop import create_run, train_run
from eval import compare_phases, plot_run
from schedules import ConstantSchedule, PiecewiseConstantSchedule
from tests.agents.small_runs import small_config
from tests.agents.test_exact_resume import rows_without_time
from tests.system.commands import config_file, run_command

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)


def diverged(run: RunDirectory) -> Diverged:
    with pytest.raises(Diverged) as caught:
        train_run(run, QUIET)
    return caught.value


@pytest.mark.parametrize(
    ("algo", "rate", "changes"),
    [
        ("a2c", 1e3, {"normalize": {}, "snapshot_every": 16, "hyperparameters": {"n_steps": 16}}),
        ("ppo", 1e30, {}),
        ("trpo", 1e30, {}),
        ("sac", 1e3, {}),
        ("td3", 1e6, {"n_envs": 2, "vec_env": "subproc"}),
        ("crossq", 1e3, {}),
    ],
)
def test_a_rate_that_is_too_high_is_one_line_and_leaves_only_what_is_finite(
    algo: str, rate: float, changes: dict[str, object], tmp_path: Path
) -> None:
    run = create_run(small_config(algo, ConstantSchedule(rate), **changes), tmp_path / "run")

    error = diverged(run)

    found = error.divergence
    last = max(snapshot_steps(run), default=None)
    good = "there is no snapshot yet" if last is None else f"the snapshot at step {last} is good"
    assert str(error) == (
        f"{run.path} diverged at step {found.step} in phase 0 at rate {rate:g}: {found.what}; "
        f"{good}; try a lower --initial-learning-rate"
    )
    assert read_divergence(run) == found
    for row in rows_without_time(run.metrics_path):
        assert int(row["step"]) <= found.step
        assert all(math.isfinite(float(v)) for k, v in row.items() if v and "explained" not in k)
    if last is not None:
        check_snapshot(run, read_snapshot(run, last))
    # It comes to the same point again, and says the same.
    assert str(diverged(run)) == str(error)


def test_up_to_where_it_diverged_a_run_is_compared_and_plotted(tmp_path: Path) -> None:
    schedule = PiecewiseConstantSchedule((130,), (1e-3, 1e30))
    run = create_run(small_config("sac", schedule), tmp_path / "run")

    found = diverged(run).divergence

    # The first update at the new rate spoils the networks, and the next one's losses tell.
    assert found.phase == 1
    assert found.step in (130, 131)
    assert snapshot_steps(run)[-1] == 129
    comparison = compare_phases(run, 2)
    assert [result.phase for result in comparison.phases] == [0]
    assert any(str(found) in note for note in comparison.notes)
    assert plot_run(run)


def test_a_run_that_gets_past_is_no_longer_said_to_have_diverged(tmp_path: Path) -> None:
    run = create_run(small_config("ppo"), tmp_path / "run")
    write_divergence(run, Divergence(64, 0, 1e-3, "value_loss is nan"))
    train_run(run, QUIET)
    assert read_divergence(run) is None


def test_a_held_branch_that_diverges_is_named_and_the_run_is_not_held_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # One update at the high rate leaves finite numbers, and the branch makes more of them.
    schedule = PiecewiseConstantSchedule((112,), (1e3, 1e-9))
    config = small_config("sac", schedule, total_timesteps=150)
    run = create_run(config, tmp_path / "run", held_branch_length="phase")

    with HeldBranches(run, "phase") as branches:
        train_run(run, QUIET, [branches])
        branches.finish()

    branch = RunDirectory.open(run.path / "branches" / "held-1")
    found = read_divergence(branch)
    assert found is not None
    assert found.learning_rate == 1e3
    assert f"held branch {branch.path} {found}" in caplog.messages
    notes = compare_phases(run, 2).notes
    assert any("branch held-1" in note and str(found) in note for note in notes)


def test_the_command_ends_with_one_line_and_no_branch_behind_it(tmp_path: Path) -> None:
    schedule = PiecewiseConstantSchedule((130, 200), (1e-3, 1e-4, 1e30))
    file = config_file(small_config("sac", schedule), tmp_path / "config.yaml")

    process = run_command(
        *("--config", file, "--output", "run", "--held-branches", "--branch-length", "end"),
        cwd=tmp_path,
    )

    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith("train.py: run diverged at step 20")
    branch = tmp_path / "run" / "branches" / "held-1"
    assert (branch / "run.json").exists()
    train_run(RunDirectory.open(branch), QUIET)


def test_a_broken_note_of_a_divergence_is_one_line(tmp_path: Path) -> None:
    run = create_run(small_config("ppo"), tmp_path / "run")
    for content in ("", "{}", "[]", json.dumps({"format": "other", "format_version": 1})):
        run.divergence_path.write_text(content)
        with pytest.raises(RunError, match=r"diverged\.json cannot be read") as caught:
            read_divergence(run)
        assert "\n" not in str(caught.value)


def test_each_thing_that_is_not_finite_is_seen_and_named() -> None:
    config = small_config("sac", normalize={})
    with training_envs(config) as venv:
        model = build_model(config, venv)
        model._setup_learn(1)
        watch = UpdateWatch(model)
        assert watch.non_finite({"actor_loss": -1e30}) is None
        assert watch.non_finite({"explained_variance": math.nan}) is None
        assert watch.non_finite({"actor_loss": math.inf}) == "actor_loss is inf"
        bias = optimizers(model)["critic.optimizer"].param_groups[0]["params"][1]
        for value in (math.nan, -math.inf):
            with torch.no_grad():
                bias[3] = value
            seen = "a parameter of critic.optimizer is not finite"
            assert watch.non_finite({}) == seen
        with torch.no_grad():
            bias.fill_(3e38)  # Their sum is not finite, and they are.
        assert watch.non_finite({}) is None
        with torch.no_grad():
            bias.fill_(0.0)
        statistic = moments(model)["normalizer.desired_goal"]
        statistic.var = np.array([1.0, np.inf, 1.0])
        seen = "a running statistic, normalizer.desired_goal, is not finite"
        assert watch.non_finite({}) == seen
        statistic.var = np.ones(3)
        bias.grad = torch.full_like(bias, 1e30)
        optimizers(model)["critic.optimizer"].step()
        assert watch.non_finite({}) is None
        assert non_finite_state(model) == "the state of critic.optimizer is not finite"
