"""Keeping, removing and copying the snapshots of a run."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from pathlib import Path

from agents.runs.directory import RunDirectory, RunError, snapshot_steps
from agents.runs.files import link_or_copy
from agents.runs.manifest import DamagedSnapshot, Snapshot, read_snapshot, replay_chunks
from agents.runs.tables import rewind_table

KEPT_PERIODIC = 2


def copy_past(run: RunDirectory, snapshot: Snapshot, other: RunDirectory) -> None:
    """Copies a snapshot into a new run, with everything needed to continue from it.

    Args:
        run: The run to copy from.
        snapshot: Its snapshot, checked.
        other: The run to copy to, still without tables, chunks and snapshots.

    Raises:
        RunError: If something cannot be copied.
    """
    try:
        for name, mark in snapshot.tables.items():
            shutil.copy2(run.path / name, other.path / name)
            rewind_table(other.path / name, mark["bytes"])
        if snapshot.replay is not None:
            other.replay_path.mkdir()
            for name in replay_chunks(snapshot):
                link_or_copy(run.replay_path / name, other.replay_path / name)
        other.snapshots_path.mkdir()
        temporary = other.snapshots_path / f".{snapshot.step}.tmp"
        shutil.copytree(snapshot.path, temporary, copy_function=link_or_copy)
        temporary.rename(other.snapshots_path / str(snapshot.step))
    except OSError as error:
        raise RunError(
            f"cannot copy {snapshot.path} to {other.path}: {error.strerror or error}"
        ) from error


class Pruning:
    """Removes all but the newest periodic snapshots, and replay chunks that are no longer needed.

    The folder is read only once, so the cost of a snapshot does not grow with their number.

    Args:
        run: The run, locked by the caller, which must `add` every new snapshot.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._replay_path = run.replay_path
        self._periodic: deque[Snapshot] = deque()
        self._uses: Counter[str] = Counter()
        for step in snapshot_steps(run):
            try:
                self._note(read_snapshot(run, step))
            except DamagedSnapshot:
                continue

    def add(self, snapshot: Snapshot) -> None:
        """Registers a new snapshot and removes what it makes superfluous.

        Args:
            snapshot: The newest snapshot of the run.
        """
        self._note(snapshot)
        while len(self._periodic) > KEPT_PERIODIC:
            doomed = self._periodic.popleft()
            self._uses.subtract(list(replay_chunks(doomed)))
            remove_snapshot(doomed.path)
        newest = max(replay_chunks(snapshot), default="")
        for chunk in self._replay_path.glob("*.npz"):
            if self._uses[chunk.name] == 0 and chunk.name < newest:
                chunk.unlink()

    def _note(self, snapshot: Snapshot) -> None:
        self._uses.update(list(replay_chunks(snapshot)))
        kept = snapshot.final or self._run.keeps_snapshot_at(snapshot.step)
        if snapshot.phase_end is None and not kept:
            self._periodic.append(snapshot)


def remove_snapshot(path: Path) -> None:
    """Removes a snapshot so that readers never find half of it.

    Args:
        path: Its folder.
    """
    doomed = path.with_name(f".{path.name}.old.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(run: RunDirectory) -> None:
    """Removes what a killed process left half-written or half-removed.

    Args:
        run: The run, locked by the caller.
    """
    for folder in (run.path, run.snapshots_path, run.replay_path):
        for path in folder.glob(".*.tmp"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
