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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.save_util import load_from_zip_file

from agents.learners.model import optimizers
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
from agents.snapshots.arrays import Arrays, to_npz
from agents.snapshots.replay_log import ReplayLog
from agents.snapshots.training_state import capture_state, restore_moments, restore_state

AGENT, STATE, ARRAYS = "agent.zip", "state.json", "arrays.npz"
NORMALIZER = "vecnormalize.pkl"


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
        contents = {AGENT: _to_zip(model), STATE: canonical_json(state), ARRAYS: to_npz(arrays)}
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


def snapshot_bytes(model: BaseAlgorithm) -> int:
    """How large the snapshots of a model are, without its replay buffer.

    Args:
        model: A model that nobody will train: an update of nothing is made on it.
    """
    # Without a logger of its own, SB3 would create a folder.
    model.set_logger(Logger(folder=None, output_formats=[]))
    model._setup_learn(1)
    for optimizer in optimizers(model).values():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        # What it remembers of the gradients is part of a snapshot, from its first step on.
        optimizer.step()
    state, arrays = capture_state(model)
    return sum(map(len, (_to_zip(model), canonical_json(state), to_npz(arrays))))


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
    state = json.loads(read_file(snapshot, STATE))
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
    file = io.BytesIO(read_file(snapshot, AGENT))
    _, parameters, variables = load_from_zip_file(file, device=model.device, load_data=False)
    model.set_parameters(parameters, exact_match=True, device=model.device)
    for name, value in (variables or {}).items():
        getattr(model, name).data.copy_(value.data)


def _read_arrays(snapshot: Snapshot) -> Arrays:
    with np.load(io.BytesIO(read_file(snapshot, ARRAYS)), allow_pickle=False) as arrays:
        return dict(arrays)


def _to_zip(model: BaseAlgorithm) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def _state_digest(
    model: BaseAlgorithm, contents: Mapping[str, bytes], replay: Mapping[str, Any] | None
) -> str:
    digest = hashlib.sha256(contents[STATE])
    # The .npz is an archive whose bytes are its content's: fixed names, order and dates.
    digest.update(contents[ARRAYS])
    digest.update(canonical_json(replay))
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
