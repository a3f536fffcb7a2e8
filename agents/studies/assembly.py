"""The runs of a study as run directories, put together from the segments that were trained."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from agents.runs.directory import RunDirectory, RunError
from agents.runs.divergence import read_divergence
from agents.runs.files import link_or_copy
from agents.runs.manifest import read_snapshot, replay_chunks
from agents.runs.tables import rewind_table
from agents.studies.plan import PlannedRun
from agents.studies.store import SegmentStore
from agents.studies.tree import Segment, Tree


def assemble(planned: PlannedRun, tree: Tree, store: SegmentStore, folder: Path) -> RunDirectory:
    """Puts a run directory together; what is never rewritten shares the disk with the segments.

    The result is what training the run from scratch gives: tables from the beginning on, and the
    snapshots at the ends of its phases. A branch has those from its fork on, as ever.

    Args:
        planned: The run; one that is there already is left as it is.
        tree: The tree of the study.
        store: Where its segments are.
        folder: Folder of the study.

    Returns:
        The run.

    Raises:
        RunError: If a segment of it is not trained, or the folder cannot be written.
    """
    path = folder / planned.path
    if (path / "run.json").exists():
        return RunDirectory.open(path)
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    plan, segment = planned.run, tree.last[planned.line.key]
    parent = plan.parent
    if parent is not None:
        source = _source(store, segment, parent.step)
        state = read_snapshot(source, parent.step).state_sha256
        parent = dataclasses.replace(parent, state_sha256=state)
    run = RunDirectory.create(
        temporary,
        plan.config,
        plan.steps_per_update,
        plan.first_update,
        parent,
        plan.held_branch_length,
        store.newest(segment).learner,
    )
    try:
        _fill(run, segment, store, 0 if parent is None else parent.step)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return RunDirectory.open(path)


def was_forked(planned: PlannedRun, tree: Tree, store: SegmentStore) -> bool:
    """Whether the snapshot is stored with which a run begins; it is not if its trunk diverged.

    Args:
        planned: The run; one that begins from scratch needs no snapshot.
        tree: The tree of the study.
        store: Where its segments are.
    """
    parent = planned.run.parent
    return parent is None or store.find(tree.last[planned.line.key], parent.step) is not None


def _fill(run: RunDirectory, segment: Segment, store: SegmentStore, start: int) -> None:
    run.snapshots_path.mkdir()
    run.replay_path.mkdir()
    run.tensorboard_path.mkdir()
    steps = {step for step in run.phase_end_steps.values() if step >= start} | {segment.stop}
    for step in sorted(steps | {start} - {0}):
        source = store.find(segment, step)
        if source is None:
            continue  # the training diverged before
        snapshot = read_snapshot(source, step)
        shutil.copytree(snapshot.path, run.snapshots_path / str(step), copy_function=link_or_copy)
        for name in replay_chunks(snapshot):
            if not (run.replay_path / name).exists():
                link_or_copy(source.replay_path / name, run.replay_path / name)
    trained = store.newest(segment)
    for name in ("metrics.csv", "episodes.csv"):
        shutil.copy2(trained.path / name, run.path / name)
    divergence = read_divergence(trained)
    if divergence is None:
        for name, mark in read_snapshot(trained, segment.stop).tables.items():
            rewind_table(run.path / name, mark["bytes"])
    else:
        shutil.copy2(trained.divergence_path, run.divergence_path)
    for past in segment.backwards():
        for events in store.path(past).glob("tensorboard/events.*"):
            target = run.tensorboard_path / events.name
            if not target.exists():
                link_or_copy(events, target)


def _source(store: SegmentStore, segment: Segment, step: int) -> RunDirectory:
    run = store.find(segment, step)
    if run is None:
        raise RunError(f"no stored segment has the snapshot at step {step} of {segment.key[:16]}")
    return run
