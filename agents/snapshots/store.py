"""Snapshots: everything needed to continue a run bit for bit, checksummed and written atomically.

A snapshot is a folder `snapshots/<step>/`:

* `agent.zip`: the model as SB3 saves it. `SAC.load` reads it; this project takes only the
  tensors from it and never unpickles the rest.
* `vecnormalize.pkl`: where observations or rewards are normalised, the statistics as SB3 saves
  them, for `VecNormalize.load`; this project has them in `arrays.npz` and never reads the file.
* `state.json` and `arrays.npz`: counters, generators, environments, the buffer's last rows.
* `manifest.json`: checksums of these, of the replay chunks that belong to it and of the tables
  up to this step, and `state_sha256`, which two snapshots share exactly if their runs will go on
  identically.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from agents.learners.model import optimizers
from agents.runs.directory import RunDirectory, RunError, installed_versions, snapshot_steps
from agents.runs.files import sync_directory, write_synced
from agents.runs.processor import processor
from agents.runs.tables import matches_mark, rewind_table
from agents.snapshots.arrays import Arrays, to_npz
from agents.snapshots.replay_log import ReplayLog
from agents.snapshots.training_state import capture_state, restore_moments, restore_state

FORMAT = "staircase-lab snapshot"
FORMAT_VERSION = 1
KEPT_PERIODIC = 2

AGENT, STATE, ARRAYS, MANIFEST = "agent.zip", "state.json", "arrays.npz", "manifest.json"
NORMALIZER = "vecnormalize.pkl"


class DamagedSnapshot(RunError):
    """A snapshot that is incomplete or not as it was written; an older one may be good."""


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
        state_sha256: Checksum of all that later steps depend on, free of wall-clock times.
        tables: The mark of each table, by file name.
        files: SHA-256 of each file of the folder.
        replay: JSON data of the replay log; `None` for on-policy algorithms.
        versions: Package versions that wrote it.
        processor: The processor that wrote it; empty in snapshots that did not note it.
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


def save_snapshot(
    run: RunDirectory,
    model: BaseAlgorithm,
    replay_log: ReplayLog | None,
    tables: Mapping[str, Mapping[str, Any]],
    *,
    phase_end: int | None,
    final: bool,
    elapsed_s: float,
) -> Snapshot:
    """Writes a snapshot of a run.

    Args:
        run: The run.
        model: Its model, between an update and the next step.
        replay_log: The log of the model's replay buffer, if it has one.
        tables: Marks of the run's tables.
        phase_end: Index of the phase that ends here, if one does.
        final: Whether the run is complete.
        elapsed_s: Seconds trained so far.

    Returns:
        The snapshot on disk.

    Raises:
        RunError: If it cannot be written; everything written before stays as it was.
        ConnectionError, EOFError: If an environment's process has died.
    """
    step = model.num_timesteps
    path = run.snapshots_path / str(step)
    temporary = run.snapshots_path / f".{step}.tmp"
    # Outside the block below: an environment that died is no full disk.
    state, arrays = capture_state(model)
    try:
        replay = None
        if replay_log is not None:
            replay, rows = replay_log.snapshot(step // model.n_envs)
            arrays.update({f"replay.{name}": value for name, value in rows.items()})
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        contents = {AGENT: _to_zip(model), STATE: _to_json(state), ARRAYS: to_npz(arrays)}
        if (normalizer := model.get_vec_normalize_env()) is not None:
            # As `VecNormalize.save` writes it, which takes a path alone.
            contents[NORMALIZER] = pickle.dumps(normalizer)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "step": step,
            "phase_end": phase_end,
            "final": final,
            "elapsed_s": round(elapsed_s, 3),
            "state_sha256": _state_digest(model, contents, replay),
            "tables": tables,
            "files": {name: _sha256(data) for name, data in contents.items()},
            "replay": replay,
            "versions": installed_versions(),
            "processor": processor(),
        }
        manifest["manifest_sha256"] = _sha256(_to_json(manifest))
        for name, data in {**contents, MANIFEST: _to_json(manifest)}.items():
            write_synced(temporary / name, data)
        sync_directory(temporary)
        temporary.rename(path)
        sync_directory(run.snapshots_path)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"cannot write the snapshot at step {step} in {run.path}: {error.strerror or error}; "
            "earlier snapshots are untouched"
        ) from error
    return read_snapshot(run, step)


def read_snapshot(run: RunDirectory, step: int) -> Snapshot:
    """Reads and checks the manifest of a snapshot.

    Args:
        run: The run.
        step: Step of the snapshot.

    Returns:
        What the manifest says; its files are checked when they are read.

    Raises:
        DamagedSnapshot: If the manifest is missing or is not as it was written.
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
    if _sha256(_to_json(described)) != checksum or manifest["step"] != step:
        raise DamagedSnapshot(f"snapshot {path}: the manifest does not match its checksum")
    try:
        snapshot = Snapshot(path=path, **manifest)
        names = [*snapshot.files, *snapshot.tables, *_chunks(snapshot)]
    except (KeyError, TypeError) as error:
        raise DamagedSnapshot(f"snapshot {path}: the manifest is incomplete ({error})") from None
    for name in names:
        if Path(name).name != name or name == "..":
            raise DamagedSnapshot(f"snapshot {path}: {name!r} is not the name of a file of the run")
    return snapshot


