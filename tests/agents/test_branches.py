"""What a branch is: the parent's beginning, then its own way, all else equal."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from agents import ConfigError, RunDirectory, RunError
from agents.cli.flags import TrainArguments
from agents.cli.resolve import describe_fork
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import Snapshot, read_snapshot
from agents.training.branches import HeldBranches, create_branch
from agents.training.forks import fork_at
from agents.training.loop import create_run, train_run
from schedules import ConstantSchedule, PiecewiseConstantSchedule, Schedule, StaircaseSchedule
from tests.agents.small_runs import STAIRCASE, small_config
from tests.agents.test_exact_resume import rows_without_time

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)


def final(run: RunDirectory) -> Snapshot:
    return read_snapshot(run, snapshot_steps(run)[-1])


def trained(path: Path, algo: str, schedule: Schedule, **changes: object) -> RunDirectory:
    run = create_run(small_config(algo, schedule, **changes), path)
    train_run(run, QUIET)
    return run


@pytest.fixture(scope="module", params=["sac", "ppo"])
def trunk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    changes = {"n_envs": 2, "total_timesteps": 640} if request.param == "ppo" else {}
    path = tmp_path_factory.mktemp(request.param) / "trunk"
    return trained(path, request.param, STAIRCASE, **changes)


def branch_of(run: RunDirectory, path: Path, **flags: object) -> RunDirectory:
    fork = describe_fork(TrainArguments(branch="", **flags), run)
    branch = fork_at(run, fork.step, fork.changes, path)
    train_run(branch, QUIET)
    return branch


@pytest.mark.parametrize(("algo", "boundary"), [("sac", 129), ("td3", 129), ("ppo", 128)])
def test_staircase_and_constant_rate_are_one_run_up_to_the_first_boundary(
    algo: str, boundary: int, tmp_path: Path
) -> None:
    changes = {"snapshot_every": boundary, "total_timesteps": 200}
    staircase = trained(tmp_path / "staircase", algo, STAIRCASE, **changes)
    constant = trained(tmp_path / "constant", algo, ConstantSchedule(1e-3), **changes)

    before = [read_snapshot(run, boundary) for run in (staircase, constant)]
    assert [snapshot.phase_end for snapshot in before] == [0, None]
    assert before[0].state_sha256 == before[1].state_sha256
    assert final(staircase).state_sha256 != final(constant).state_sha256
    rows = zip(
        rows_without_time(staircase.metrics_path),
        rows_without_time(constant.metrics_path),
        strict=True,
    )
    assert all((left == right) == (int(left["step"]) <= boundary) for left, right in rows)


@pytest.mark.parametrize("phase", [1, 2])
def test_a_control_branch_ends_as_the_trunk(
    phase: int, trunk: RunDirectory, tmp_path: Path
) -> None:
    branch = branch_of(trunk, tmp_path / "control", at_phase=phase)

    assert branch.config == trunk.config
    assert final(branch).state_sha256 == final(trunk).state_sha256
    assert rows_without_time(branch.metrics_path) == rows_without_time(trunk.metrics_path)
    assert rows_without_time(branch.episodes_path) == rows_without_time(trunk.episodes_path)


@pytest.mark.parametrize(
    "flags",
    [
        {"held": True},
        {"held": True, "branch_length": "end"},
        {"decay_rate": 0.1},
        {"initial_learning_rate": 3e-3, "decay_steps": 100},
    ],
    ids=str,
)
def test_a_branch_equals_the_same_run_from_scratch(
    flags: dict[str, object], trunk: RunDirectory, tmp_path: Path
) -> None:
    branch = branch_of(trunk, tmp_path / "branch", at_phase=1, **flags)
    scratch = create_run(branch.config, tmp_path / "scratch")
    train_run(scratch, QUIET)

    assert final(branch).state_sha256 == final(scratch).state_sha256
    assert final(branch).state_sha256 != final(trunk).state_sha256
    assert rows_without_time(branch.metrics_path) == rows_without_time(scratch.metrics_path)
    assert rows_without_time(branch.episodes_path) == rows_without_time(scratch.episodes_path)


def test_a_held_branch_ends_where_the_phase_ends_with_the_rate_before(
    trunk: RunDirectory, tmp_path: Path
) -> None:
    branch = branch_of(trunk, tmp_path / "held", at_phase=1, held=True)

    (end,) = [s for s in snapshot_steps(trunk) if read_snapshot(trunk, s).phase_end == 1]
    assert final(branch).step == end
    assert {row["learning_rate"] for row in rows_without_time(branch.metrics_path)} == {"0.001"}
    assert branch.parent is not None
    assert (branch.path / branch.parent.run).resolve() == trunk.path.resolve()
    assert branch.parent.phase == 1
    assert read_snapshot(trunk, branch.parent.step).phase_end == 0


@pytest.mark.parametrize(
    ("flags", "schedule"),
    [
        ({"at_phase": 1, "held": True}, PiecewiseConstantSchedule((), (8e-3,))),
        ({"at_phase": 2, "held": True}, PiecewiseConstantSchedule((100,), (8e-3, 4e-3))),
        (
            {"at_phase": 2, "decay_rate": 0.25},
            PiecewiseConstantSchedule((100, 200, 300), (8e-3, 4e-3, 1e-3, 2.5e-4)),
        ),
        (
            {"at_phase": 1, "initial_learning_rate": 1e-2, "minimum_learning_rate": 5e-3},
            PiecewiseConstantSchedule((100, 200), (8e-3, 1e-2, 5e-3)),
        ),
        (
            {"at_phase": 3, "decay_steps": 50, "constant_steps": 70},
            PiecewiseConstantSchedule((100, 200, 300, 370), (8e-3, 4e-3, 2e-3, 1e-3, 5e-4)),
        ),
        ({"at_phase": 3}, StaircaseSchedule(8e-3, decay_steps=100, decay_rate=0.5)),
    ],
    ids=str,
)
def test_the_flags_of_a_branch_make_its_schedule(
    flags: dict[str, object], schedule: Schedule, tmp_path: Path
) -> None:
    config = small_config(
        "sac",
        StaircaseSchedule(8e-3, 100, 0.5),
        total_timesteps=400,
        hyperparameters={"learning_starts": 60},
    )
    run = create_run(config, tmp_path / "run")

    fork = describe_fork(TrainArguments(branch="", **flags), run)

    assert fork.changes["schedule"].phases(400) == schedule.phases(400)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"at_phase": 0}, "--at-phase 0: .* can be forked at 1, 2"),
        ({"at_phase": 9, "held": True}, "can be forked at 1, 2"),
        ({"at_phase": 1, "held": True, "decay_rate": 0.5}, "--held and --decay-rate do not go"),
        ({"at_phase": 1, "decay_rate": 1.5}, "--decay-rate .*1.5"),
        ({"at_phase": 1, "seed": 4}, "--seed 4 contradicts .* which has 0"),
        ({"at_phase": 1, "algo": "ppo"}, "--algo ppo contradicts .* which has sac"),
    ],
)
def test_a_bad_branch_is_refused_in_one_line(
    flags: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    run = create_run(small_config("sac", her=None), tmp_path / "run")
    with pytest.raises(ConfigError, match=complaint) as caught:
        describe_fork(TrainArguments(branch="", **flags), run)
    assert "\n" not in str(caught.value)


def test_held_branches_are_trained_from_a_thread_too(tmp_path: Path) -> None:
    config = small_config("ppo", total_timesteps=192)
    run = create_run(config, tmp_path / "run", held_branch_length="end")

    def train() -> None:
        with HeldBranches(run, "end") as branches:
            train_run(run, QUIET, [branches])
            branches.finish()

    with ThreadPoolExecutor(1) as threads:
        threads.submit(train).result()

    assert final(run).final
    assert final(RunDirectory.open(run.path / "branches" / "held-1")).final


def test_a_boundary_before_the_first_update_is_no_place_to_fork(
    tmp_path: Path,
) -> None:
    warm_up = {"learning_starts": 200}
    config = small_config("sac", StaircaseSchedule(1e-3, 90, 0.5), hyperparameters=warm_up)
    run = create_run(config, tmp_path / "run")
    train_run(run, QUIET)
    for phase, reason in (
        (1, "no update meets phase 1: the first comes at step 201"),
        (2, "no update comes before phase 2"),
    ):
        with pytest.raises(ConfigError, match=f"--at-phase {phase}: .* at 3; {reason}"):
            describe_fork(TrainArguments(branch="", at_phase=phase, held=True), run)
        with pytest.raises(ConfigError, match=reason):
            create_branch(run, phase, ConstantSchedule(1e-3), "end", tmp_path / "branch")
    with HeldBranches(run, "phase") as branches:
        branches.finish()
    assert [path.name for path in (run.path / "branches").iterdir()] == ["held-3"]


def test_a_run_without_an_update_has_no_place_to_fork(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "sac", STAIRCASE, hyperparameters={"learning_starts": 900})
    with pytest.raises(ConfigError, match="at no phase; no update meets phase 1"):
        describe_fork(TrainArguments(branch="", at_phase=1, held=True), run)
    with HeldBranches(run, "phase") as branches:
        branches.finish()
    assert not (run.path / "branches").exists()


def test_a_damaged_boundary_costs_its_held_branch_and_no_other(
    trunk: RunDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(trunk.path, tmp_path / "trunk")
    run = RunDirectory.open(tmp_path / "trunk")
    boundaries = [s for s in snapshot_steps(run) if read_snapshot(run, s).phase_end is not None]
    (run.snapshots_path / str(boundaries[0]) / "manifest.json").write_text("{}")

    with HeldBranches(run, "phase") as branches:
        branches.finish()

    assert "no held branch is forked there" in caplog.text
    names = sorted(path.name for path in (run.path / "branches").iterdir())
    assert names == [f"held-{phase.index}" for phase in run.effective_phases[2:]]
    assert all(final(RunDirectory.open(run.path / "branches" / name)).final for name in names)


def test_a_run_can_only_be_forked_where_it_has_been(tmp_path: Path) -> None:
    run = create_run(small_config("sac"), tmp_path / "run")
    with pytest.raises(RunError, match="has not reached phase 1 yet"):
        create_branch(run, 1, ConstantSchedule(1e-3), "end", tmp_path / "branch")
    assert not (tmp_path / "branch").exists()
