"""Manifests, which describe snapshots and detect damage to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.runs.directory import RunDirectory, RunError, snapshot_steps
from agents.runs.tables import matches_mark

MANIFEST = "manifest.json"
FORMAT = "staircase-lab snapshot"


FORMAT_VERSION = 1


class DamagedSnapshot(RunError):
    """A snapshot that is incomplete or was altered; an older one may be good."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk, as its manifest describes it.

    Attributes:
        path: Its folder.
        step: Environment timesteps trained so far.
        phase_end: Index of the phase that ends here, for snapshots at a boundary or at the end;
            the next update, if any, belongs to a later phase.
        final: Whether the run is complete.
        elapsed_s: Seconds trained so far.
        state_sha256: Checksum of everything that later steps depend on, without wall-clock times.
        tables: The mark of each table, by file name.
        files: SHA-256 of each file of the folder.
        replay: JSON data of the replay log; `None` for on-policy algorithms.
        versions: Package versions that wrote it.
        processor: The processor that wrote it; empty in older snapshots.
    """

    path: Path
    step: int
    phase_end: int | None
    final: bool
    elapsed_s: float
    state_sha256: str
    tables: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]
    replay: Mapping[str, Any] | None
    versions: Mapping[str, str]
    processor: Mapping[str, str] = field(default_factory=dict)


def read_snapshot(run: RunDirectory, step: int) -> Snapshot:
    """Reads and checks the manifest of a snapshot.

    Args:
        run: The run.
        step: Step of the snapshot.

    Returns:
        The snapshot as its manifest describes it; its files are checked when they are read.

    Raises:
        DamagedSnapshot: If the manifest is missing or was altered.
        RunError: If it has an unknown format.
    """
    path = run.snapshots_path / str(step)
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        checksum = manifest.pop("manifest_sha256")
        kind, format_version = manifest.pop("format"), manifest.pop("format_version")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedSnapshot(f"snapshot {path}: the manifest cannot be read ({error})") from None
    if (kind, format_version) != (FORMAT, FORMAT_VERSION):
        raise RunError(
            f"snapshot {path} has format {kind!r} version {format_version!r}; "
            f"this code reads {FORMAT!r} version {FORMAT_VERSION}"
        )
    described = {"format": kind, "format_version": format_version, **manifest}
    if sha256(canonical_json(described)) != checksum or manifest["step"] != step:
        raise DamagedSnapshot(f"snapshot {path}: the manifest does not match its checksum")
    try:
        snapshot = Snapshot(path=path, **manifest)
        names = [*snapshot.files, *snapshot.tables, *replay_chunks(snapshot)]
    except (KeyError, TypeError) as error:
        raise DamagedSnapshot(f"snapshot {path}: the manifest is incomplete ({error})") from None
    for name in names:
        if Path(name).name != name or name == "..":
            raise DamagedSnapshot(f"snapshot {path}: {name!r} is not the name of a file of the run")
    return snapshot


def check_snapshot(run: RunDirectory, snapshot: Snapshot) -> None:
    """Checks every file that is needed to continue a run.

    Args:
        run: The run.
        snapshot: One of its snapshots.

    Raises:
        DamagedSnapshot: If a file, a replay chunk or a table is missing or altered.
    """
    check_files(snapshot)
    for name, checksum in replay_chunks(snapshot).items():
        try:
            matches = sha256((run.replay_path / name).read_bytes()) == checksum
        except OSError as error:
            raise DamagedSnapshot(
                f"snapshot {snapshot.path}: replay/{name}: {error.strerror}"
            ) from None
        if not matches:
            raise DamagedSnapshot(f"snapshot {snapshot.path}: replay/{name} was altered")
    for name, mark in snapshot.tables.items():
        if not matches_mark(run.path / name, mark):
            raise DamagedSnapshot(f"snapshot {snapshot.path}: {name} has lost rows or was altered")


def check_files(snapshot: Snapshot) -> None:
    """Checks the files of a snapshot's folder, which are all that its agent needs to act.

    Args:
        snapshot: The snapshot.

    Raises:
        DamagedSnapshot: If one is missing or altered.
    """
    for name in snapshot.files:
        read_file(snapshot, name)


def newest_good_snapshot(run: RunDirectory) -> tuple[Snapshot | None, tuple[str, ...]]:
    """Finds the snapshot from which a run can be continued.

    Args:
        run: The run.

    Returns:
        The newest snapshot that passes every check, or `None` if there is no snapshot at all, and
        one line for each newer snapshot that fails a check.

    Raises:
        RunError: If there are snapshots and none is good, or one has an unknown format.
    """
    damaged = []
    for step in reversed(snapshot_steps(run)):
        try:
            snapshot = read_snapshot(run, step)
            check_snapshot(run, snapshot)
        except DamagedSnapshot as error:
            damaged.append(str(error))
        else:
            return snapshot, tuple(damaged)
    if damaged:
        raise RunError(f"no snapshot of {run.path} is good: {'; '.join(damaged)}")
    return None, ()


def replay_chunks(snapshot: Snapshot) -> Mapping[str, str]:
    """Returns the checksums of the replay chunks that a snapshot needs, by name."""
    return {} if snapshot.replay is None else snapshot.replay["chunks"]


def read_file(snapshot: Snapshot, name: str) -> bytes:
    """Reads a file of a snapshot.

    Args:
        snapshot: The snapshot.
        name: Name of the file, one of `snapshot.files`.

    Raises:
        DamagedSnapshot: If it is missing or was altered.
    """
    try:
        data = (snapshot.path / name).read_bytes()
    except OSError as error:
        raise DamagedSnapshot(f"snapshot {snapshot.path}: {name}: {error.strerror}") from None
    if sha256(data) != snapshot.files[name]:
        raise DamagedSnapshot(f"snapshot {snapshot.path}: {name} does not match its checksum")
    return data


def canonical_json(data: object) -> bytes:
    """Returns JSON in a canonical form: equal data gives equal bytes, and so equal checksums."""
    return json.dumps(data, indent=1, sort_keys=True).encode()


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
