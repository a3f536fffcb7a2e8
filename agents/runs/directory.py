"""The run directory: the contract between training and everything that reads a run."""

from __future__ import annotations

import dataclasses
import json
import os
import reprlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import envs
from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.runs.files import write_atomically
from agents.runs.provenance import git_revision, installed_versions, processor
from agents.runs.spans import spans
from agents.runs.stored_values import (
    StoredValueError,
    require_equal,
    stored,
    stored_integer,
    stored_mapping,
    stored_text,
)
from schedules import Phase, effective_phases
from schedules.registry import SCHEDULES

FORMAT = "staircase-lab run"
FORMAT_VERSION = 1
BRANCH_LENGTHS = ("phase", "end")
LONGEST_REASON = 400
FRESH_AGENT, RESET_UNITS = FORKED_STATES = ("fresh agent", "dormant units reset")
"""What a fork may do to its snapshot's state: keep only the replay buffer and the environments, or
give hidden units that do nothing new weights."""
# Keys that every run has. Later keys have defaults that describe how older runs were trained.
_CONFIG_KEYS = (
    *("seed", "n_envs", "vec_env", "reward", "control", "device", "snapshot_every"),
    *("hyperparameters", "her", "action_noise", "normalize"),
)


class RunError(ValueError):
    """A folder that cannot be used as a run; the message is one line for the user."""


