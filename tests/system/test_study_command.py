"""Studies as commands: killed, repeated, in parts, under a stand-in for Slurm."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agents.runs.directory import RunDirectory, RunError
from agents.studies.cluster import RayCluster
from tests.agents.test_branches import final
from tests.system.commands import command, run_command, start_command, wait_for_rows

pytestmark = pytest.mark.slow

STUDY = {
    "name": "small",
    "base": {
        "env": "reach",
        "total_timesteps": 400,
        "decay_steps": 200,
        "constant_steps": None,  # the preset has a longer first phase
        "snapshot_every": 50,
        "hyperparameters": {
            "learning_starts": 60,
            "batch_size": 16,
            "policy_kwargs": {"net_arch": [8]},
        },
    },
    "seeds": [0, 1],
    "axes": {"decay_rate": [0.5, 0.1]},
}


def study_file(folder: Path, **changes: object) -> Path:
    file = folder / "small.json"
    file.write_text(json.dumps({**STUDY, **changes}))
    return file


def states(folder: Path) -> dict[str, str]:
    return {
        str(file.parent.relative_to(folder)): final(RunDirectory.open(file.parent)).state_sha256
        for file in sorted(folder.rglob("run.json"))
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("expected")
    finished = run_command("--study", study_file(folder), "--episodes", 2, cwd=folder)
    assert finished.returncode == 0
    assert "4 runs and 0 branches in 6 segments" in finished.stdout
    assert "next   python -m eval compare runs/studies/small" in finished.stdout
    assert "Agents at the ends of the phases, over seeds" in finished.stdout
    assert (folder / "runs/studies/small/evaluation/summary.json").exists()
    return states(folder / "runs" / "studies" / "small")


def test_a_study_that_is_killed_ends_the_same(expected: dict[str, str], tmp_path: Path) -> None:
    file, moments = study_file(tmp_path), random.Random(1)
    for _ in range(3):
        process = start_command("--study", file, "--episodes", 2, cwd=tmp_path)
        _wait_for_segments(tmp_path, process, moments.randrange(1, 4), moments)
        process.kill()
        process.communicate()
    assert run_command("--study", file, "--episodes", 2, cwd=tmp_path).returncode == 0
    assert states(tmp_path / "runs" / "studies" / "small") == expected


def _wait_for_segments(
    folder: Path, process: subprocess.Popen[str], count: int, moments: random.Random
) -> None:
    """Waits until some segments exist, and then for a moment that differs from kill to kill."""
    while len(list((folder / "runs" / "segments").glob("*/metrics.csv"))) < count:
        if _has_ended(process, 0.05):
            return
    _has_ended(process, moments.random())


def _has_ended(process: subprocess.Popen[str], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_sigterm_stops_a_study_with_snapshots_and_a_line(
    expected: dict[str, str], tmp_path: Path
) -> None:
    file = study_file(tmp_path)
    process = start_command("--study", file, "--episodes", 2, cwd=tmp_path)
    _wait_for_segments(tmp_path, process, 1, random.Random(0))
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate()
    assert process.returncode == 143
    assert complaint.endswith("the study was stopped; the same command goes on with it\n")
    assert run_command("--study", file, "--episodes", 2, cwd=tmp_path).returncode == 0
    assert states(tmp_path / "runs" / "studies" / "small") == expected


SBATCH = """\
#!{python}
import os, re, subprocess, sys
script = sys.argv[1]
last = int(re.search(r"--array=0-(\\d+)", open(script).read())[1])
for task in map(str, range(last + 1)):
    env = dict(os.environ, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_JOB_ID="7", TERMINATE=task)
    code = subprocess.run(["bash", script], env=env).returncode
    if code == 143:  # its time was up, and it has asked to be requeued
        code = subprocess.run(["bash", script], env=dict(env, TERMINATE="")).returncode
    if code:
        sys.exit(code)
