"""What SIGKILL changes of a study: nothing.

Trains a small study by its command, undisturbed and then again, killing it at random moments and
giving the same command anew until it is through; every run must end in the same bits. A study that
is through before all kills have struck is followed by another. Takes about four minutes for 20:

    python -m benchmarks.study_kills [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from agents import RunDirectory
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot

ROOT = Path(__file__).parents[1]
STUDY = {
    "name": "killed",
    "base": {"env": "reach", "total_timesteps": 1500, "decay_steps": 1500},
    "seeds": [0, 1],
    "axes": {"constant_steps": [700, 1100], "decay_rate": [0.5, 0.1]},
    "held_branches": "phase",
    "placebos": 1,
}
LONGEST_S = 12.0


def start(folder: Path) -> subprocess.Popen[str]:
    """Gives the study's command."""
    command = [sys.executable, ROOT / "train.py", "--study", "study.json", "--episodes", "2"]
    log = (folder / "log.txt").open("a")
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, text=True)


def states(folder: Path) -> dict[str, str]:
    """Checksums of what the runs and branches of a study ended in, by path."""
    study, ends = folder / "runs" / "studies" / "killed", {}
    for file in sorted(study.rglob("run.json")):
        run = RunDirectory.open(file.parent)
        last = read_snapshot(run, snapshot_steps(run)[-1])
        ends[str(file.parent.relative_to(study))] = last.state_sha256
    return ends


def finish(process: subprocess.Popen[str], folder: Path) -> None:
    """Waits for a command that must succeed."""
    if process.wait() != 0:
        raise SystemExit((folder / "log.txt").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments, kills, studies, struck = random.Random(arguments.seed), 0, 0, []
    with TemporaryDirectory() as temporary:
        folders = (Path(temporary) / str(number) for number in range(arguments.kills + 1))
        folder = _new(next(folders))
        begun = time.monotonic()
        finish(start(folder), folder)
        print(f"undisturbed: {time.monotonic() - begun:.0f} s")
        expected = states(folder)
        while kills < arguments.kills:
            folder, studies = _new(next(folders)), studies + 1
            while True:
                process = start(folder)
                after = moments.uniform(0, LONGEST_S)
                try:
                    if kills == arguments.kills:
                        finish(process, folder)
                    elif process.wait(after) != 0:
                        raise SystemExit((folder / "log.txt").read_text())
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    struck.append(after)
            if states(folder) != expected:
                raise SystemExit(f"study {studies} ended in other bits: {folder}")
    print(
        f"{kills} kills, {min(struck):.1f} to {max(struck):.1f} s after a start: all "
        f"{len(expected)} runs and branches ended in the same bits, {studies} times of {studies}"
    )


def _new(folder: Path) -> Path:
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(STUDY))
    return folder


if __name__ == "__main__":
    main()
