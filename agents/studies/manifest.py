"""What a study is on disk: `study.json` and where its runs lie; needs neither torch nor SB3."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.runs.directory import RunError
from agents.runs.files import write_atomically
from agents.runs.manifest import canonical_json
from agents.studies.study import Study

if TYPE_CHECKING:
    from agents.studies.plan import Plan

FORMAT = "staircase-lab study"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class NotedRun:
    """A run or branch that `study.json` lists.

    Attributes:
        path: Its folder, relative to the study's.
        arm: Name of its arm.
        seed: Its seed.
        key: Checksum of all that determines the state at its end.
    """

    path: Path
    arm: str
    seed: int
    key: str


def study_folder(study: Study, root: Path = Path("runs")) -> Path:
    """Where a study lies.

    Args:
        study: The study.
        root: Folder of all runs.
    """
    return root / "studies" / study.name


def segments_folder(root: Path = Path("runs")) -> Path:
    """Where the segments of all studies lie.

    Args:
        root: Folder of all runs.
    """
    return root / "segments"


def run_path(arm: str, seed: int) -> Path:
    """Where the run of an arm at a seed lies, relative to the study's folder.

    Args:
        arm: Name of the arm.
        seed: The seed.
    """
    return Path(arm) / f"seed-{seed}"


def write_study(plan: Plan, folder: Path) -> None:
    """Writes `study.json`: the plan, and where each run is.

    Args:
        plan: The plan, after `check_study`.
        folder: The folder of the study.

    Raises:
        RunError: If it cannot be written.
    """
    data = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "study": plan.study.to_dict(),
        "runs": [
            {
                "path": str(run.path),
                "arm": run.arm.name,
                "values": dict(run.arm.values),
                "seed": run.seed,
                "key": run.line.key,
            }
            for run in plan.runs
        ],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "study.json", canonical_json(data) + b"\n")
    except OSError as error:
        raise RunError(f"cannot write the study in {folder}: {error.strerror}") from error


def is_study_folder(path: Path) -> bool:
    """Whether a folder holds a study.

    Args:
        path: The folder, which need not exist.
    """
    try:
        return (path / "study.json").exists()
    except OSError:  # such as a name that is too long
        return False


def read_study(folder: Path) -> Study:
    """Reads the plan of a study.

    Args:
        folder: The folder of the study.

    Raises:
        RunError: If there is no study, or its file is broken.
    """
    data = _read(folder)
    try:
        return Study.from_dict(data["study"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(folder, error) from error


def read_noted_runs(folder: Path) -> tuple[NotedRun, ...]:
    """Reads which runs and branches belong to a study.

    Args:
        folder: The folder of the study.

    Raises:
        RunError: If there is no study, or its file is broken.
    """
    data = _read(folder)
    try:
        return tuple(
            NotedRun(Path(run["path"]), run["arm"], run["seed"], run["key"]) for run in data["runs"]
        )
    except (KeyError, TypeError) as error:
        raise _broken(folder, error) from error


def _read(folder: Path) -> dict[str, Any]:
    file = folder / "study.json"
    try:
        data = json.loads(file.read_bytes())
        written = data["format"], data["format_version"]
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} is not a study: it has no study.json") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _broken(folder, error) from error
    if written != (FORMAT, FORMAT_VERSION):
        raise RunError(f"{file} was not written by this project, or by another version of it")
    return dict(data)


def _broken(folder: Path, error: Exception) -> RunError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return RunError(f"{folder / 'study.json'} is broken: {reason}")
