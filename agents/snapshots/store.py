"""Snapshots: everything needed to continue a run bit for bit, checksummed and written atomically.

A snapshot is a folder `snapshots/<step>/`:

* `agent.zip`: the model as SB3 saves it. `SAC.load` reads it; this project takes only the
  tensors from it and never unpickles the rest.
* `vecnormalize.pkl`: if observations or rewards are normalised, the statistics as SB3 saves
  them, for `VecNormalize.load`; this project reads them from `arrays.npz` instead.
* `state.json` and `arrays.npz`: counters, generators, environments, the buffer's last rows.
* `manifest.json`: checksums of these files, of the snapshot's replay chunks and of the tables up
  to this step, and `state_sha256`, which is equal if and only if two runs continue identically.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.learners.learner import Arrays, Learner, LearnerState
from agents.runs.directory import RunDirectory, RunError
from agents.runs.files import sync_directory, write_synced
from agents.runs.manifest import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    Snapshot,
    canonical_json,
    read_file,
    read_snapshot,
    sha256,
)
from agents.runs.provenance import installed_versions, processor
from agents.snapshots.arrays import to_npz
from agents.snapshots.replay_log import ReplayLog

STATE, ARRAYS = "state.json", "arrays.npz"
_REPLAY = "replay."


def save_snapshot(
    run: RunDirectory,
    learner: Learner,
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
        learner: Its learner, between an update and the next step.
        replay_log: The log of the learner's replay buffer, if it has one.
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
    step = learner.step
    path = run.snapshots_path / str(step)
    temporary = run.snapshots_path / f".{step}.tmp"
    # Outside the block below: a dead worker's OSError must not be reported as a disk error.
    state = learner.capture()
    try:
        replay, arrays = None, state.arrays
        if replay_log is not None:
            replay, rows = replay_log.snapshot(step)
            arrays = arrays | {f"{_REPLAY}{name}": value for name, value in rows.items()}
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        contents = {STATE: canonical_json(state.data), ARRAYS: to_npz(arrays), **state.files}
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "step": step,
            "phase_end": phase_end,
            "final": final,
            "elapsed_s": round(elapsed_s, 3),
            "state_sha256": _state_digest(contents, replay, learner.parameters()),
            "tables": tables,
            "files": {name: sha256(data) for name, data in contents.items()},
            "replay": replay,
            "versions": installed_versions(),
            "processor": processor(),
        }
        manifest["manifest_sha256"] = sha256(canonical_json(manifest))
        for name, data in {**contents, MANIFEST: canonical_json(manifest)}.items():
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


def snapshot_bytes(learner: Learner) -> int:
    """Estimates the size of a snapshot without its replay buffer, in bytes.

    Args:
        learner: A learner that nobody will train.
    """
    state = learner.example_state()
    files = sum(map(len, state.files.values()))
    return files + len(canonical_json(state.data)) + len(to_npz(state.arrays))


def load_snapshot(snapshot: Snapshot, learner: Learner, replay_log: ReplayLog | None) -> None:
    """Restores a learner, its environments and the process's generators from a snapshot.

    Args:
        snapshot: A checked snapshot.
        learner: A learner built from the run's config, training, and at the start of a rollout.
        replay_log: The log of the learner's replay buffer, if it has one.

    Raises:
        DamagedSnapshot: If a file was altered.
        RunError: If an episode cannot be continued here bit for bit.
        ValueError: If the snapshot belongs to another kind of learner.
    """
    state = _read_state(snapshot)
    _restore_replay(snapshot, state, replay_log)
    learner.restore(state)


def load_experience(snapshot: Snapshot, learner: Learner, replay_log: ReplayLog) -> None:
    """Restores the replay buffer and the environments of another run, and nothing of its agent.

    Args:
        snapshot: A checked snapshot of a run with the same environments.
        learner: A learner that is training, at the start of a rollout.
        replay_log: The log of its replay buffer.

    Raises:
        DamagedSnapshot: If a file was altered.
        RunError: If an episode cannot be continued here bit for bit.
    """
    state = _read_state(snapshot)
    _restore_replay(snapshot, state, replay_log)
    learner.restore_experience(state)


def _restore_replay(snapshot: Snapshot, state: LearnerState, replay_log: ReplayLog | None) -> None:
    if replay_log is not None and snapshot.replay is not None:
        rows = {
            name.removeprefix(_REPLAY): value
            for name, value in state.arrays.items()
            if name.startswith(_REPLAY)
        }
        replay_log.restore(snapshot.replay, rows)


def load_acting(snapshot: Snapshot, learner: Learner) -> None:
    """Loads only what is needed to act: networks and observation statistics.

    Args:
        snapshot: A snapshot.
        learner: A learner built from the run's config.

    Raises:
        DamagedSnapshot: If a file was altered.
    """
    learner.restore_acting(_read_state(snapshot))


def _read_state(snapshot: Snapshot) -> LearnerState:
    with np.load(io.BytesIO(read_file(snapshot, ARRAYS)), allow_pickle=False) as file:
        arrays: Arrays = dict(file)
    names = snapshot.files.keys() - {STATE, ARRAYS}
    return LearnerState(
        data=json.loads(read_file(snapshot, STATE)),
        arrays=arrays,
        files={name: read_file(snapshot, name) for name in names},
    )


def _state_digest(
    contents: Mapping[str, bytes], replay: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> str:
    digest = hashlib.sha256(contents[STATE])
    # The archive has fixed names, order and dates, so its bytes depend on its content alone.
    digest.update(contents[ARRAYS])
    digest.update(canonical_json(replay))
    _hash_tree(digest, parameters)
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
