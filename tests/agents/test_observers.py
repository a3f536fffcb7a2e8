"""Observers are told what happens in a training, and change nothing of what is learned."""

from __future__ import annotations

import csv
import json
import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from agents import ConfigError, RunDirectory
from agents.training.loop import create_run, train_run
from agents.training.observers import Observer
from tests.agents.small_runs import small_config
from tests.agents.test_branches import final

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
HERE = "tests.agents.test_observers"


class Meddler(Observer):
    """Draws from every generator of the process whenever it is told anything."""

    def __init__(self, run: RunDirectory | None = None) -> None:
        self.seen: list[object] = []
        self._meddle("start")

    def _meddle(self, what: object) -> None:
        self.seen.append(what)
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    def on_update(self, update):
        self._meddle(update)

    def on_episode(self, episode):
        self._meddle(episode)

    def on_snapshot(self, snapshot):
        self._meddle(snapshot)

    def on_end(self):
        self._meddle("end")


class Writer(Observer):
    """Keeps the steps of the updates in a file of the run."""

    def __init__(self, run: RunDirectory) -> None:
        self._path = run.path / "seen.txt"

    def on_update(self, update):
        with self._path.open("a") as file:
            file.write(f"{update.step}\n")


class Broken(Observer):
    """Raises at the third update."""

    def __init__(self, run: RunDirectory) -> None:
        self._updates = 0

    def on_update(self, update):
        self._updates += 1
        if self._updates == 3:
            raise OSError("the tracker is offline")


class Unmakable(Observer):
    """Cannot be made where there is no server."""

    def __init__(self, run: RunDirectory) -> None:
        raise ConnectionError("no server")


NO_OBSERVER = "not a class"


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_what_observers_do_changes_nothing_of_what_is_learned(algo: str, tmp_path: Path) -> None:
    alone = create_run(small_config(algo), tmp_path / "alone")
    train_run(alone, QUIET)
    names = [f"{HERE}:{name}" for name in ("Meddler", "Writer", "Broken")]
    watched = create_run(small_config(algo, observers=names), tmp_path / "watched")
    train_run(watched, QUIET, [Meddler()])
    assert final(watched).state_sha256 == final(alone).state_sha256
    for name in ("metrics.csv", "episodes.csv"):
        tables = [read_without_times(run.path / name) for run in (alone, watched)]
        assert tables[0] == tables[1]


def read_without_times(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [
            {k: v for k, v in row.items() if k != "wall_time_s"} for row in csv.DictReader(file)
        ]


def test_an_observer_is_told_of_every_update_episode_and_snapshot(tmp_path: Path) -> None:
    run = create_run(small_config("sac"), tmp_path / "run")
    observer = Meddler()
    train_run(run, QUIET, [observer])
    told = {
        kind: [w for w in observer.seen if type(w).__name__ == kind]
        for kind in ("Update", "Episode", "Snapshot")
    }
    updates, episodes = (read_without_times(run.path / f"{n}.csv") for n in ("metrics", "episodes"))
    assert [str(update.step) for update in told["Update"]] == [row["step"] for row in updates]
    assert [f"{u.losses['critic_loss']}" for u in told["Update"]] == [
        row["critic_loss"] for row in updates
    ]
    assert [str(episode.step) for episode in told["Episode"]] == [row["step"] for row in episodes]
    assert told["Snapshot"][-1] == final(run)
    assert (observer.seen[0], observer.seen[-1]) == ("start", "end")


def test_an_observer_of_a_config_is_listed_in_run_json_and_told_after_a_resume(
    tmp_path: Path,
) -> None:
    class Stop(Exception):
        pass

    class Stopper(Observer):
        def on_snapshot(self, snapshot):
            if not snapshot.final:
                raise Stop

    run = create_run(small_config("ppo", observers=[f"{HERE}:Writer"]), tmp_path / "run")
    stored = json.loads((run.path / "run.json").read_text())
    assert stored["config"]["observers"] == [f"{HERE}:Writer"]
    with pytest.raises(Stop):
        train_run(run, QUIET, [Stopper()])
    train_run(RunDirectory.open(run.path), QUIET)
    seen = (run.path / "seen.txt").read_text().split()
    assert set(seen) == {row["step"] for row in read_without_times(run.metrics_path)}


def test_one_that_fails_is_left_out_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{HERE}:Broken", f"{HERE}:Unmakable"]
    run = create_run(small_config("sac", observers=names), tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        train_run(run, QUIET)
    assert final(run).final
    assert [r.message for r in caplog.records if "observer" in r.message] == [
        f"observer {HERE}:Unmakable is left out: no server",
        f"observer {HERE}:Broken is left out from here on: OSError: the tracker is offline",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Observer", "observer no_such_module:Observer: ModuleNotFoundError"),
        (f"{HERE}:Absent", "has no attribute 'Absent'"),
        (f"{HERE}:NO_OBSERVER", "must be a class of"),
        ("os:system", "must be a class of"),
    ],
)
def test_what_is_no_observer_is_refused_before_there_is_a_run(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        create_run(small_config("ppo", observers=[name]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("module:Class", "observers must be a list of names, got"),
        ([1], "observers must be a list of names, got"),
        ({"a": 1}, "observers must be a list of names, got"),
        (3, "observers must be a list of names, got"),
        (["Class"], "unknown observer 'Class': .*valid: mlflow, module:Class, wandb"),
        (["a:b:c"], "unknown observer 'a:b:c'"),
        (["wandbb"], "did you mean 'wandb'"),
    ],
)
def test_observers_are_a_list_of_names(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_config("ppo", observers=given)
