"""The command line of `train.py`: what it does, and how it answers mistakes."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from agents import RunDirectory
from agents.runs.directory import snapshot_steps
from agents.runs.lock import locked
from agents.runs.manifest import Snapshot, read_snapshot
from agents.training.interruption import TrainingInterrupted
from agents.training.loop import create_run, train_run
from tests.agents.small_runs import OnSnapshot, small_config
from tests.agents.test_branches import final
from tests.system.commands import config_file, run_command
from train import main

pytestmark = pytest.mark.slow

QUICKLY = ("--no-video", "--episodes", "2", "--quiet")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_file(small_config("ppo"), tmp_path / "config.yaml")


def test_a_run_ends_with_table_plot_and_video(config: Path, tmp_path: Path) -> None:
    done = run_command("--config", config, "--output", "out", "--episodes", "3", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stderr.startswith("train.py: warning: ppo updates every 64 steps: phase 1 begins")
    assert done.stderr.count("\n") == 1
    out = tmp_path / "out"
    for name in ("out/evaluation/learning-curve.png", "out/videos/phase-2.mp4"):
        assert name in done.stdout
        assert (tmp_path / name).stat().st_size > 1000
    with (out / "evaluation" / "episodes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3 * 3


def test_the_same_flags_give_the_same_run_and_another_seed_another(
    config: Path, tmp_path: Path
) -> None:
    for name, seed in (("one", 4), ("two", 4), ("three", 5)):
        words = ["--config", str(config), "--seed", str(seed), "--output", str(tmp_path / name)]
        assert main([*words, *QUICKLY]) == 0
    one, two, three = (
        final(RunDirectory.open(tmp_path / name)) for name in ("one", "two", "three")
    )
    assert one.state_sha256 == two.state_sha256 != three.state_sha256


def test_a_runs_own_config_repeats_it(config: Path, tmp_path: Path) -> None:
    rate = ["--initial-learning-rate", "1e-5"]
    assert main(["--config", str(config), *rate, "--output", str(tmp_path / "one"), *QUICKLY]) == 0
    words = ["--config", str(tmp_path / "one" / "run.json"), "--output", str(tmp_path / "two")]
    assert main([*words, *QUICKLY]) == 0

    one, two = (RunDirectory.open(tmp_path / name) for name in ("one", "two"))
    assert one.config == two.config
    assert final(one).state_sha256 == final(two).state_sha256


def test_runs_get_names_of_their_own_below_runs(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["--config", str(config), *QUICKLY]) == 0
    assert len(list(Path("runs/reach").glob("ppo-seed0-*/run.json"))) == 2
    assert main(["--resume", "latest", *QUICKLY]) == 0


def test_held_branches_are_trained_beside_the_run(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_command(
        "--config", config, "--output", out, "--held-branches", "--no-video", "--episodes", "3",
        cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "decay effect" in done.stdout
    trunk = RunDirectory.open(out)
    ends = {read_snapshot(trunk, s).phase_end: s for s in snapshot_steps(trunk)}
    for phase in (1, 2):
        branch = RunDirectory.open(out / "branches" / f"held-{phase}")
        assert final(branch).final
        assert final(branch).step == ends[phase]
        scratch = create_run(branch.config, tmp_path / f"scratch-{phase}")
        train_run(scratch, Console(quiet=True))
        assert final(scratch).state_sha256 == final(branch).state_sha256


def test_a_killed_run_with_held_branches_resumes_with_them(config: Path, tmp_path: Path) -> None:
    words = ["--config", str(config), "--held-branches", "--branch-length", "end"]
    assert main([*words, "--output", str(tmp_path / "whole"), *QUICKLY]) == 0
    run = create_run(small_config("ppo"), tmp_path / "killed", held_branch_length="end")

    assert main(["--resume", str(run.path), *QUICKLY]) == 0

    for name in (".", "branches/held-1", "branches/held-2"):
        got, expected = (
            RunDirectory.open(tmp_path / folder / name) for folder in ("killed", "whole")
        )
        assert final(got).state_sha256 == final(expected).state_sha256


def test_a_branch_from_the_command_line(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["--config", str(config), "--output", str(out), *QUICKLY]) == 0
    fork = ["--branch", str(out), "--at-phase", "1"]
    assert main([*fork, "--held", *QUICKLY]) == 0
    assert main([*fork, "--decay-rate", "0.1", *QUICKLY]) == 0
    assert main([*fork, "--output", str(tmp_path / "control"), *QUICKLY]) == 0

    assert (out / "branches" / "held-1" / "run.json").exists()
    assert (out / "branches" / "decay-rate-0.1-1" / "run.json").exists()
    control = RunDirectory.open(tmp_path / "control")
    assert final(control).state_sha256 == final(RunDirectory.open(out)).state_sha256


MISTAKES = [
    (["--env", "raech"], "unknown --env 'raech': did you mean 'reach'?"),
    ([], "--env is missing; valid: flip, pick_and_place, push, reach, slide, stack"),
    (["--env", "reach", "--algo", "PPO"], "did you mean 'ppo'?"),
    (["--env", "reach", "--algo", "sca"], "unknown --algo 'sca': did you mean 'sac'?"),
    (["--env", "reach", "--reward", "sparce"], "unknown --reward 'sparce': did you mean 'sparse'?"),
    (["--env", "reach", "--control", "joint"], "did you mean 'joints'?"),
    (["--env", "reach", "--robot", "pandas"], "unknown --robot 'pandas': did you mean 'panda'?"),
    (["--env", "reach", "--device", "gpu"], "unknown --device 'gpu'"),
    (["--env", "reach", "--decay-rate", "1.5"], "--decay-rate must be"),
    (["--env", "reach", "--decay-rate", "nan"], "--decay-rate must be"),
    (["--env", "reach", "--decay-steps", "0"], "--decay-steps must be"),
    (["--env", "reach", "--constant-steps", "-5"], "--constant-steps must be"),
    (["--env", "reach", "--initial-learning-rate", "-1"], "--initial-learning-rate must be"),
    (["--env", "reach", "--minimum-learning-rate", "9"], "--minimum-learning-rate must be"),
    (["--env", "reach", "--total-timesteps", "0"], "--total-timesteps must be from 1"),
    (["--env", "reach", "--total-timesteps", "many"], "--total-timesteps"),
    (["--env", "reach", "--n-envs", "0"], "--n-envs must be from 1"),
    (["--env", "reach", "--seed", "-1"], "--seed must be from 0"),
    (
        ["--env", "reach", "--seed", "2147483647", "--n-envs", "2"],
        "--seed must be from 0 to 2147483646, got 2147483647",
    ),
    (["--env", "reach", "--snapshot-every", "0"], "--snapshot-every must be from 1"),
    (["--env", "reach", "--episodes", "1"], "--episodes must be from 2"),
    (["--env", "reach", "--totl-timesteps", "5"], "did you mean --total-timesteps?"),
    (["--config", "nowhere.yaml"], "--config nowhere.yaml: No such file"),
    (["--env", "reach", "--held"], "--held needs --branch RUN"),
    (["--env", "reach", "--at-phase", "1"], "--at-phase needs --branch RUN"),
    (
        ["--env", "reach", "--env-kwargs", "object_mass=1"],
        "--env-kwargs: Reach takes goal_x, goal_y",
    ),
    (["--env", "reach", "--branch-length", "end"], "--branch-length needs"),
    (["--env", "reach", "--held-branches", "--branch-length", "long"], "valid: end, phase"),
    (["--branch", "latest"], "--branch needs either --at-phase K"),
    (["--branch", "latest", "--resume", "latest"], "--resume and --branch do not go together"),
    (["--resume", "latest", "--output", "x"], "--output and --resume do not go together"),
]


@pytest.mark.parametrize(("words", "complaint"), MISTAKES, ids=[" ".join(w) for w, _ in MISTAKES])
def test_a_mistake_is_answered_in_one_line_and_nothing_is_written(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(words)
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert complaint in err
    assert err.startswith("train.py: ")
    assert (out, err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--seed", "3"], "--seed 3 contradicts"),
        (["--decay-rate", "0.9"], "--decay-rate 0.9 contradicts"),
        (["--total-timesteps", "400"], "--total-timesteps 400 contradicts"),
        (["--env-kwargs", "goal_x=0.1"], "--env-kwargs {'goal_x': 0.1} contradicts"),
    ],
)
def test_resuming_with_other_flags_is_refused(
    flags: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(small_config("ppo"), tmp_path / "run")
    with pytest.raises(SystemExit) as caught:
        main(["--resume", str(run.path), *flags])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not snapshot_steps(run)


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda path: None, "there is no run at"),
        (lambda path: path.mkdir(), "is not a run: it has no run.json"),
        (lambda path: path.write_text("x"), "there is no run at"),
    ],
    ids=["missing", "foreign", "a file"],
)
def test_resuming_what_is_no_run_is_one_line(
    prepare, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path / "run")
    with pytest.raises(SystemExit) as caught:
        main(["--resume", str(tmp_path / "run")])
    assert caught.value.code == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "another"}, "was not written by this project"),
        ({"format_version": 7}, "has format version 7; this code reads version 1"),
        ({"config": {}}, "is broken: config key 'env' is missing"),
        ({"phases": [{}]}, "is broken"),
    ],
    ids=str,
)
def test_a_broken_run_json_is_one_line(
    change: dict[str, object], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(small_config("ppo"), tmp_path / "run")
    file = run.path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SystemExit) as caught:
        main(["--resume", str(run.path)])
    err = capsys.readouterr().err
    assert caught.value.code == 1
    assert complaint in err
    assert err.count("\n") == 1


def test_an_existing_run_is_never_overwritten(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(small_config("a2c"), tmp_path / "run")
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(config), "--output", str(run.path)])
    assert caught.value.code == 1
    assert "is not empty, and an existing run is never overwritten" in capsys.readouterr().err
    assert (run.path / "run.json").read_bytes() == before


@pytest.mark.parametrize("output", ["/proc/runs", "config.yaml/run"])
def test_an_output_that_cannot_be_written_is_one_line(
    output: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.parent)
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(config), "--output", output])
    err = capsys.readouterr().err
    assert caught.value.code == 1
    assert f"cannot create the run in {output}" in err
    assert err.count("\n") == 1


def test_a_second_process_on_the_same_run_is_refused(tmp_path: Path) -> None:
    run = create_run(small_config("ppo"), tmp_path / "run")
    with locked(run):
        refused = run_command("--resume", run.path, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"train.py: another process is training {run.path} "
        f"(process {os.getpid()} on {socket.gethostname()})\n"
    )
    assert main(["--resume", str(run.path), *QUICKLY]) == 0


def test_a_device_that_is_not_there_is_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = create_run(small_config("ppo"), tmp_path / "run")
    with pytest.raises(TrainingInterrupted):
        train_run(run, Console(quiet=True), [OnSnapshot(interrupt)])
    file = run.path / "run.json"
    file.write_text(file.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    capsys.readouterr()
    before = contents(tmp_path)
    new = ["--config", str(file), "--output", str(tmp_path / "new")]
    for words in (new, ["--resume", str(run.path)], ["--branch", str(run.path), "--at-phase", "1"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        expected = "train.py: device cuda: torch finds no GPU here; valid: cpu\n"
        assert capsys.readouterr().err == expected
        assert contents(tmp_path) == before


def interrupt(snapshot: Snapshot) -> None:
    if snapshot.phase_end is not None:
        signal.raise_signal(signal.SIGTERM)


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_help_reads_like_documentation(tmp_path: Path) -> None:
    done = run_command("--help", cwd=tmp_path)
    assert done.returncode == 0
    for phrase in ("--decay-rate FLOAT", "constant until the first decay", "--resume", "--branch"):
        assert phrase in done.stdout


def test_mistakes_are_answered_before_the_slow_imports(tmp_path: Path) -> None:
    script = "import sys, train\nassert 'torch' not in sys.modules, 'train.py imports torch'"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        check=True,
    )


def test_a_config_in_yaml_may_use_any_schedule(tmp_path: Path) -> None:
    data = small_config("ppo").to_dict()
    data["schedule"] = {
        "type": "PiecewiseConstantSchedule",
        "boundaries": [128],
        "values": [1e-3, 2e-3],
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    assert main(["--config", str(file), "--output", str(tmp_path / "out"), *QUICKLY]) == 0
    with (tmp_path / "out" / "metrics.csv").open() as table:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(table)]
    assert rates == [1e-3, 2e-3, 2e-3, 2e-3, 2e-3]
