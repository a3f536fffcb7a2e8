"""Real processes of `train.py`, and what they leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from agents import RunConfig, RunDirectory
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot

ROOT = Path(__file__).parents[2]


def command(*words: object) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *map(str, words)]


def run_command(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, check=False)


def start_command(*words: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*words), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def config_file(config: RunConfig, path: Path) -> Path:
    path.write_text(yaml.safe_dump(config.to_dict()))
    return path


def wait_for_rows(process: subprocess.Popen[str], table: Path, rows: int) -> bool:
    """Waits until a table has so many rows; False if the process ended before."""
    while not table.exists() or table.read_bytes().count(b"\n") <= rows:
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        return False
    return True


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def final_state(path: Path) -> str:
    run = RunDirectory.open(path)
    snapshot = read_snapshot(run, snapshot_steps(run)[-1])
    assert snapshot.final
    return snapshot.state_sha256
