"""The run directory: the contract between training and everything that reads a run."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agents.atomic import write_atomically
from agents.config import ConfigError, RunConfig
from agents.processor import processor
from schedules import Phase, effective_phases

FORMAT = "staircase-lab run"
FORMAT_VERSION = 1
_PACKAGES = ("gymnasium", "numpy", "pybullet", "sb3-contrib", "stable-baselines3", "torch")


class RunError(ValueError):
    """A folder that cannot be used as a run; the message is one line for the user."""


@dataclass(frozen=True)
class Parent:
    """Where a branch was forked from.

    Attributes:
        run: Path of the parent's run directory, relative to the branch's own.
        step: Step of the snapshot at which the two part.
        phase: Index of the parent's phase that begins there, in which the branch goes its own way.
    """

    run: str
    step: int
    phase: int


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk.

    `run.json` is written once, when the run is created; what a run has reached is told by the
    snapshots and tables beside it.

    Attributes:
        path: The folder.
        config: What is trained.
        phases: Planned phases of the schedule.
        effective_phases: When each phase really holds, given how often the algorithm updates.
        steps_per_update: Environment timesteps between two readings of the rate.
        parent: Where the run was forked from; `None` for a trunk.
        held_branches: How far the held branches go that are trained with the run, `"phase"` or
            `"end"`; `None` if it has none.
        created: UTC time of creation, ISO 8601.
        versions: Versions of Python and of the packages that decide the outcome.
        git_revision: Commit of the code, with `+changes` if the tree was not clean; `None`
            outside a git checkout.
        processor: What `agents.processor.processor` gave; empty in runs that did not note it.
    """

    path: Path
    config: RunConfig
    phases: tuple[Phase, ...]
    effective_phases: tuple[Phase, ...]
    steps_per_update: int
    parent: Parent | None
    held_branches: str | None
    created: str
    versions: Mapping[str, str]
    git_revision: str | None
    processor: Mapping[str, str]

    @property
    def metrics_path(self) -> Path:
        """Table with a row for each update."""
        return self.path / "metrics.csv"

    @property
    def episodes_path(self) -> Path:
        """Table with a row for each training episode."""
        return self.path / "episodes.csv"

    @property
    def snapshots_path(self) -> Path:
        """Folder of the snapshots, each in a folder named after its step."""
        return self.path / "snapshots"

    @property
    def replay_path(self) -> Path:
        """Folder of the replay buffer's chunks, which the snapshots share."""
        return self.path / "replay"

    @property
    def divergence_path(self) -> Path:
        """File that says where the last training diverged, if it did."""
        return self.path / "diverged.json"

    @property
    def tensorboard_path(self) -> Path:
        """Folder of the TensorBoard event files."""
        return self.path / "tensorboard"

    @property
    def evaluation_path(self) -> Path:
        """Folder of evaluation returns, summaries and plots."""
        return self.path / "evaluation"

    @property
    def videos_path(self) -> Path:
        """Folder of the rollout videos."""
        return self.path / "videos"

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig,
        steps_per_update: int,
        parent: Parent | None = None,
        held_branches: str | None = None,
    ) -> RunDirectory:
        """Creates the folder of a new run and writes its `run.json`.

        Args:
            path: The folder; it must not exist yet, or be empty.
            config: What will be trained.
            steps_per_update: Environment timesteps between two readings of the rate.
            parent: Where the run was forked from.
            held_branches: Length of the held branches that belong to the run.

        Returns:
            The new run.

        Raises:
            RunError: If the folder holds anything already or cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunError(f"{path} is not empty, and an existing run is never overwritten")
            phases = config.schedule.phases(config.total_timesteps)
            run = cls(
                path=path,
                config=config,
                phases=phases,
                effective_phases=effective_phases(phases, steps_per_update),
                steps_per_update=steps_per_update,
                parent=parent,
                held_branches=held_branches,
                created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
                versions=installed_versions(),
                git_revision=_git_revision(),
                processor=processor(),
            )
            write_atomically(path / "run.json", run._to_json())
        except OSError as error:
            raise RunError(f"cannot create the run in {path}: {error.strerror}") from error
        return run

    def _to_json(self) -> bytes:
        data = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": self.created,
            "config": self.config.to_dict(),
            "phases": [dataclasses.asdict(phase) for phase in self.phases],
            "effective_phases": [dataclasses.asdict(phase) for phase in self.effective_phases],
            "steps_per_update": self.steps_per_update,
            "parent": None if self.parent is None else dataclasses.asdict(self.parent),
            "held_branches": self.held_branches,
            "versions": self.versions,
            "git_revision": self.git_revision,
            "processor": self.processor,
        }
        return (json.dumps(data, indent=2) + "\n").encode()

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Reads the run in a folder.

        Args:
            path: The folder.

        Returns:
            The run.

        Raises:
            RunError: If the folder is missing, foreign, broken or of an unknown format.
        """
        file = path / "run.json"
        if not path.is_dir():
            raise RunError(f"there is no run at {path}")
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{path} is not a run: it has no run.json") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise RunError(f"{file} was not written by this project")
        if data.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"{file} has format version {data.get('format_version')!r}; "
                f"this code reads version {FORMAT_VERSION}"
            )
        try:
            return cls(
                path=path,
                config=RunConfig.from_dict(data["config"]),
                phases=tuple(Phase(**phase) for phase in data["phases"]),
                effective_phases=tuple(Phase(**phase) for phase in data["effective_phases"]),
                steps_per_update=data["steps_per_update"],
                parent=None if data["parent"] is None else Parent(**data["parent"]),
                held_branches=data["held_branches"],
                created=data["created"],
                versions=data["versions"],
                git_revision=data["git_revision"],
                processor=data.get("processor", {}),
            )
        except (ConfigError, KeyError, TypeError) as error:
            raise RunError(f"{file} is broken: {error}") from error


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's outcome."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions


def version_changes(versions: Mapping[str, str]) -> tuple[str, ...]:
    """Packages whose installed version is not the one that was noted.

    Args:
        versions: What `installed_versions` gave at the time.

    Returns:
        One `"name old -> new"` for each; empty where exactness can be promised.
    """
    installed = installed_versions()
    return tuple(
        f"{name} {versions.get(name)} -> {installed.get(name)}"
        for name in sorted(versions.keys() | installed.keys())
        if versions.get(name) != installed.get(name)
    )


def _git_revision() -> str | None:
    source = Path(__file__).resolve().parent
    try:
        revision, changes = (
            subprocess.run(
                ["git", *command],
                cwd=source,
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{revision}+changes" if changes else revision


def new_run_path(config: RunConfig, root: Path = Path("runs")) -> Path:
    """A free path for a new run, named after its algorithm, seed and the time.

    Args:
        config: The run.
        root: Folder of all runs.

    Returns:
        `root/<env>/<algo>-seed<seed>-<UTC time>`, with a number behind it if that is taken.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    base = root / config.env / f"{config.algo}-seed{config.seed}-{stamp}"
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


def find_run(name: str | os.PathLike[str], root: Path = Path("runs")) -> RunDirectory:
    """Opens a run by its path, or the newest one.

    Args:
        name: Path of a run directory, or `"latest"` for the newest trunk below `root`.
        root: Folder in which `"latest"` is looked for.

    Returns:
        The run.

    Raises:
        RunError: If there is no such run.
    """
    if str(name) != "latest":
        return RunDirectory.open(Path(name))
    runs = []
    for file in root.glob("*/*/run.json"):
        try:
            runs.append(RunDirectory.open(file.parent))
        except RunError:
            continue
    if not runs:
        raise RunError(f"there is no run below {root.resolve()}")
    return max(runs, key=lambda run: run.created)
