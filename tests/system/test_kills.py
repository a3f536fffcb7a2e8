"""Whatever kills a run, `--resume` ends it as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from agents import RunDirectory
from agents.runs.directory import snapshot_steps
from agents.runs.lock import locked
from agents.training.loop import create_run, train_run
from eval import compare_phases
from schedules import ConstantSchedule, StaircaseSchedule
from tests.agents.small_runs import small_config
from tests.agents.test_exact_resume import rows_without_time
from tests.system.commands import (
    ROOT,
    children,
    config_file,
    final_state,
    run_command,
    start_command,
    wait_for_rows,
)

pytestmark = pytest.mark.slow

FEW_PHASES = StaircaseSchedule(1e-3, decay_steps=400, decay_rate=0.5)
QUICKLY = ("--no-video", "--episodes", "2", "--quiet")


def assert_same_run(got: Path, expected: RunDirectory) -> None:
    run = RunDirectory.open(got)
    assert final_state(got) == final_state(expected.path)
    assert rows_without_time(run.metrics_path) == rows_without_time(expected.metrics_path)
    assert rows_without_time(run.episodes_path) == rows_without_time(expected.episodes_path)


def test_six_sigkills_in_a_row_change_nothing(tmp_path: Path) -> None:
    config = small_config("sac", FEW_PHASES, total_timesteps=2000, snapshot_every=150)
    whole = create_run(config, tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    killed = create_run(config, tmp_path / "killed")
    moments = random.Random(0)

    for _ in range(6):
        process = start_command("--resume", killed.path, *QUICKLY, cwd=tmp_path)
        last = max(snapshot_steps(killed), default=0)
        # The table is buffered, so rows appear in blocks and the kill falls between snapshots.
        goal = max(0, last - 110) + moments.randrange(1, 250)
        assert wait_for_rows(process, killed.metrics_path, goal)
        process.kill()
        process.communicate()

    finished = run_command("--resume", killed.path, *QUICKLY, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert_same_run(killed.path, whole)
    compare_phases(whole, 2)
    for name in ("episodes.csv", "summary-2.json"):
        evaluated = [(run.evaluation_path / name).read_bytes() for run in (killed, whole)]
        assert evaluated[0] == evaluated[1]


KILL_WHILE_WRITING = """
import os, signal, sys
import agents.snapshots.store
from train import main

target, skipped = sys.argv[1], int(sys.argv[2])
write_synced = agents.snapshots.store.write_synced

