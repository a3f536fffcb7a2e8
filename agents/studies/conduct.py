"""Conducts a study: trains what is missing, and puts the runs together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError
from agents.runs.divergence import read_divergence
from agents.runs.files import write_atomically
from agents.runs.manifest import canonical_json
from agents.studies.assembly import assemble
from agents.studies.dispatch import Dispatcher
from agents.studies.plan import Plan
from agents.studies.progress import StudyProgress
from agents.studies.store import SegmentStore
from agents.studies.study import Study
from agents.studies.tree import Segment
from agents.training.interruption import TrainingInterrupted, catch_stop_requests

FORMAT = "staircase-lab study"
FORMAT_VERSION = 1
_TICK_S = 1.0


@dataclass(frozen=True)
class StudyResult:
    """What became of a study.

    Attributes:
        runs: The runs, in the order of the plan.
        diverged: Where runs diverged, in words, by path.
    """

    runs: Sequence[RunDirectory]
    diverged: Mapping[Path, str]


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


def check_study(plan: Plan, folder: Path) -> None:
    """Checks that a study can be conducted in a folder: a new one, or the same or a smaller plan's.

    Args:
        plan: The plan.
        folder: The folder of the study.

    Raises:
        ConfigError: If another plan is there, with runs that this one lacks or has otherwise.
        RunError: If the folder is none of a study.
    """
    if not folder.exists():
        return
    stored = read_study(folder)
    if stored.to_dict() == plan.study.to_dict():
        return
    planned = {run.path: run for run in plan.runs}
    noted = json.loads((folder / "study.json").read_bytes())["runs"]
    for entry in noted:
        run = planned.get(Path(entry["path"]))
        if run is None or run.line.key != entry["key"]:
            what = "lacks" if run is None else "would train otherwise"
            raise ConfigError(
                f"{folder} has another plan, with the run {entry['path']} that this one {what}; "
                "add seeds or values to it, or give the study another name"
            )


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


def read_study(folder: Path) -> Study:
    """Reads the plan of a study.

    Args:
        folder: The folder of the study.

    Raises:
        RunError: If there is no study, or its file is broken.
    """
    file = folder / "study.json"
    try:
        data = json.loads(file.read_bytes())
        if data["format"] != FORMAT or data["format_version"] != FORMAT_VERSION:
            raise RunError(f"{file} was not written by this project, or by another version of it")
        return Study.from_dict(data["study"])
    except FileNotFoundError:
        raise RunError(f"{folder} is not a study: it has no study.json") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{file} is broken: {error}") from error


def conduct(
    plan: Plan, folder: Path, store: SegmentStore, dispatcher: Dispatcher, console: Console
) -> StudyResult:
    """Trains all that a study still lacks.

    Any number of kills on the way change nothing: the same call goes on.

    Args:
        plan: The plan.
        folder: The folder of the study; `write_study` has been there.
        store: Where segments are kept.
        dispatcher: What trains the segments.
        console: Where progress is shown.

    Returns:
        The runs, and which of them diverged.

    Raises:
        RunError: If a segment could not be trained; all others are.
        TrainingInterrupted: If SIGINT or SIGTERM came.
    """
    states = {segment.key: store.state(segment) for segment in plan.tree.segments}
    done = {key for key, state in states.items() if state == "trained"}
    lost = {key for key, state in states.items() if state == "diverged"}
    waiting = [s for s in plan.tree.segments if s.key not in done | lost]
    under_way: dict[Path, Segment] = {}
    failed: dict[str, str] = {}
    with (
        catch_stop_requests() as stop,
        dispatcher,
        StudyProgress(plan, console, len(waiting)) as progress,
    ):
        while True:
            capacity = dispatcher.capacity()
            # In the order of the plan, so that one seed is finished before the next begins.
            for segment in list(waiting):
                parent = segment.parent
                if parent is not None and parent.key in lost:
                    lost.add(segment.key)
                    waiting.remove(segment)
                elif (parent is None or parent.key in done) and len(under_way) < capacity:
                    waiting.remove(segment)
                    run = store.create(segment)
                    under_way[run.path] = segment
                    dispatcher.submit(run)
            if not under_way:
                break
            for outcome in dispatcher.wait(_TICK_S):
                segment = under_way.pop(outcome.path)
                (done if outcome.kind == "complete" else lost).add(segment.key)
                if outcome.kind == "failed":
                    failed[outcome.path.name] = outcome.message
                progress.ended(segment, outcome)
            progress.show(under_way)
            if stop.signal_number is not None:
                raise TrainingInterrupted(stop.signal_number)
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise RunError(f"could not train {reasons}; the same command tries again")
    runs = tuple(assemble(planned, plan.tree, store, folder) for planned in plan.runs)
    diverged = {run.path: str(where) for run in runs if (where := read_divergence(run)) is not None}
    return StudyResult(runs, diverged)