def check_snapshot(run: RunDirectory, snapshot: Snapshot) -> None:
    """Checks every file that a run would be continued from.

    Args:
        run: The run.
        snapshot: One of its snapshots.

    Raises:
        DamagedSnapshot: If a file, a replay chunk or a table is missing or altered.
    """
    for name in snapshot.files:
        _read_file(snapshot, name)
    for name, checksum in _chunks(snapshot).items():
        try:
            matches = _sha256((run.replay_path / name).read_bytes()) == checksum
        except OSError as error:
            raise DamagedSnapshot(
                f"snapshot {snapshot.path}: replay/{name}: {error.strerror}"
            ) from None
        if not matches:
            raise DamagedSnapshot(f"snapshot {snapshot.path}: replay/{name} was altered")
    for name, mark in snapshot.tables.items():
        if not matches_mark(run.path / name, mark):
            raise DamagedSnapshot(f"snapshot {snapshot.path}: {name} has lost rows or was altered")


def newest_good_snapshot(run: RunDirectory) -> tuple[Snapshot | None, tuple[str, ...]]:
    """Finds the snapshot from which a run can be continued.

    Args:
        run: The run.

    Returns:
        The newest snapshot that passes every check, `None` if there is no snapshot at all; and
        one line for each newer one that does not pass.

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


def snapshot_bytes(model: BaseAlgorithm) -> int:
    """How large the snapshots of a model are, without its replay buffer.

    Args:
        model: A model that nobody will train: an update of nothing is made on it.
    """
    model._setup_learn(1)
    for optimizer in optimizers(model).values():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        # What it remembers of the gradients is part of a snapshot, from its first step on.
        optimizer.step()
    state, arrays = capture_state(model)
    return sum(map(len, (_to_zip(model), _to_json(state), to_npz(arrays))))


def load_snapshot(snapshot: Snapshot, model: BaseAlgorithm, replay_log: ReplayLog | None) -> None:
    """Puts a model, its environments and the process's generators into the state of a snapshot.

    Args:
        snapshot: A checked snapshot.
        model: A model built from the run's config, inside `learn()` between an update and the
            next step.
        replay_log: The log of the model's replay buffer, if it has one.

    Raises:
        DamagedSnapshot: If a file was altered.
        RunError: If an episode cannot be continued here bit for bit.
        ValueError: If the snapshot belongs to another kind of model.
    """
    state = json.loads(_read_file(snapshot, STATE))
    arrays = _read_arrays(snapshot)
    load_parameters(snapshot, model)
    if replay_log is not None and snapshot.replay is not None:
        rows = {
            name.removeprefix("replay."): value
            for name, value in arrays.items()
            if name.startswith("replay.")
        }
        replay_log.restore(snapshot.replay, rows)
    restore_state(model, state, arrays)


def load_acting(snapshot: Snapshot, model: BaseAlgorithm) -> None:
    """Loads what is needed to act, not to train on: networks and observation statistics.

    Args:
        snapshot: A snapshot.
        model: A model built from the run's config.

    Raises:
        DamagedSnapshot: If a file was altered.
    """
    load_parameters(snapshot, model)
    restore_moments(model, _read_arrays(snapshot))


def load_parameters(snapshot: Snapshot, model: BaseAlgorithm) -> None:
    """Loads the networks, the optimizers and the loose tensors such as the entropy coefficient.

    Args:
        snapshot: A snapshot.
        model: A model built from the run's config.

    Raises:
        DamagedSnapshot: If the file was altered.
    """
    file = io.BytesIO(_read_file(snapshot, AGENT))
    _, parameters, variables = load_from_zip_file(file, device=model.device, load_data=False)
    model.set_parameters(parameters, exact_match=True, device=model.device)
    for name, value in (variables or {}).items():
        getattr(model, name).data.copy_(value.data)


def copy_past(run: RunDirectory, snapshot: Snapshot, other: RunDirectory) -> None:
    """Gives a new run the past of another: a snapshot with all that a run is continued from.

    Args:
        run: The run that has the past.
        snapshot: Its snapshot, checked.
        other: The run that gets it, still without tables, chunks and snapshots.

    Raises:
        RunError: If something cannot be copied.
    """
    try:
        for name, mark in snapshot.tables.items():
            shutil.copy2(run.path / name, other.path / name)
            rewind_table(other.path / name, mark["bytes"])
        if snapshot.replay is not None:
            other.replay_path.mkdir()
            for name in _chunks(snapshot):
                _link_or_copy(run.replay_path / name, other.replay_path / name)
        other.snapshots_path.mkdir()
        temporary = other.snapshots_path / f".{snapshot.step}.tmp"
        shutil.copytree(snapshot.path, temporary)
        temporary.rename(other.snapshots_path / str(snapshot.step))
    except OSError as error:
        raise RunError(
            f"cannot copy {snapshot.path} to {other.path}: {error.strerror or error}"
        ) from error


def _link_or_copy(source: Path, target: Path) -> None:
    """Puts a replay chunk into another run; as none is ever rewritten, both may share the disk."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