def write_half(path, data):
    global skipped
    if path.name == target:
        skipped -= 1
        if skipped < 0:
            with path.open("wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
    write_synced(path, data)

agents.snapshots.store.write_synced = write_half
if __name__ == "__main__":
    sys.exit(main(sys.argv[3:]))
"""


def test_a_kill_in_the_middle_of_a_snapshot_changes_nothing(tmp_path: Path) -> None:
    whole = create_run(small_config("sac"), tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    killed = create_run(whole.config, tmp_path / "killed")
    script = tmp_path / "kill_while_writing.py"
    script.write_text(KILL_WHILE_WRITING)

    for number, name in enumerate(("agent.zip", "state.json", "arrays.npz", "manifest.json")):
        before = snapshot_steps(killed)
        words = [sys.executable, script, name, str(number), "--resume", killed.path, *QUICKLY]
        process = subprocess.run(words, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
        assert process.returncode == -signal.SIGKILL
        assert list(killed.snapshots_path.glob(".*.tmp"))
        assert number == 0 or snapshot_steps(killed) != before

    assert run_command("--resume", killed.path, *QUICKLY, cwd=tmp_path).returncode == 0
    assert not list(killed.snapshots_path.glob(".*.tmp"))
    assert_same_run(killed.path, whole)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_run_is_readable_and_goes_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    config = small_config(
        "sac",
        FEW_PHASES,
        total_timesteps=1200,
        n_envs=2,
        vec_env="subproc",
        snapshot_every=10_000,
    )
    whole = create_run(config, tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    file = config_file(config, tmp_path / "config.yaml")
    out = tmp_path / "interrupted"
    # A session of its own, so that the signal reaches the environments' processes as Ctrl-C does.
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", "--config", file, "--output", out, *QUICKLY],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_for_rows(process, out / "metrics.csv", 300)
    os.killpg(process.pid, number)
    _, complaint = process.communicate()

    assert process.returncode == code
    assert complaint.splitlines()[-1].endswith(f"python train.py --resume {out}")
    assert "Traceback" not in complaint
    run = RunDirectory.open(out)
    (step,) = snapshot_steps(run)[-1:]
    assert int(rows_without_time(run.metrics_path)[-1]["step"]) == step

    assert run_command("--resume", out, *QUICKLY, cwd=tmp_path).returncode == 0
    assert_same_run(out, whole)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    config = small_config("sac", snapshot_every=50)
    whole = create_run(config, tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    run = create_run(config, tmp_path / "run")
    size = (whole.snapshots_path / "250" / "arrays.npz").stat().st_size
    script = (
        "import resource, runpy, sys; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size - 1}, {size - 1})); "
        f"sys.argv = ['train.py', '--resume', {str(run.path)!r}, '--quiet']; "
        f"runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert "File too large" in process.stderr
    assert str(run.path) in process.stderr
    assert snapshot_steps(run)

    assert run_command("--resume", run.path, *QUICKLY, cwd=tmp_path).returncode == 0
    assert_same_run(run.path, whole)


def test_ctrl_c_stops_a_run_and_its_held_branches_quietly(tmp_path: Path) -> None:
    config = small_config("sac", FEW_PHASES, total_timesteps=1200)
    run = create_run(config, tmp_path / "run", held_branch_length="end")
    command = [sys.executable, ROOT / "train.py", "--resume", run.path, *QUICKLY]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    # The first branch starts at the first boundary: it is still importing, or training, by now.
    assert wait_for_rows(process, run.metrics_path, 300)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate()

    assert process.returncode == 130
    assert complaint.count("\n") == 1
    branch = RunDirectory.open(run.path / "branches" / "held-1")
    with locked(branch):
        assert snapshot_steps(branch)


def test_killed_beside_its_held_branches_a_run_ends_with_the_same_ones(tmp_path: Path) -> None:
    config = small_config("sac", FEW_PHASES, total_timesteps=1200, snapshot_every=100)
    killed = create_run(config, tmp_path / "killed", held_branch_length="end")
    process = start_command("--resume", killed.path, *QUICKLY, cwd=tmp_path)
    branch = killed.path / "branches" / "held-1"
    assert wait_for_rows(process, branch / "metrics.csv", 100)
    process.kill()
    process.communicate()

    finished = run_command("--resume", killed.path, *QUICKLY, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")

    whole = create_run(config, tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    assert_same_run(killed.path, whole)
    scratch = create_run(RunDirectory.open(branch).config, tmp_path / "scratch")
    train_run(scratch, Console(quiet=True))
    assert_same_run(branch, scratch)


def test_a_dead_environment_process_is_one_line(tmp_path: Path) -> None:
    config = small_config(
        "sac", ConstantSchedule(1e-3), n_envs=2, vec_env="subproc", total_timesteps=100_000
    )
    run = create_run(config, tmp_path / "run")
    process = start_command("--resume", run.path, *QUICKLY, cwd=tmp_path)
    assert wait_for_rows(process, run.metrics_path, 100)
    # The environments' processes are children of the fork server, a child of the trainer.
    worker = next(grandchild for child in children(process.pid) for grandchild in children(child))
    os.kill(worker, signal.SIGKILL)
    _, complaint = process.communicate()

    assert process.returncode == 1
    assert complaint.strip().startswith("train.py: a training environment of")
    assert complaint.count("\n") == 1


KILL_AN_ENVIRONMENT_DURING_A_SNAPSHOT = """
import sys
from agents.learners.sb3_learner import SB3Learner
from train import main

capture = SB3Learner.capture

def kill_and_capture(learner):
    worker = learner.model.env.unwrapped.processes[0]
    worker.kill()
    worker.join()
    return capture(learner)

SB3Learner.capture = kill_and_capture
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def test_an_environment_that_dies_during_a_snapshot_is_not_taken_for_a_full_disk(
    tmp_path: Path,
) -> None:
    run = create_run(small_config("sac", n_envs=2, vec_env="subproc"), tmp_path / "run")
    script = tmp_path / "kill_an_environment.py"
    script.write_text(KILL_AN_ENVIRONMENT_DURING_A_SNAPSHOT)
    process = subprocess.run(
        [sys.executable, script, "--resume", run.path, *QUICKLY],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.startswith("train.py: a training environment of")
    assert process.stderr.count("\n") == 1


def test_resuming_a_copy_elsewhere_works(tmp_path: Path) -> None:
    whole = create_run(small_config("ppo"), tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    shutil.copytree(whole.path, tmp_path / "elsewhere" / "copy")
    copy = RunDirectory.open(tmp_path / "elsewhere" / "copy")
    shutil.rmtree(copy.snapshots_path / str(snapshot_steps(copy)[-1]))

    train_run(copy, Console(quiet=True))

    assert_same_run(copy.path, whole)
