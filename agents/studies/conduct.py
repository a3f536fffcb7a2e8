"""Conducts a study: trains what is missing, and puts the runs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError
from agents.runs.divergence import read_divergence
from agents.studies.assembly import assemble, was_forked
from agents.studies.dispatch import Dispatcher
from agents.studies.manifest import read_noted_runs, read_study
from agents.studies.plan import Plan
from agents.studies.progress import StudyProgress
from agents.studies.store import SegmentStore
from agents.studies.tree import Segment
from agents.training.interruption import TrainingInterrupted, catch_stop_requests

_TICK_S = 1.0


@dataclass(frozen=True)
class StudyResult:
    """What became of a study.

    Attributes:
        runs: The runs, in the order of the plan, without branches from where a run never came.
        diverged: Where runs diverged, in words, by path.
    """

    runs: Sequence[RunDirectory]
    diverged: Mapping[Path, str]


def check_study(plan: Plan, folder: Path) -> None:
    """Checks that a study can be conducted in a folder: a new one, or the same or a smaller plan's.

    Args:
        plan: The plan.
        folder: The folder of the study.

    Raises:
        ConfigError: If another plan is there, with runs that this one lacks or has otherwise, or
            its runs were trained with other versions of the packages.
        RunError: If the folder is none of a study.
    """
    if not folder.exists():
        return
    is_the_same = read_study(folder).to_dict() == plan.study.to_dict()
    planned = {run.path: run for run in plan.runs}
    for noted in read_noted_runs(folder):
        run = planned.get(noted.path)
        if run is None or run.line.key != noted.key:
            if is_the_same:
                raise ConfigError(
                    f"{folder} was trained with other versions of the packages; give the study "
                    "another name"
                )
            what = "lacks" if run is None else "would train otherwise"
            raise ConfigError(
                f"{folder} has another plan, with the run {noted.path} that this one {what}; "
                "add seeds or values to it, or give the study another name"
            )


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
    runs = tuple(
        assemble(planned, plan.tree, store, folder)
        for planned in plan.runs
        if was_forked(planned, plan.tree, store)
    )
    diverged = {run.path: str(where) for run in runs if (where := read_divergence(run)) is not None}
    return StudyResult(runs, diverged)
