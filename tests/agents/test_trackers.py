"""Trackers show a whole training once, go on after a resume, and never matter to the training."""

from __future__ import annotations

import json
import logging
import os
import struct
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agents import ConfigError, RunDirectory
from agents.runs.directory import snapshot_steps
from agents.training.loop import create_run, train_run
from agents.training.observers import Observer
from agents.training.trackers import tracker
from agents.training.trackers.follower import POINTS, GrowingTable, Thinning, TrackedRun, follow
from agents.training.trackers.tracker import Tracker
from tests.agents.small_runs import small_config
from tests.agents.test_branches import final
from tests.agents.test_observers import read_without_times

QUIET = Console(quiet=True)
pytestmark = pytest.mark.slow


class Stop(Exception):
    """Ends a training like a kill does: without a word to the tracker."""


class Stopper(Observer):
    def on_snapshot(self, snapshot):
        if snapshot.step >= 200:
            raise Stop


def wait_for_trackers(patch: pytest.MonkeyPatch) -> None:
    """Lets trainings wait until the processes of their trackers have ended."""
    for name in ("PATIENCE", "MOST_PATIENCE_S"):
        patch.setattr(tracker, name, 10_000.0)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The run that no tracker watches."""
    run = create_run(small_config("sac"), tmp_path_factory.mktemp("runs") / "alone")
    train_run(run, QUIET)
    return run


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run that both trackers watch, stopped halfway and resumed."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        wait_for_trackers(patch)
        run = create_run(small_config("sac", observers=["wandb", "mlflow"]), folder / "run")
        with pytest.raises(Stop):
            train_run(run, QUIET, [Stopper()])
        train_run(RunDirectory.open(run.path), QUIET)
    return run


def test_trackers_change_nothing_of_what_is_learned(alone, tracked) -> None:
    assert final(tracked).state_sha256 == final(alone).state_sha256
    for name in ("metrics.csv", "episodes.csv"):
        tables = [read_without_times(run.path / name) for run in (alone, tracked)]
        assert tables[0] == tables[1]


def test_mlflow_has_one_run_with_every_update_once(tracked, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient((tracked.path.parent / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("staircase-lab")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "reach/run")
    assert run.data.params["schedule.initial_learning_rate"] == "0.001"
    rows = read_without_times(tracked.metrics_path)
    for name in ("learning_rate", "critic_loss"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == [
            (int(row["step"]), float(row[name])) for row in rows
        ]


def test_weights_and_biases_has_one_run_with_every_update_once(tracked) -> None:
    logs = sorted((tracked.path / "trackers" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(logs) == 2  # a process each, which `wandb sync` puts into the same run
    (identity,) = {log.stem for log in logs}
    assert (
        identity == f"run-{json.loads((tracked.path / 'trackers/wandb.json').read_bytes())['id']}"
    )
    assert [(row["step"], row["critic_loss"]) for log in logs for row in wandb_rows(log)] == [
        (float(row["step"]), float(row["critic_loss"]))
        for row in read_without_times(tracked.metrics_path)
    ]


def wandb_rows(log: Path) -> list[dict[str, float]]:
    """The rows in a file of W&B's own format: protobuf records in a log as LevelDB's."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole, rows = log.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if (left := 2**15 - at % 2**15) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a record, or the last part of one
            record = Record.FromString(whole)
            whole = b""
            if items := record.history.item:
                named = {item.key or ".".join(item.nested_key): item for item in items}
                rows.append({name: json.loads(item.value_json) for name, item in named.items()})
    return rows


