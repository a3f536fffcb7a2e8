"""A fork is its run up to a snapshot, and something else from there on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agents import ConfigError, RunDirectory, RunError
from agents.cli.flags import TrainArguments, check_modes
from agents.cli.resolve import describe_fork
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.training.forks import fork_at
from agents.training.loop import create_run, train_run
from eval.verification import verify_run
from schedules import ConstantSchedule, joined
from tests.agents.small_runs import small_config
from tests.agents.test_branches import final
from tests.agents.test_exact_resume import cut_back, rows_without_time

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
AT = 200


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    config = small_config("sac", total_timesteps=330, keep_snapshots_every=100)
    run = create_run(config, tmp_path_factory.mktemp("forks") / "run")
    train_run(run, QUIET)
    return run


def forked(run: RunDirectory, path: Path, step: int = AT, **changes: object) -> RunDirectory:
    fork = fork_at(run, step, changes, path)
    train_run(fork, QUIET)
    return fork


def test_the_snapshots_that_were_asked_for_are_kept(run: RunDirectory) -> None:
    steps = snapshot_steps(run)
    ends = set(run.phase_end_steps.values())
    assert {100, 200, 300} | ends <= set(steps)
    assert 160 not in steps  # a periodic one


def test_a_fork_that_changes_nothing_ends_as_its_run(run: RunDirectory, tmp_path: Path) -> None:
    fork = forked(run, tmp_path / "fork")

    assert final(fork).state_sha256 == final(run).state_sha256
    assert rows_without_time(fork.metrics_path) == rows_without_time(run.metrics_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 48},
        {"gamma": 0.9},
        {"tau": 0.1},
        {"gradient_steps": 2},
        {"n_sampled_goal": 1},
        {"goal_selection_strategy": "final"},
        {"seed": 7},
        {"schedule": joined(small_config("sac").schedule, AT + 1, ConstantSchedule(1e-4))},
    ],
    ids=str,
)
def test_a_change_shows_after_the_fork_and_not_before(
    changes: dict[str, object], run: RunDirectory, tmp_path: Path
) -> None:
    fork = forked(run, tmp_path / "fork", **changes)

    assert final(fork).state_sha256 != final(run).state_sha256
    assert read_snapshot(fork, AT).state_sha256 == read_snapshot(run, AT).state_sha256
    ours, theirs = rows_without_time(fork.metrics_path), rows_without_time(run.metrics_path)
    past = [row for row in theirs if int(row["step"]) <= AT]
    assert ours[: len(past)] == past
    assert ours[len(past) :] != theirs[len(past) :]


def test_a_fork_is_repeated_bit_for_bit_through_a_kill_and_by_verify(
    run: RunDirectory, tmp_path: Path
) -> None:
    changes = {"seed": 11, "batch_size": 48}
    fork = forked(run, tmp_path / "fork", **changes)
    for step in (AT, snapshot_steps(fork)[-2]):
        cut = cut_back(fork, tmp_path / f"cut-{step}", step)
        train_run(cut, QUIET)
        assert final(cut).state_sha256 == final(fork).state_sha256
    assert all(replay.agrees for replay in verify_run(fork))


def test_seeds_of_the_generators_change_goals_exploration_and_batches(
    run: RunDirectory, tmp_path: Path
) -> None:
    one = forked(run, tmp_path / "one", seed=1)
    two = forked(run, tmp_path / "two", seed=2)

    assert len({final(r).state_sha256 for r in (run, one, two)}) == 3
    # An episode begins anew between the fork and the end, with a goal of its own.
    goals = []
    for each in (run, one, two):
        with np.load(final(each).path / "arrays.npz") as arrays:
            goals.append(arrays["_last_obs.desired_goal"].tobytes())
    assert len(set(goals)) == 3
    assert one.config.seed == run.config.seed
    assert RunDirectory.open(one.path).parent == one.parent
    assert one.parent is not None
    assert one.parent.generator_seed == 1


def test_a_fork_can_be_forked_and_goes_beyond_the_end(run: RunDirectory, tmp_path: Path) -> None:
    longer = forked(run, tmp_path / "longer", final(run).step, total_timesteps=360)
    whole = create_run(longer.config, tmp_path / "whole")
    train_run(whole, QUIET)
    assert final(longer).step == 360
    assert final(longer).state_sha256 == final(whole).state_sha256
    again = forked(longer, tmp_path / "again", final(run).step)
    assert final(again).state_sha256 == final(longer).state_sha256


@pytest.mark.parametrize(
    ("step", "changes", "complaint"),
    [
        (AT, {"buffer_size": 5}, "a fork cannot change buffer_size, because"),
        (AT, {"policy_kwargs": {}}, "a fork cannot change policy_kwargs"),
        (AT, {"her_ratio": 1}, "a fork cannot change her_ratio"),
        (AT, {"env": "push"}, "a fork cannot change env"),
        (AT, {"ent_coef": 0.1}, "cannot change ent_coef between a number and auto"),
        (AT, {"batch_size": 0}, "hyperparameters.batch_size must be an integer from 1"),
        (AT, {"seed": "x"}, "seed must be an integer from 0 to"),
        (AT, {"seed": 2**31}, "seed must be an integer from 0 to"),
        (AT, {"total_timesteps": AT}, "total_timesteps must be above 200"),
        (AT, {"clip_range": 0.1}, "clip_range"),
    ],
)
def test_what_cannot_change_is_refused_by_name_and_nothing_is_written(
    step: int, changes: dict[str, object], complaint: str, run: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        fork_at(run, step, changes, tmp_path / "fork")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fork").exists()


def test_a_schedule_with_another_past_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="its schedule is not the parent's before the fork"):
        fork_at(run, AT, {"schedule": ConstantSchedule(1e-3)}, tmp_path / "fork")
    assert not (tmp_path / "fork").exists()


def test_a_step_without_a_snapshot_or_with_a_damaged_one_is_refused(
    run: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"has no snapshot at 150, those there are at .*100.*200"):
        fork_at(run, 150, {}, tmp_path / "fork")
    copy = cut_back(run, tmp_path / "copy", AT)
    (copy.snapshots_path / str(AT) / "state.json").write_text("{}")
    with pytest.raises(RunError, match="does not match its checksum"):
        fork_at(copy, AT, {}, tmp_path / "fork")
    assert not (tmp_path / "fork").exists()


def test_flags_say_where_and_what(run: RunDirectory) -> None:
    def fork(**flags: object) -> tuple[int, dict[str, object], str]:
        arguments = TrainArguments(branch="", **flags)
        check_modes(arguments)
        found = describe_fork(arguments, run)
        return found.step, dict(found.changes), found.name

    step, changes, name = fork(at_step=AT, set=("batch_size=512", "gamma=9e-1", "seed=3"))
    assert (step, name) == (AT, "batch-size-512-gamma-0.9-seed-3-at-200")
    assert changes == {
        "schedule": run.config.schedule,
        "total_timesteps": 330,
        "batch_size": 512,
        "gamma": 0.9,
        "seed": 3,
    }
    step, changes, name = fork(at_step=AT, held=True)
    assert name == "held-at-200"
    assert changes["total_timesteps"] == run.phase_end_steps[1]
    assert changes["schedule"](300) == run.config.schedule(AT)  # type: ignore[operator]
    _, changes, _ = fork(at_step=AT, initial_learning_rate=3e-3)
    assert changes["schedule"](AT + 1) == 3e-3  # type: ignore[operator]
    assert fork(at_phase=1, set=("tau=0.5",))[2] == "tau-0.5-1"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"branch": "", "at_phase": 1, "at_step": 5}, "--branch needs either --at-phase K"),
        ({"branch": ""}, "--branch needs either --at-phase K"),
        ({"at_step": 5}, "--at-step needs --branch RUN"),
        ({"set": ("a=1",)}, "--set needs --branch RUN"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_modes(TrainArguments(**flags))


def test_a_setting_of_another_form_is_refused(run: RunDirectory) -> None:
    for word in ("batch_size", "=3", "gamma=["):
        with pytest.raises(ConfigError, match="--set"):
            describe_fork(TrainArguments(branch="", at_step=AT, set=(word,)), run)


def test_the_fork_is_written_down(run: RunDirectory, tmp_path: Path) -> None:
    fork = fork_at(run, AT, {"gamma": 0.9}, tmp_path / "fork")
    data = json.loads((fork.path / "run.json").read_text())
    assert data["parent"]["step"] == AT
    assert data["parent"]["state_sha256"] == read_snapshot(run, AT).state_sha256
    assert data["config"]["hyperparameters"]["gamma"] == 0.9
