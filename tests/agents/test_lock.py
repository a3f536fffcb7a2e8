"""Who may train a run: one process, until it ends or its machine is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import RunDirectory, RunError
from agents.runs.lock import RunLocked, locked
from schedules import ConstantSchedule
from tests.agents.small_runs import small_config

HOLD = """
import sys
from pathlib import Path
from agents import RunDirectory
from agents.runs.lock import locked

with locked(RunDirectory.open(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(
        tmp_path / "run", small_config("sac", ConstantSchedule(1e-3)), 1, 111
    )


@pytest.fixture
def holder(run: RunDirectory) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, run.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_the_run(
    run: RunDirectory, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(RunLocked) as caught, locked(run):
        pass
    assert str(caught.value) == (
        f"another process is training {run.path} (process {holder.pid} on {socket.gethostname()})"
    )


def test_a_killed_holder_blocks_nobody(run: RunDirectory, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with locked(run):
        assert (run.path / "lock").read_text().split()[1] == str(os.getpid())


def test_the_lock_of_a_machine_that_is_gone_is_taken_over(
    run: RunDirectory, holder: subprocess.Popen[str]
) -> None:
    lock = run.path / "lock"
    # As a file server keeps it that has not noticed: still locked, by a machine that is silent.
    lock.write_text("elsewhere 123\n")
    with pytest.raises(RunLocked, match=r"\(process 123 on elsewhere\)"), locked(run):
        pass
    long_ago = time.time() - 1000
    os.utime(lock, (long_ago, long_ago))
    with locked(run):
        assert lock.read_text().split() == [socket.gethostname(), str(os.getpid())]


def test_a_silent_holder_on_this_machine_is_the_kernels_business(
    run: RunDirectory, holder: subprocess.Popen[str]
) -> None:
    long_ago = time.time() - 1000
    os.utime(run.path / "lock", (long_ago, long_ago))
    with pytest.raises(RunLocked), locked(run):
        pass


def test_a_process_trains_one_run_at_a_time(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory.create(tmp_path / "other", run.config, 1, 111)
    with (
        locked(run),
        pytest.raises(RunError, match="this process already trains a run"),
        locked(other),
    ):
        pass