"""

# The stand-in for a time limit: once it has trained a little, the first try gets SIGTERM.
TIME_LIMIT = """\
trained() { cat runs/segments/*/metrics.csv 2> /dev/null | wc -l; }
already=$(trained)
[ -n "$TERMINATE" ] && (
    while kill -0 $child && [ "$(trained)" -le "$((already + 1))" ]; do sleep 0.05; done
    kill -TERM $$
) &
"""


def test_the_slurm_script_trains_the_study_through_requeues(
    expected: dict[str, str], tmp_path: Path
) -> None:
    file = study_file(tmp_path)
    written = run_command("--study", file, "--slurm", cwd=tmp_path)
    assert written.returncode == 0
    assert "slurm  sbatch runs/studies/small/slurm.sh trains 2 parts" in written.stdout
    assert not (tmp_path / "runs" / "segments").exists()
    commands = tmp_path / "bin"
    commands.mkdir()
    _executable(commands / "sbatch", SBATCH.format(python=sys.executable))
    _executable(commands / "scontrol", '#!/bin/bash\necho "$@" >> requeued\n')
    script = tmp_path / "runs" / "studies" / "small" / "slurm.sh"
    script.write_text(script.read_text().replace("child=$!\n", "child=$!\n" + TIME_LIMIT))
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    subprocess.run(["sbatch", script], check=True, env=environment, cwd=tmp_path)

    assert states(tmp_path / "runs" / "studies" / "small") == expected
    assert (tmp_path / "requeued").read_text() == "requeue 7_0\nrequeue 7_1\n"


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


CLUSTER = """\
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster


SET_FLAGS, UP = 0x8914, 1  # SIOCSIFFLAGS and IFF_UP


def bring_up_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))


def in_training():
    found = []
    for directory in Path("/proc").iterdir():
        try:
            words = (directory / "cmdline").read_text()
            if directory.name.isdecimal() and words.startswith("ray::_train"):
                found.append(int(directory.name))
        except OSError:
            continue
    return found


def wait_for(condition, process):
    while not condition():
        try:
            sys.exit(process.wait(timeout=0.05))
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    if sys.argv.pop(1) == "alone":
        bring_up_loopback()
    small = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
    words = [sys.executable, *sys.argv[1:], "--cluster", cluster.address]
    process = subprocess.Popen(words)
    wait_for(in_training, process)
    os.kill(in_training()[0], signal.SIGKILL)
    rows = len(list(Path("runs/segments").glob("*/metrics.csv")))
    wait_for(lambda: len(list(Path("runs/segments").glob("*/metrics.csv"))) > rows, process)
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("a worker and a node were killed", flush=True)
    code = process.wait()
    cluster.shutdown()
    sys.exit(code)
"""


def test_a_ray_cluster_that_loses_a_worker_and_a_node_trains_the_same(
    expected: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="pip install 'staircase-lab[cluster]' for Ray")
    # The nodes talk over the loopback interface alone, whatever this machine's network allows.
    alone = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*alone, "true"], capture_output=True, check=True)
        network = "alone"
    except (OSError, subprocess.CalledProcessError):
        alone, network = [], "shared"
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    words = command("--study", study_file(tmp_path))[1:]
    # Into a file: Ray's own processes may outlive a failure, and would keep a pipe open.
    with (tmp_path / "output").open("w+") as output:
        finished = subprocess.run(
            [*alone, sys.executable, script, network, *words],
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=400,
        )
        output.seek(0)
        printed = output.read()
    assert finished.returncode == 0, printed
    assert "a worker and a node were killed" in printed
    assert states(tmp_path / "runs" / "studies" / "small") == expected


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:9"])
def test_a_cluster_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'staircase-lab[cluster]' for Ray")
    with pytest.raises(RunError, match=f"no Ray cluster can be reached at {address}: ") as caught:
        RayCluster(address).__enter__()
    assert "\n" not in str(caught.value)


def test_a_dry_run_prints_the_plan_and_its_cost_and_writes_nothing(tmp_path: Path) -> None:
    file = study_file(tmp_path, held_branches="end", placebos=1)
    finished = run_command("--study", file, "--dry-run", cwd=tmp_path)
    assert finished.returncode == 0
    assert "2 arms x 2 seeds, axes decay_rate (2)" in finished.stdout
    assert re.search(r"to do  \d+ segments, [\d,]+ steps, about [\d.]+ core-hours", finished.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["small.json"]


def test_one_command_creates_a_run_goes_on_with_it_and_says_that_it_is_complete(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.json"
    base = dict(STUDY["base"])  # type: ignore[call-overload]
    del base["decay_steps"], base["constant_steps"]
    schedule = {"type": "ConstantSchedule", "learning_rate": 1e-3}
    config.write_text(json.dumps({**base, "algo": "sac", "schedule": schedule}))
    command = ("--config", config, "--output", tmp_path / "run", "--or-resume", "--no-video")
    quickly = ("--episodes", "2")
    process = start_command(*command, *quickly, cwd=tmp_path)
    assert wait_for_rows(process, tmp_path / "run" / "metrics.csv", 0)
    process.kill()
    process.communicate()
    finished = run_command(*command, *quickly, cwd=tmp_path)
    assert finished.returncode == 0
    assert "is complete already" not in finished.stdout
    again = run_command(*command, *quickly, cwd=tmp_path)
    assert again.returncode == 0
    assert "is complete already" in again.stdout
    other = run_command(*command, "--seed", "4", cwd=tmp_path)
    assert other.returncode == 2
    assert "is there already, with seed 0 instead of 4" in other.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--study", "nowhere.yaml"), "--study nowhere.yaml: No such file or directory"),
        (("--seeds", "3-1", "--env", "reach"), "seeds are written such as 0-5 or 0,3,7-9"),
        (("--env", "reach", "--dry-run"), "--dry-run needs --seeds or --study"),
        (("--env", "reach", "--or-resume"), "--or-resume needs --output"),
        (("--seeds", "0-1", "--seed", "1"), "--seeds and --seed do not go together"),
        (("--study", "x", "--env", "reach"), "--study and --env do not go together"),
        (("--seeds", "0-1", "--env", "reach", "--processes", "0"), "--processes must be at least"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    finished = run_command(*words, cwd=tmp_path)
    assert finished.returncode == 2
    assert complaint in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