def test_one_that_fails_costs_a_line(alone, tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    wait_for_trackers(monkeypatch)
    run = create_run(small_config("sac", observers=["wandb"]), tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        train_run(run, QUIET)
    assert final(run).state_sha256 == final(alone).state_sha256
    (line,) = (r.getMessage() for r in caplog.records if "observer" in r.getMessage())
    assert line.startswith("observer wandb is left out from here on: TrackerFailed: wandb.errors.")
    assert line.endswith(f"({run.path / 'trackers' / 'wandb.log'})")
    assert "\n" not in line


class Hanging(Tracker):
    """A tracker whose server never answers."""

    name = "hanging"
    sink = f"{__name__}:HangingSink"


class HangingSink:
    def open(self, run, known):
        os.read(os.pipe()[0], 1)


def test_a_training_does_not_wait_for_one_that_hangs(tmp_path) -> None:
    run = create_run(small_config("ppo", total_timesteps=128), tmp_path / "run")
    hanging = Hanging(run)
    try:
        train_run(run, QUIET, [hanging])
        assert hanging._follower.poll() is None
    finally:
        hanging._follower.kill()
        hanging._follower.wait()
    assert final(run).final


def test_what_is_not_installed_is_named_before_there_is_a_run(tmp_path, monkeypatch) -> None:
    for name, module in (("wandb", "weights_and_biases"), ("mlflow", "mlflow_tracking")):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"agents.training.trackers.{module}", raising=False)
        message = rf"^observer {name} needs {name}: pip install 'staircase-lab\[{name}\]'$"
        with pytest.raises(ConfigError, match=message):
            create_run(small_config("ppo", observers=[name]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Listed:
    """Keeps what it is sent."""

    def __init__(self):
        self.known, self.steps, self.outcome = [], [], None

    def open(self, run, known):
        self.known.append(known)
        return known or "an identity"

    def send(self, rows):
        self.steps += [int(row["step"]) for row in rows]

    def close(self, outcome):
        self.outcome = outcome


def followed(path: Path, note: Path, sink: Listed) -> Listed:
    """Follows a training that has ended."""
    reading, writing = os.pipe()
    os.close(writing)
    follow(TrackedRun.read(path), sink, note, reading)
    os.close(reading)
    return sink


def test_one_that_failed_gets_what_it_missed_and_nothing_twice(alone, tmp_path) -> None:
    class Failing(Listed):
        def send(self, rows):
            raise ConnectionError

    steps = [int(row["step"]) for row in read_without_times(alone.metrics_path)]
    note = tmp_path / "note.json"
    with pytest.raises(ConnectionError):
        followed(alone.path, note, Failing())
    first = followed(alone.path, note, Listed())
    assert (first.steps, first.outcome) == (steps, "complete")
    second = followed(alone.path, note, Listed())
    assert (second.known, second.steps) == (["an identity"], [])


def test_a_tracker_is_told_how_a_training_ended(alone, tmp_path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "run.json").write_bytes((alone.path / "run.json").read_bytes())
    assert followed(path, tmp_path / "note.json", Listed()).outcome == "interrupted"
    (path / "diverged.json").write_text("{}")
    assert followed(path, tmp_path / "note.json", Listed()).outcome == "diverged"
    assert TrackedRun.read(alone.path).outcome() == "complete"
    assert max(snapshot_steps(alone)) == 300


@given(
    gaps=st.lists(st.integers(1, 400), max_size=60),
    phases=st.lists(st.integers(0, 1), min_size=60, max_size=60),
    cuts=st.sets(st.integers(0, 60), max_size=5),
    window=st.integers(1, 500),
    after=st.integers(-1, 5000),
)
def test_thinning_keeps_window_ends_and_phase_ends_whatever_comes_at_once(
    gaps, phases, cuts, window, after
) -> None:
    steps = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    ids = [sum(phases[: i + 1]) for i in range(len(gaps))]
    rows = [{"step": float(s), "phase": float(p)} for s, p in zip(steps, ids, strict=True)]
    thinning, kept, ends = Thinning(window, after), [], [0, *sorted(cuts), len(rows)]
    for start, stop in pairwise(ends):
        kept += thinning.keep(iter(rows[start:stop]))
    kept += thinning.rest()
    expected = [
        row
        for i, row in enumerate(rows)
        if row["step"] > after
        and (
            i in (0, len(rows) - 1)
            or ids[i - 1] != ids[i]
            or ids[i + 1] != ids[i]
            or steps[i + 1] // window != steps[i] // window
        )
    ]
    assert kept == expected


def test_long_runs_are_thinned_to_a_thousand_points() -> None:
    rows = ({"step": float(step), "phase": 0.0} for step in range(1, 50_001))
    thinning = Thinning(50_000 // POINTS, -1)
    kept = [*thinning.keep(rows), *thinning.rest()]
    assert POINTS <= len(kept) <= POINTS + 2


@given(cuts=st.sets(st.integers(0, 60)))
def test_a_table_is_read_as_it_grows(cuts, tmp_path_factory) -> None:
    content = b"step,phase,loss\n1,0,\n22,0,0.5\n333,1,nan\n4444,1,-2e-3\n"
    path, rows, done = tmp_path_factory.mktemp("table") / "metrics.csv", [], 0
    table = GrowingTable(path)
    for cut in [*sorted(cuts), len(content)]:
        rows += table.new_rows()
        with path.open("ab") as file:
            file.write(content[done : max(done, min(cut, len(content)))])
        done = max(done, min(cut, len(content)))
    rows += table.new_rows()
    assert rows == [
        {"step": 1, "phase": 0},
        {"step": 22, "phase": 0, "loss": 0.5},
        {"step": 333, "phase": 1},
        {"step": 4444, "phase": 1, "loss": -2e-3},
    ]
