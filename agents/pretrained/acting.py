"""From a run to an agent that comes with the lab, and from that to one that acts."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.config import ConfigError, RunConfig
from agents.learners.learner import Arrays
from agents.presets import is_preset
from agents.pretrained.catalogue import (
    FOLDER,
    MANIFEST,
    POLICY,
    Pretrained,
    find_pretrained,
)
from agents.runs.directory import RunDirectory, RunError, is_complete
from agents.runs.files import write_synced
from agents.runs.manifest import read_snapshot, sha256
from agents.snapshots.agent import Agent
from agents.snapshots.arrays import to_npz


def load_pretrained(name: str) -> Agent:
    """Loads an agent that comes with the lab, to act with.

    Args:
        name: Its name, which is that of its task: one of `pretrained_names()`.

    Returns:
        The agent, whose `predict` takes raw observations of the task.

    Raises:
        ConfigError: If there is none of that name.
        RunError: If one of its files is damaged.
    """
    return acting(find_pretrained(name))


def acting(pretrained: Pretrained) -> Agent:
    """Loads an agent from its files.

    Args:
        pretrained: The agent on disk.

    Raises:
        RunError: If one of its files is damaged.
    """
    try:
        with np.load(io.BytesIO(pretrained.read(POLICY)), allow_pickle=False) as file:
            arrays: Arrays = dict(file)
        agent = Agent(pretrained.config)
        agent.load_policy(arrays)
    except ValueError as error:
        if isinstance(error, RunError | ConfigError):
            raise
        raise RunError(f"{pretrained.folder / POLICY} cannot be used: {error}") from error
    return agent


def publish(
    run: RunDirectory,
    evaluation: Mapping[str, Any],
    folder: Path = FOLDER,
) -> Pretrained:
    """Writes the agent at the end of a run as one that comes with the lab.

    An older one of the same task is replaced.

    Args:
        run: A complete run.
        evaluation: Its results, as in `Pretrained`.
        folder: Where the agents lie.

    Returns:
        The agent on disk.

    Raises:
        RunError: If the run is not complete, its last snapshot is damaged, or the agent cannot be
            written.
    """
    if not is_complete(run):
        raise RunError(f"{run.path} is not complete: python train.py --resume {run.path}")
    step = run.phase_end_steps[run.effective_phases[-1].index]
    snapshot = read_snapshot(run, step)
    agent = Agent(run.config)
    agent.load(snapshot)
    files = {POLICY: to_npz(agent.policy())}
    # As JSON would give it back, so that it equals what is read.
    evaluation = json.loads(json.dumps(evaluation))
    described = Pretrained(
        folder=folder / run.config.env,
        config=run.config,
        step=step,
        command=training_command(run.config),
        evaluation=evaluation,
        state_sha256=snapshot.state_sha256,
        files={name: sha256(data) for name, data in files.items()},
        versions=run.versions,
        git_revision=run.git_revision,
        processor=run.processor,
    )
    try:
        shutil.rmtree(described.folder, ignore_errors=True)
        described.folder.mkdir(parents=True)
        # The manifest comes last: without it there is no agent.
        for name, data in {**files, MANIFEST: described.to_json()}.items():
            write_synced(described.folder / name, data)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write the agent to {described.folder}: {reason}") from error
    return described


def training_command(config: RunConfig) -> str:
    """The command that trains a run again.

    Args:
        config: What is trained.
    """
    if is_preset(config):
        return f"python train.py --env {config.env} --algo {config.algo} --seed {config.seed}"
    return f"python train.py --config agents/pretrained/{config.env}/{MANIFEST}"
