"""What an agent that comes with the lab is on disk; needs neither torch nor SB3.

Each agent is a folder named after its task, beside this file:

* `agent.json`: the complete config, the command that trained it and at which step it was taken,
  its results in the evaluation episodes, what it was trained with, and checksums of the others. It
  is also a config file: `train.py --config .../agent.json` trains the agent again.
* `policy.npz`: the networks that choose actions and the statistics of normalised observations, as
  arrays. Critics, optimizers and the replay buffer are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.config import ConfigError, RunConfig
from agents.runs.directory import RunError
from agents.runs.manifest import sha256
from agents.runs.stored_values import (
    StoredValueError,
    stored,
    stored_integer,
    stored_mapping,
    stored_text,
)
from envs.choices import unknown_choice

FORMAT, FORMAT_VERSION = "staircase-lab agent", 1
MANIFEST, POLICY = "agent.json", "policy.npz"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Pretrained:
    """An agent on disk, as its `agent.json` describes it.

    Attributes:
        folder: Where it lies.
        config: What was trained.
        step: Environment timesteps trained when the agent was taken: the end of the run.
        command: What trained it.
        evaluation: Results in the evaluation episodes: `episodes`, and `mean_return`,
            `interquartile_mean_return` and `success_rate` with `value`, `low` and `high`.
        state_sha256: Checksum of the snapshot that it was taken from.
        files: SHA-256 of each other file of the folder.
        versions: Package versions that trained it.
        git_revision: Commit of the code that trained it; `None` if unknown.
        processor: The processor that trained it.
    """

    folder: Path
    config: RunConfig
    step: int
    command: str
    evaluation: Mapping[str, Any]
    state_sha256: str
    files: Mapping[str, str]
    versions: Mapping[str, str]
    git_revision: str | None
    processor: Mapping[str, str]

    def to_json(self) -> bytes:
        """Returns the content of `agent.json`."""
        data = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "task": self.config.env,
            "algorithm": self.config.algo,
            "step": self.step,
            "command": self.command,
            "evaluation": self.evaluation,
            "state_sha256": self.state_sha256,
            "files": self.files,
            "config": self.config.to_dict(),
            "versions": self.versions,
            "git_revision": self.git_revision,
            "processor": self.processor,
        }
        return (json.dumps(data, indent=2) + "\n").encode()

    def read(self, name: str) -> bytes:
        """Reads a file and checks it.

        Args:
            name: A key of `files`.

        Raises:
            RunError: If it is missing or was altered.
        """
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from None
        if sha256(data) != self.files[name]:
            raise RunError(f"{path} does not match its checksum in {MANIFEST}")
        return data


def pretrained_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the agents that come with the lab, in order.

    Args:
        folder: Where they lie.
    """
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")))


def find_pretrained(name: str, folder: Path = FOLDER) -> Pretrained:
    """Reads what there is to know of an agent that comes with the lab.

    Args:
        name: Its name, one of `pretrained_names()`.
        folder: Where they lie.

    Returns:
        The agent; its files are checked when they are read.

    Raises:
        ConfigError: If there is none of that name.
        RunError: If its `agent.json` is damaged or of an unknown format.
    """
    if name not in (names := pretrained_names(folder)):
        raise ConfigError(unknown_choice("pretrained agent", name, names))
    file = folder / name / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}") from error
    try:
        return _described(file.parent, stored_mapping(data, "it"))
    except (StoredValueError, ConfigError) as error:
        raise RunError(f"{file} is broken: {error}") from error


def _described(folder: Path, data: Mapping[str, Any]) -> Pretrained:
    kind, version = data.get("format"), data.get("format_version")
    if (kind, version) != (FORMAT, FORMAT_VERSION):
        raise StoredValueError(
            f"format must be {FORMAT!r} version {FORMAT_VERSION}, got {kind!r} version {version!r}"
        )
    files = stored_mapping(stored(data, "files"), "files")
    for name, checksum in files.items():
        stored_text(checksum, f"files.{name}")
        if Path(name).name != name or name == "..":
            raise StoredValueError(f"files.{name} is not the name of a file of the folder")
    if POLICY not in files:
        raise StoredValueError(f"files.{POLICY} is missing")
    revision = stored(data, "git_revision")
    return Pretrained(
        folder=folder,
        config=RunConfig.from_dict(stored_mapping(stored(data, "config"), "config")),
        step=stored_integer(stored(data, "step"), "step", minimum=1),
        command=stored_text(stored(data, "command"), "command"),
        evaluation=stored_mapping(stored(data, "evaluation"), "evaluation"),
        state_sha256=stored_text(stored(data, "state_sha256"), "state_sha256"),
        files=files,
        versions=stored_mapping(stored(data, "versions"), "versions"),
        git_revision=None if revision is None else stored_text(revision, "git_revision"),
        processor=stored_mapping(stored(data, "processor"), "processor"),
    )