class Pruning:
    """Removes periodic snapshots but the newest few, and replay chunks that none needs any more.

    What there is is read once, so that a snapshot costs the same however many came before it.

    Args:
        run: The run, locked by the caller, who adds all snapshots from now on.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._replay_path = run.replay_path
        self._periodic: deque[Snapshot] = deque()
        self._uses: Counter[str] = Counter()
        for step in snapshot_steps(run):
            try:
                self._note(read_snapshot(run, step))
            except DamagedSnapshot:
                continue

    def add(self, snapshot: Snapshot) -> None:
        """Notes a new snapshot and removes what it makes superfluous.

        Args:
            snapshot: The newest snapshot of the run.
        """
        self._note(snapshot)
        while len(self._periodic) > KEPT_PERIODIC:
            doomed = self._periodic.popleft()
            self._uses.subtract(list(_chunks(doomed)))
            remove_snapshot(doomed.path)
        newest = max(_chunks(snapshot), default="")
        for chunk in self._replay_path.glob("*.npz"):
            if self._uses[chunk.name] == 0 and chunk.name < newest:
                chunk.unlink()

    def _note(self, snapshot: Snapshot) -> None:
        self._uses.update(list(_chunks(snapshot)))
        if snapshot.phase_end is None and not snapshot.final:
            self._periodic.append(snapshot)


def _chunks(snapshot: Snapshot) -> Mapping[str, str]:
    """Checksums of the replay chunks that a snapshot needs, by name."""
    return {} if snapshot.replay is None else snapshot.replay["chunks"]


def remove_snapshot(path: Path) -> None:
    """Removes a snapshot so that no reader finds half of it.

    Args:
        path: Its folder.
    """
    doomed = path.with_name(f".{path.name}.old.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(run: RunDirectory) -> None:
    """Removes what a killed process left half written or half removed.

    Args:
        run: The run, locked by the caller.
    """
    for folder in (run.path, run.snapshots_path, run.replay_path):
        for path in folder.glob(".*.tmp"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _read_file(snapshot: Snapshot, name: str) -> bytes:
    try:
        data = (snapshot.path / name).read_bytes()
    except OSError as error:
        raise DamagedSnapshot(f"snapshot {snapshot.path}: {name}: {error.strerror}") from None
    if _sha256(data) != snapshot.files[name]:
        raise DamagedSnapshot(f"snapshot {snapshot.path}: {name} does not match its checksum")
    return data


def _read_arrays(snapshot: Snapshot) -> Arrays:
    with np.load(io.BytesIO(_read_file(snapshot, ARRAYS)), allow_pickle=False) as arrays:
        return dict(arrays)


def _to_zip(model: BaseAlgorithm) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def _to_json(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _state_digest(
    model: BaseAlgorithm, contents: Mapping[str, bytes], replay: Mapping[str, Any] | None
) -> str:
    digest = hashlib.sha256(contents[STATE])
    # The .npz is an archive whose bytes are its content's: fixed names, order and dates.
    digest.update(contents[ARRAYS])
    digest.update(_to_json(replay))
    variables = model._get_torch_save_params()[1]
    _hash_tree(
        digest, {**model.get_parameters(), **{name: getattr(model, name) for name in variables}}
    )
    return digest.hexdigest()


def _hash_tree(digest: Any, tree: object) -> None:  # noqa: ANN401 - hashlib's type has no name
    if isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            digest.update(str(key).encode())
            _hash_tree(digest, tree[key])
    elif isinstance(tree, torch.Tensor):
        digest.update(f"{tree.dtype}{tuple(tree.shape)}".encode())
        digest.update(tree.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for item in tree:
            _hash_tree(digest, item)
    else:
        digest.update(repr(tree).encode())
