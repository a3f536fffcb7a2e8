"""What a training leaves in the run directory."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from stable_baselines3 import PPO, SAC
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import ALGORITHMS, RunDirectory, RunError
from agents.learners.environments import make_env
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import Snapshot, read_snapshot
from agents.runs.provenance import processor
from agents.training.loop import create_run, late_boundaries, train_run
from schedules import StaircaseSchedule
from tests.agents.small_runs import STAIRCASE, OnSnapshot, small_config

pytestmark = pytest.mark.slow


def trained(path: Path, algo: str, **changes: object) -> RunDirectory:
    run = create_run(small_config(algo, **changes), path)
    train_run(run, Console(quiet=True))
    return run


@pytest.fixture(scope="module")
def sac_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("sac") / "run", "sac")


@pytest.fixture(scope="module")
def ppo_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("ppo") / "run", "ppo")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_metrics_have_a_row_for_each_update_with_the_rate_it_used(sac_run: RunDirectory) -> None:
    metrics = rows(sac_run.metrics_path)
    assert [int(row["step"]) for row in metrics] == list(range(111, 301))
    for row in metrics:
        step = int(row["step"])
        assert float(row["learning_rate"]) == STAIRCASE(min(step, 299))
        assert int(row["phase"]) == (0 if step < 130 else 1 if step < 260 else 2)
        assert row["actor_loss"]
        assert row["critic_loss"]


def test_on_policy_metrics_tell_when_a_boundary_took_effect(ppo_run: RunDirectory) -> None:
    metrics = rows(ppo_run.metrics_path)
    assert [(int(row["step"]), int(row["phase"])) for row in metrics] == [
        (64, 0),
        (128, 0),
        (192, 1),
        (256, 1),
        (320, 2),
    ]
    assert [float(row["learning_rate"]) for row in metrics] == [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]
    assert late_boundaries(ppo_run) == (
        "ppo updates every 64 steps: phase 1 begins at 192 instead of 130, "
        "phase 2 begins at 320 instead of 260",
    )


def test_a_phase_that_no_update_meets_is_announced(tmp_path: Path) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps=20, decay_rate=0.5, constant_steps=130)
    run = create_run(small_config("ppo", schedule, total_timesteps=192), tmp_path / "run")
    lost, _late = late_boundaries(run)
    assert lost == "phases 1, 2, 3 will see no update: ppo updates every 64 steps"


def test_many_phases_without_an_update_are_one_line_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps=1, decay_rate=0.99)
    create_run(small_config("ppo", schedule), tmp_path / "run")
    early, between, late = caplog.messages
    assert early == "phases 0 to 63 will see no update: the first comes at step 64"
    assert between.startswith("phases 65 to 127, 129 to 191, ")
    assert late == "ppo updates every 64 steps: phase 299 begins at 320 instead of 299"


def test_a_constant_rate_phase_without_an_update_is_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps=64, decay_rate=0.5)
    run = create_run(small_config("ppo", schedule), tmp_path / "run")
    (line,) = late_boundaries(run)
    assert line == "phase 0 will see no update: the first comes at step 64"
    assert line in caplog.text


@pytest.mark.parametrize(
    ("decay_steps", "beginnings", "endings"),
    [
        (
            1,
            ["phases 0 to 110 will see no update", "phases 112, 113, 115"],
            ["step 111", "and 1586 more will see no update: sac updates every 3 steps"],
        ),
        (
            5,
            ["phases 0 to 21 will see no update", "sac updates every 3 steps: phase 22 begins"],
            ["step 111", "314 more begin late"],
        ),
    ],
)
def test_thousands_of_phases_are_announced_in_a_few_short_lines(
    decay_steps: int, beginnings: list[str], endings: list[str], tmp_path: Path
) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps, decay_rate=0.999)
    config = small_config("sac", schedule, her=None, total_timesteps=2_500, n_envs=3)
    lines = late_boundaries(create_run(config, tmp_path / "run"))
    for line, beginning, ending in zip(lines, beginnings, endings, strict=True):
        assert line.startswith(beginning)
        assert line.endswith(ending)
        assert len(line) < 300


@pytest.mark.parametrize(
    ("algo", "changes", "hyperparameters"),
    [
        ("sac", {}, {"learning_starts": 200}),
        ("sac", {"n_envs": 2}, {"learning_starts": 200, "train_freq": [4, "step"]}),
        ("td3", {}, {"learning_starts": 130, "gradient_steps": -1, "train_freq": [7, "step"]}),
        ("ddpg", {}, {"learning_starts": 299}),
        ("tqc", {}, {"learning_starts": 300}),
        ("crossq", {"n_envs": 3}, {"learning_starts": 300}),
        ("ppo", {}, {}),
        ("a2c", {"n_envs": 2}, {"n_steps": 77}),
    ],
    ids=str,
)
def test_the_effective_phases_are_those_that_the_updates_of_a_run_met(
    algo: str, changes: dict[str, int], hyperparameters: dict[str, object], tmp_path: Path
) -> None:
    config = small_config(algo, her=None, hyperparameters=hyperparameters, **changes)
    run = create_run(config, tmp_path / "run")
    train_run(run, Console(quiet=True))
    metrics = rows(run.metrics_path)
    met = {int(row["phase"]): float(row["learning_rate"]) for row in metrics}
    assert met == {phase.index: phase.learning_rate for phase in run.effective_phases}
    assert [int(row["step"]) for row in metrics[:1]] == [run.first_update] * bool(metrics)
    ends = {read_snapshot(run, s).phase_end: s for s in snapshot_steps(run)}
    ends.pop(None, None)
    assert ends == dict(run.phase_end_steps)
    assert read_snapshot(run, snapshot_steps(run)[-1]).final


def test_training_that_never_updates_is_announced_and_runs_to_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained(tmp_path / "run", "sac", hyperparameters={"learning_starts": 300})
    assert "nothing will be learned" in caplog.text
    assert "the first comes at step 301" in caplog.text
    assert run.effective_phases == ()
    assert not rows(run.metrics_path)
    assert {row["phase"] for row in rows(run.episodes_path)} == {"0", "1", "2"}
    assert RunDirectory.open(run.path) == run


def test_a_delayed_loss_is_left_out_where_no_update_computed_it(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "td3", total_timesteps=130)
    metrics = rows(run.metrics_path)
    assert [bool(row["actor_loss"]) for row in metrics[:6]] == [False, True] * 3


def test_episodes_have_a_row_each(sac_run: RunDirectory) -> None:
    episodes = rows(sac_run.episodes_path)
    assert sum(int(row["length"]) for row in episodes) <= 300
    assert [int(row["step"]) for row in episodes] == [
        sum(int(row["length"]) for row in episodes[: i + 1]) for i in range(len(episodes))
    ]
    for row in episodes:
        reached = row["success"] == "1"
        assert float(row["return"]) == -(int(row["length"]) - reached)
        assert int(row["phase"]) == min(int(row["step"]) - 1, 299) // 130


@pytest.mark.parametrize(
    ("name", "ends"), [("sac_run", (129, 259, 300)), ("ppo_run", (128, 256, 320))]
)
def test_each_phase_ends_in_a_snapshot(
    name: str, ends: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    run: RunDirectory = request.getfixturevalue(name)
    snapshots = [read_snapshot(run, step) for step in snapshot_steps(run)]
    assert [(s.step, s.phase_end) for s in snapshots if s.phase_end is not None] == [
        (step, phase) for phase, step in enumerate(ends)
    ]
    assert [s.final for s in snapshots].count(True) == 1
    assert snapshots[-1].final


def test_only_the_newest_periodic_snapshots_are_kept(sac_run: RunDirectory) -> None:
    periodic = [
        step for step in snapshot_steps(sac_run) if read_snapshot(sac_run, step).phase_end is None
    ]
    assert periodic == [240, 280]


@pytest.mark.parametrize(
    ("algo", "changes"),
    [
        ("a2c", {"hyperparameters": {"n_steps": 1}, "normalize": {}, "total_timesteps": 120}),
        (
            "sac",
            {
                "her": None,
                "total_timesteps": 360,
                "hyperparameters": {
                    "train_freq": 3,
                    "buffer_size": 60,
                    "learning_starts": 12,
                },
            },
        ),
    ],
)
def test_a_run_of_many_phases_is_announced_and_no_snapshot_costs_more_for_it(
    algo: str, changes: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps=1, decay_rate=0.99)
    run = create_run(small_config(algo, schedule, **changes), tmp_path / "run")
    caplog.clear()
    opened: list[Path] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(run.snapshots_path)):
            opened.append(Path(str(arguments[0])))

    sys.addaudithook(watch)
    train_run(run, Console(quiet=True))

    kept = snapshot_steps(run)
    periodic = [step for step in kept if read_snapshot(run, step).phase_end is None]
    assert len(kept) - len(periodic) == len(run.effective_phases) >= 110
    # Each was read when it was taken, and not again for those after it.
    manifests = Counter(path.parent.name for path in opened if path.name == "manifest.json")
    assert len(manifests) >= len(kept)
    assert max(manifests.values()) <= 2
    said = re.search(r"(\d+) are to come, about ([\d,.]+) MB", caplog.text)
    assert said is not None
    assert int(said[1]) == len(run.effective_phases)
    files = [*run.snapshots_path.rglob("*"), *run.replay_path.rglob("*")]
    size = sum(file.stat().st_size for file in files if file.is_file())
    assert float(said[2].replace(",", "")) * 1e6 == pytest.approx(size, rel=0.2)


@pytest.mark.parametrize(("name", "algorithm"), [("sac_run", SAC), ("ppo_run", PPO)])
def test_an_agent_loads_in_plain_sb3(
    name: str, algorithm: type[SAC | PPO], request: pytest.FixtureRequest
) -> None:
    run: RunDirectory = request.getfixturevalue(name)
    final = run.snapshots_path / str(snapshot_steps(run)[-1])

    model = algorithm.load(final / "agent.zip", env=make_env(run.config))

    assert model.num_timesteps == int(final.name)
    rates = (
        {g["lr"] for g in model.policy.optimizer.param_groups}
        if name == "ppo_run"
        else {g["lr"] for g in model.actor.optimizer.param_groups}
    )
    assert rates == {2.5e-4}


def test_run_json_tells_what_was_trained(sac_run: RunDirectory) -> None:
    data = json.loads((sac_run.path / "run.json").read_text())
    assert data["config"]["seed"] == 0
    assert data["config"]["schedule"] == STAIRCASE.to_dict()
    assert [phase["start"] for phase in data["phases"]] == [0, 130, 260]
    assert data["versions"]["torch"] == version("torch")
    assert data["processor"] == processor()
    assert data["processor"]["model"]
    assert data["processor"]["instruction_set"]
    assert data["parent"] is None
    assert RunDirectory.open(sac_run.path) == sac_run


def test_tensorboard_shows_rate_and_phase(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "ppo", reward="dense", total_timesteps=320)
    events = EventAccumulator(str(run.tensorboard_path))
    events.Reload()
    assert {"train/learning_rate", "train/phase", "rollout/ep_rew_mean"} <= set(
        events.Tags()["scalars"]
    )
    phases = [(event.step, event.value) for event in events.Scalars("train/phase")]
    assert phases == [(64, 0.0), (128, 0.0), (192, 1.0), (256, 1.0), (320, 2.0)]


@pytest.mark.parametrize(
    ("algo", "changes"),
    [
        ("sac", {"total_timesteps": 900, "schedule": StaircaseSchedule(1e-3, 300, 0.5)}),
        ("td3", {"hyperparameters": {"train_freq": 4}}),
        ("ppo", {"n_envs": 2}),
    ],
)
def test_tensorboard_and_metrics_agree_at_every_step_also_after_a_resume(
    algo: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", algo, reward="dense", **changes)
    shutil.rmtree(run.snapshots_path / str(snapshot_steps(run)[-1]))
    train_run(run, Console(quiet=True))
    events = EventAccumulator(str(run.tensorboard_path), size_guidance={"scalars": 0})
    events.Reload()
    metrics = {int(row["step"]): row for row in rows(run.metrics_path)}

    steps = {event.step for event in events.Scalars("train/learning_rate")}
    phases = run.effective_phases
    assert {phase.start for phase in phases[1:]} <= steps
    assert {phase.start - run.steps_per_update for phase in phases[1:]} <= steps
    assert max(metrics) in steps
    assert ALGORITHMS[algo].off_policy == (len(steps) < len(metrics) / 4)
    for name in ("learning_rate", "phase", *ALGORITHMS[algo].losses):
        logged = {(e.step, e.value) for e in events.Scalars(f"train/{name}")}
        expected = {step: float(metrics[step][name]) for step in steps if metrics[step][name]}
        assert len(logged) == len(expected)
        assert dict(logged) == pytest.approx(expected, rel=1e-6)


def test_training_uses_one_torch_thread(sac_run: RunDirectory) -> None:
    assert torch.get_num_threads() == 1


def test_a_thread_trains_the_same_run_and_takes_no_signal(
    ppo_run: RunDirectory, tmp_path: Path
) -> None:
    run = create_run(ppo_run.config, tmp_path / "run")
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    with ThreadPoolExecutor(1) as threads:
        threads.submit(
            train_run,
            run,
            Console(quiet=True),
            [OnSnapshot(lambda _: seen.append(signal.getsignal(signal.SIGINT)))],
        ).result()

    assert set(seen) == {handler}
    states = [read_snapshot(each, snapshot_steps(each)[-1]).state_sha256 for each in (run, ppo_run)]
    assert states[0] == states[1]


def test_a_process_trains_one_run_at_a_time(tmp_path: Path) -> None:
    first, second = (create_run(small_config("ppo"), tmp_path / name) for name in ("a", "b"))

    def train_another(snapshot: Snapshot) -> None:
        train_run(second, Console(quiet=True))

    with pytest.raises(RunError, match=r"already trains a run: train .*b in one of its own"):
        train_run(first, Console(quiet=True), [OnSnapshot(train_another)])
    assert not snapshot_steps(second)
    train_run(second, Console(quiet=True))


def _times(folder: Path) -> dict[Path, int]:
    """When each file was written, but for the lock, which says who looked last."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def test_a_finished_run_is_left_as_it_is(ppo_run: RunDirectory) -> None:
    before = _times(ppo_run.path)
    train_run(ppo_run, Console(quiet=True))
    after = _times(ppo_run.path)
    assert after == before
