"""Several runs trained at once, each in a process of its own."""

from __future__ import annotations

from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from rich.console import Console

from agents import RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import newest_good_snapshot
from agents.training.loop import create_run, train_run
from agents.training.workers import RunPool
from schedules import ConstantSchedule
from tests.agents.small_runs import small_config
from tests.agents.test_branches import final

pytestmark = pytest.mark.slow


def runs(folder: Path, count: int, **changes: object) -> list[RunDirectory]:
    return [
        create_run(small_config("ppo", seed=seed, **changes), folder / f"seed-{seed}")
        for seed in range(count)
    ]


def test_runs_of_a_pool_end_as_they_do_alone(tmp_path: Path) -> None:
    pooled, alone = runs(tmp_path / "pooled", 3), runs(tmp_path / "alone", 3)
    with RunPool(processes=2) as pool:
        for run in pooled:
            pool.submit(run)
        pool.finish()
    for run in alone:
        train_run(run, Console(quiet=True))
    assert [final(run).state_sha256 for run in pooled] == [final(run).state_sha256 for run in alone]


def test_no_more_run_at_once_than_asked(tmp_path: Path) -> None:
    with RunPool(processes=1) as pool:
        for run in runs(tmp_path, 2):
            pool.submit(run)
        assert len(active_children()) == 1
        pool.finish()


def test_a_failure_is_named_with_its_reason_and_the_others_are_complete(tmp_path: Path) -> None:
    good, bad = runs(tmp_path, 2)
    (bad.path / "lock").mkdir()
    with RunPool(processes=2) as pool:
        pool.submit(bad)
        pool.submit(good)
        with pytest.raises(RunError) as caught:
            pool.finish()
    assert str(caught.value).startswith(f"could not train {bad.path}: cannot write in")
    assert "\n" not in str(caught.value)
    assert final(good).final


def in_training(run: RunDirectory) -> BaseProcess:
    """The process that trains a run, once it has taken a snapshot."""
    (process,) = active_children()
    while not snapshot_steps(run):
        process.join(timeout=0.02)
    return process


def test_a_killed_process_is_named_and_its_run_can_go_on(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, 1, total_timesteps=20_000, snapshot_every=64)
    with RunPool(processes=1) as pool:
        pool.submit(run)
        in_training(run).kill()
        with pytest.raises(RunError, match=r"ended without a word \(SIGKILL\)"):
            pool.finish()
    assert newest_good_snapshot(run)[0] is not None


def test_a_diverged_run_is_an_outcome(tmp_path: Path) -> None:
    config = small_config("sac", ConstantSchedule(1e3))
    run = create_run(config, tmp_path / "run")
    with RunPool() as pool:
        pool.submit(run)
        pool.finish()
    assert pool.diverged[run.path].startswith("diverged at step ")


def test_leaving_the_block_stops_what_is_in_training_and_it_goes_on_later(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, 1, total_timesteps=20_000, snapshot_every=64)
    with RunPool(processes=1) as pool:
        pool.submit(run)
        in_training(run)
    assert not active_children()
    assert not final(run).final
    assert newest_good_snapshot(run)[1] == ()