@dataclass(frozen=True)
class Parent:
    """Where a branch was forked from.

    Attributes:
        run: Path of the parent's run directory, relative to the branch's own.
        step: Step of the snapshot at the fork.
        phase: Index of the parent's phase at the next update.
        state_sha256: Checksum of that snapshot's state; `None` in older branches, which did not
            record it.
        generator_seed: Seed that all generators get at the fork; `None` if they are not reseeded.
        state: What is done to the state at the fork, one of `FORKED_STATES`; `None` for nothing.
    """

    run: str
    step: int
    phase: int
    state_sha256: str | None = None
    generator_seed: int | None = None
    state: str | None = None


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk.

    `run.json` is written once, when the run is created. How far the run has come follows from the
    snapshots and tables next to it.

    Attributes:
        path: The folder.
        config: What is trained.
        phases: Planned phases of the schedule.
        effective_phases: The phases that see an update, with the steps at which they really take
            effect, which depend on when the algorithm updates; empty if there is no update.
        steps_per_update: Environment timesteps between two readings of the rate.
        first_update: Step of the first update, after the warm-up; it may lie beyond the end.
            `None` if the algorithm never updates.
        parent: Where the run was forked from; `None` for a trunk.
        held_branch_length: Where the held branches that are trained with the run end, `"phase"` or
            `"end"`; `None` if it has none.
        created: UTC time of creation, ISO 8601.
        versions: Versions of Python and of the packages that decide the outcome.
        git_revision: Commit of the code, with `+changes` if the tree was not clean; `None`
            outside a git checkout.
        processor: The result of `agents.runs.provenance.processor`; empty in older runs.
        learner: The result of `agents.learners.choice.learner_record`: which code computes the
            updates on the machine that created the run; empty in older runs.
    """

    path: Path
    config: RunConfig
    phases: tuple[Phase, ...]
    effective_phases: tuple[Phase, ...]
    steps_per_update: int
    first_update: int
    parent: Parent | None
    held_branch_length: str | None
    created: str
    versions: Mapping[str, str]
    git_revision: str | None
    processor: Mapping[str, str]
    learner: Mapping[str, str | None]

    @cached_property
    def untrained_phases(self) -> Mapping[int, str]:
        """Reasons why planned phases see no update, by index of the phase."""
        met = {phase.index for phase in self.effective_phases}
        early = f"the first comes at step {self.first_update}"
        between = f"{self.config.algo} updates every {self.steps_per_update} steps"
        first = min(met, default=len(self.phases))
        return {
            phase.index: early if phase.index < first else between
            for phase in self.phases
            if phase.index not in met
        }

    @cached_property
    def timeline(self) -> tuple[Phase, ...]:
        """The phase of every step: planned ones up to the first update's, then effective ones."""
        first = self.effective_phases[0].index if self.effective_phases else len(self.phases)
        return (*self.phases[:first], *self.effective_phases)

    def phase_at(self, step: int) -> Phase:
        """Returns the phase at a step: the last one that has started, or else the first.

        Args:
            step: The step.
        """
        begun = bisect_right(self.timeline, step, key=lambda phase: phase.start)
        return self.timeline[max(0, begun - 1)]

    @cached_property
    def phase_end_steps(self) -> Mapping[int, int]:
        """Step of the snapshot at the end of each effective phase, by index.

        This is the last snapshot before the next phase's first update, or the run's final one.
        """
        phases = self.effective_phases
        ends = {left.index: right.start - self.steps_per_update for left, right in pairwise(phases)}
        return ends | {phase.index: phase.stop for phase in phases[-1:]}

    @cached_property
    def fork_steps(self) -> Mapping[int, int]:
        """Step of the snapshot at which branches that begin with a phase fork, by its index.

        Lists every phase that sees an update, except the first one.
        """
        phases = self.effective_phases
        return {right.index: self.phase_end_steps[left.index] for left, right in pairwise(phases)}

    def keeps_snapshot_at(self, step: int) -> bool:
        """Returns whether a snapshot that is not at the end of a phase is kept permanently.

        Args:
            step: Step of the snapshot.
        """
        if self.parent is not None and step == self.parent.step:
            return True
        every = self.config.keep_snapshots_every
        return every is not None and step // every > (step - self.steps_per_update) // every

    def why_no_fork(self, phase: int | None) -> str:
        """Explains why a branch cannot begin at a phase, and at which phases it can.

        Args:
            phase: An index that is not in `fork_steps`.
        """
        if phase is not None and phase in self.untrained_phases:
            reason = f"no update meets phase {phase}: {self.untrained_phases[phase]}"
        elif phase in self.phase_end_steps:
            reason = f"no update comes before phase {phase}"
        else:
            reason = f"it has no phase {phase}"
        valid = spans(list(self.fork_steps)) or "no phase"
        return f"{self.path} can be forked at {valid}; {reason}"

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
    def plan(
        cls,
        path: Path,
        config: RunConfig,
        steps_per_update: int,
        first_update: int,
        parent: Parent | None = None,
        held_branch_length: str | None = None,
    ) -> RunDirectory:
        """Describes a run that is not on disk, without its time of creation and versions.

        Args:
            path: Its folder.
            config: What will be trained.
            steps_per_update: Environment timesteps between two readings of the rate.
            first_update: Step of the first update, after the warm-up; it may lie beyond the end.
            parent: Where the run is forked from.
            held_branch_length: Length of the held branches that belong to the run.

        Returns:
            The run.
        """
        phases = config.schedule.phases(config.total_timesteps)
        return cls(
            path=path,
            config=config,
            phases=phases,
            effective_phases=effective_phases(phases, steps_per_update, first_update),
            steps_per_update=steps_per_update,
            first_update=first_update,
            parent=parent,
            held_branch_length=held_branch_length,
            created="",
            versions={},
            git_revision=None,
            processor={},
            learner={},
        )

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig,
        steps_per_update: int,
        first_update: int,
        parent: Parent | None = None,
        held_branch_length: str | None = None,
        learner: Mapping[str, str | None] | None = None,
    ) -> RunDirectory:
        """Creates the folder of a new run and writes its `run.json`.

        Args:
            path: The folder; it must not exist yet, or be empty.
            config: What will be trained.
            steps_per_update: Environment timesteps between two readings of the rate.
            first_update: Step of the first update, after the warm-up; it may lie beyond the end.
            parent: Where the run was forked from.
            held_branch_length: Length of the held branches that belong to the run.
            learner: Which code computes the updates.

        Returns:
            The new run.

        Raises:
            RunError: If the folder is not empty or cannot be written.
        """
        check_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = dataclasses.replace(
                cls.plan(path, config, steps_per_update, first_update, parent, held_branch_length),
                created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
                versions=installed_versions(),
                git_revision=git_revision(),
                processor=processor(),
                learner=learner or {},
            )
            write_atomically(path / "run.json", run.to_json())
        except OSError as error:
            raise RunError(f"cannot create the run in {path}: {error.strerror}") from error
        return run

    def to_json(self) -> bytes:
        """Returns the content of `run.json`."""
        data = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": self.created,
            "config": self.config.to_dict(),
            "phases": [dataclasses.asdict(phase) for phase in self.phases],
            "effective_phases": [dataclasses.asdict(phase) for phase in self.effective_phases],
            "steps_per_update": self.steps_per_update,
            "first_update": self.first_update,
            "parent": None if self.parent is None else dataclasses.asdict(self.parent),
            "held_branches": self.held_branch_length,
            "versions": self.versions,
            "git_revision": self.git_revision,
            "processor": self.processor,
            "learner": self.learner,
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
            RunError: If the folder is missing, foreign, broken or of an unknown format, or the run
                needs something that is not registered.
        """
        file = path / "run.json"
        if not path.is_dir():
            raise RunError(f"there is no run at {path}")
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{path} is not a run: it has no run.json") from None
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{file} cannot be read: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise RunError(f"{file} was not written by this project: its format is not {FORMAT!r}")
        if data.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"{file} has format version {reprlib.repr(data.get('format_version'))}; "
                f"this code reads version {FORMAT_VERSION}"
            )
        try:
            return cls._from_json(path, data)
        except StoredValueError as error:
            reason = str(error)
            if len(reason) > LONGEST_REASON:  # a value of any length may be quoted
                reason = f"{reason[:LONGEST_REASON]}..."
            raise RunError(f"{file} is broken: {reason}") from error

    @classmethod
    def _from_json(cls, path: Path, data: Mapping[str, Any]) -> RunDirectory:
        config = _stored_config(path / "run.json", stored_mapping(stored(data, "config"), "config"))
        steps = stored_integer(stored(data, "steps_per_update"), "steps_per_update", minimum=1)
        phases = _stored_phases(data, "phases", config.schedule.phases(config.total_timesteps))
        if "first_update" in data:
            first = stored_integer(data["first_update"], "first_update", minimum=1)
            expected = effective_phases(phases, steps, first)
            effective = _stored_phases(data, "effective_phases", expected)
        else:
            # Such a run predates effective phases that account for the warm-up.
            _stored_phases(data, "effective_phases", effective_phases(phases, steps))
            first = _usual_first_update(config, steps)
            effective = effective_phases(phases, steps, first)
        held_branches = stored(data, "held_branches")
        if held_branches not in (None, *BRANCH_LENGTHS):
            raise StoredValueError(
                f"held_branches must be null, {' or '.join(map(repr, BRANCH_LENGTHS))}, "
                f"got {reprlib.repr(held_branches)}"
            )
        versions = stored_mapping(stored(data, "versions"), "versions")
        revision = stored(data, "git_revision")
        return cls(
            path=path,
            config=config,
            phases=phases,
            effective_phases=effective,
            steps_per_update=steps,
            first_update=first,
            parent=_stored_parent(stored(data, "parent")),
            held_branch_length=held_branches,
            created=_stored_time(stored(data, "created"), "created"),
            versions={
                stored_text(name, "versions"): stored_text(value, f"versions.{name}")
                for name, value in versions.items()
            },
            git_revision=None if revision is None else stored_text(revision, "git_revision"),
            processor={
                name: stored_text(value, f"processor.{name}")
                for name, value in stored_mapping(data.get("processor", {}), "processor").items()
            },
            learner={
                name: None if value is None else stored_text(value, f"learner.{name}")
                for name, value in stored_mapping(data.get("learner", {}), "learner").items()
            },
        )


def _stored_config(file: Path, data: Mapping[str, Any]) -> RunConfig:
    schedule = data.get("schedule")
    plugin = "by the entry point staircase_lab.{} of an installed package, or envs.register_{}"
    for kind, name, known, how in (
        ("task", data.get("env"), envs.TASKS, plugin.format("tasks", "task")),
        ("robot", data.get("robot"), envs.ROBOTS, plugin.format("robots", "robot")),
        ("algorithm", data.get("algo"), ALGORITHMS, "by a line in agents/algorithms.py"),
        (
            "schedule",
            schedule.get("type") if isinstance(schedule, Mapping) else None,
            [schedule.__name__ for schedule in SCHEDULES],
            "by a line in schedules/registry.py",
        ),
    ):
        if isinstance(name, str) and name not in known:
            raise RunError(
                f"{file} needs the {kind} {reprlib.repr(name)}, which is not registered here; "
                f"it is registered {how}; registered are {', '.join(sorted(known))}"
            )
    try:
        config = RunConfig.from_dict(data)
    except ConfigError as error:
        raise StoredValueError(str(error)) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoredValueError(f"config cannot be read: {error}") from error
    for name in _CONFIG_KEYS:
        stored(data, name, "config.")
    return config


def _stored_phases(
    data: Mapping[str, Any], name: str, expected: tuple[Phase, ...]
) -> tuple[Phase, ...]:
    """Derives the phases from the rest of the file and checks that the stored ones agree."""
    require_equal(stored(data, name), [dataclasses.asdict(phase) for phase in expected], name)
    return expected


def _stored_parent(data: object) -> Parent | None:
    if data is None:
        return None
    parent = stored_mapping(data, "parent")
    state, seed = parent.get("state_sha256"), parent.get("generator_seed")
    if (change := parent.get("state")) not in (None, *FORKED_STATES):
        raise StoredValueError(
            f"parent.state must be null, {' or '.join(map(repr, FORKED_STATES))}, "
            f"got {reprlib.repr(change)}"
        )
    return Parent(
        run=stored_text(stored(parent, "run", "parent."), "parent.run"),
        step=stored_integer(stored(parent, "step", "parent."), "parent.step", minimum=1),
        phase=stored_integer(stored(parent, "phase", "parent."), "parent.phase", minimum=0),
        state_sha256=None if state is None else stored_text(state, "parent.state_sha256"),
        generator_seed=None
        if seed is None
        else stored_integer(seed, "parent.generator_seed", minimum=0),
        state=change,
    )


def _stored_time(value: object, name: str) -> str:
    text = stored_text(value, name)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise StoredValueError(f"{name} must be a time, got {reprlib.repr(text)}") from None
    return text


def _usual_first_update(config: RunConfig, steps_per_update: int) -> int:
    """Returns the first update of a run that does not record it: the one after SB3's warm-up."""
    warm_up = config.hyperparameters.get("learning_starts", 100)
    if not ALGORITHMS[config.algo].off_policy or not isinstance(warm_up, int):
        return steps_per_update
    return (max(0, warm_up) // steps_per_update + 1) * steps_per_update


def snapshot_steps(run: RunDirectory) -> tuple[int, ...]:
    """Returns the steps of a run's snapshots, ascending.

    Args:
        run: The run.
    """
    if not run.snapshots_path.is_dir():
        return ()
    return tuple(sorted(int(p.name) for p in run.snapshots_path.iterdir() if p.name.isdecimal()))


def is_complete(run: RunDirectory) -> bool:
    """Returns whether a run has its final snapshot.

    Args:
        run: The run.
    """
    return max(snapshot_steps(run), default=0) >= run.config.total_timesteps


def require_snapshot(run: RunDirectory, step: int) -> None:
    """Checks that a run has a snapshot at a step.

    Args:
        run: The run.
        step: The step.

    Raises:
        RunError: If it has none.
    """
    if step in (steps := snapshot_steps(run)):
        return
    phase = {step: phase for phase, step in run.fork_steps.items()}.get(step)
    reached = "" if phase is None else f"has not reached phase {phase} yet: it "
    there = f"those there are at {spans(list(steps))}" if steps else "nor any other"
    raise RunError(f"{run.path} {reached}has no snapshot at {step}, {there}")


def check_free(path: Path) -> None:
    """Checks that a run can be created in a folder.

    Args:
        path: The folder; it may be missing or empty.

    Raises:
        RunError: If it is not empty or cannot be read.
    """
    try:
        if path.exists() and any(path.iterdir()):
            raise RunError(f"{path} is not empty, and an existing run is never overwritten")
    except OSError as error:
        raise RunError(f"cannot create the run in {path}: {error.strerror}") from error


def new_run_path(config: RunConfig, root: Path = Path("runs")) -> Path:
    """Returns a free path for a new run, named after its algorithm, seed and the time.

    Args:
        config: The run.
        root: Folder of all runs.

    Returns:
        `root/<env>/<algo>-seed<seed>-<UTC time>`, followed by a number if that is taken.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    base = root / config.env / f"{config.algo}-seed{config.seed}-{stamp}"
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


def branch_path(run: RunDirectory, name: str) -> Path:
    """Returns the default path of a branch.

    Args:
        run: The run.
        name: Name of the branch, such as `"held-1"`.
    """
    return run.path / "branches" / name


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
