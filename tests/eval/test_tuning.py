"""`python -m eval tune` prunes, trains nothing twice, and goes on after a kill as if none was."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shlex
import signal

import optuna
import pytest
from rich.console import Console

from agents import ConfigError, Observer, RunConfig, RunDirectory, RunError
from agents.cli.command_line import parse_arguments
from agents.cli.flags import TrainArguments
from agents.cli.resolve import resolve_config
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.training.interruption import TrainingInterrupted
from agents.training.loop import create_run, train_run
from eval.__main__ import main
from eval.tuning import PARTS, Search
from schedules import StaircaseSchedule
from tests.system.commands import config_file

pytestmark = pytest.mark.slow
QUIET = Console(quiet=True)
PART = 16
BASE = RunConfig(
    env="reach",
    algo="ppo",
    total_timesteps=PARTS * PART,
    schedule=StaircaseSchedule(1e-3, decay_steps=32, decay_rate=0.5),
    reward="dense",
    hyperparameters={
        "n_steps": PART,
        "batch_size": 8,
        "n_epochs": 2,
        "policy_kwargs": {"net_arch": [8]},
    },
)


def staircase(constant: int, every: int, rate: float = 1e-3, factor: float = 0.5):
    return StaircaseSchedule(
        rate, decay_steps=every * PART, decay_rate=factor, constant_steps=constant * PART + PART
    )


def final_state(run: RunDirectory) -> str:
    return read_snapshot(run, snapshot_steps(run)[-1]).state_sha256


class Interrupter(Observer):
    """Sends SIGINT to its process at an update, once, when a test has asked for it."""

    at: int | None = None

    def __init__(self, run):
        pass

    def on_update(self, update):
        if Interrupter.at is not None and update.step >= Interrupter.at:
            Interrupter.at = None
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A config whose training can be interrupted, and a search with it that never was."""
    config = dataclasses.replace(BASE, observers=["tests.eval.test_tuning:Interrupter"])
    search = Search(config, tmp_path_factory.mktemp("search") / "whole", 2)
    search.run(2, QUIET)
    return config, search


def test_a_search_that_was_stopped_goes_on_as_if_it_was_not(interrupted, tmp_path) -> None:
    config, whole = interrupted
    Interrupter.at = 3 * PART
    with pytest.raises(TrainingInterrupted):
        Search(config, tmp_path / "search", 2).run(2, QUIET)
    resumed = Search(config, tmp_path / "search", 2)
    resumed.run(1, QUIET)
    resumed.run(2, QUIET)
    first, second = whole.trials(), resumed.trials()
    assert [t.schedule for t in first] == [t.schedule for t in second]
    assert [t.mean_return for t in first] == [t.mean_return for t in second]
    assert [final_state(t.run) for t in first] == [final_state(t.run) for t in second]
    assert {t.state for t in first} == {"complete"}


def test_what_trials_share_is_trained_once_and_to_the_same_bits(tmp_path) -> None:
    search = Search(BASE, tmp_path / "search", 2)
    first = search._begin(staircase(4, 1))
    train_run(first, QUIET)
    # The same rate for a shorter time; and the same staircase but for a decay at the end.
    for schedule, shared in ((staircase(2, 2), 2 * PART), (staircase(4, 2), 5 * PART)):
        run = search._begin(schedule)
        assert run.parent is not None
        assert run.parent.step == shared
        train_run(run, QUIET)
        scratch = create_run(run.config, tmp_path / f"scratch-{shared}")
        train_run(scratch, QUIET)
        assert final_state(run) == final_state(scratch)
    assert search._begin(staircase(2, 1, rate=2e-3)).parent is None


def test_a_trial_below_the_median_is_pruned_at_the_end_of_a_phase(tmp_path) -> None:
    search = Search(BASE, tmp_path / "search", 2)
    for _ in range(5):
        search._study.add_trial(
            optuna.trial.create_trial(
                value=0.0,
                intermediate_values={part * PART: 0.0 for part in range(1, PARTS + 1)},
            )
        )
    run = search._begin(staircase(4, 1))
    trial = search._study.ask()
    assert search._judge(trial, run)  # its return is negative, as all are in this task
    assert snapshot_steps(run)[-1] == 4 * PART
    assert search._study.trials[-1].intermediate_values.keys() == {4 * PART}


def test_the_command_prints_the_best_and_how_to_train_it(interrupted, tmp_path, capsys) -> None:
    base, search = interrupted
    best, other = search.trials()
    assert best.mean_return >= other.mean_return
    file, folder = config_file(base, tmp_path / "config.yaml"), best.run.path.parent
    words = ["tune", "--config", file, "--trials", "2", "--episodes", "2", "--output", folder]
    main(list(map(str, words)))
    out = capsys.readouterr().out
    assert "The best of 2 trials: 2 complete" in out
    row = next(line.split() for line in out.splitlines() if f"{best.mean_return:.2f}" in line)
    assert row[:5] == [
        f"{best.schedule.initial_learning_rate:.3g}",
        f"{best.schedule.constant_steps}",
        f"{best.schedule.decay_rate:g}",
        f"{best.schedule.decay_steps}",
        f"{BASE.total_timesteps}",
    ]
    line = next(line for line in out.splitlines() if line.startswith("python train.py"))
    config = resolve_config(parse_arguments(TrainArguments, "train.py", shlex.split(line)[2:]))
    assert config == dataclasses.replace(best.run.config, seed=1)


def test_a_folder_is_for_one_search_and_one_process(tmp_path) -> None:
    search = Search(BASE, tmp_path / "search", 2)
    with pytest.raises(ConfigError, match="has a search for another config"):
        Search(dataclasses.replace(BASE, seed=3), tmp_path / "search", 2)
    with (tmp_path / "search" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process searches in"):
            search.run(1, QUIET)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").touch()
    with pytest.raises(RunError, match="is not empty, and has no search"):
        Search(BASE, tmp_path / "other", 2)


def test_a_damaged_storage_costs_one_line(tmp_path) -> None:
    (tmp_path / "trials.db").write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match=r"^\S*/trials\.db cannot be used: [^\n]+$"):
        Search(BASE, tmp_path, 2)
    assert (tmp_path / "trials.db").read_bytes() == b"no database" * 100


def test_what_is_too_short_to_search_in_is_refused(tmp_path) -> None:
    short = dataclasses.replace(BASE, total_timesteps=100)
    with pytest.raises(ConfigError, match="total_timesteps 100 are too few to search in"):
        Search(short, tmp_path / "search", 2)
    assert not (tmp_path / "search").exists()
