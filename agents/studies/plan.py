"""From a study to the runs and the segments that it needs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.config import FIRST_EVALUATION_SEED, ConfigError, RunConfig
from agents.learners.trial import try_config
from agents.runs.directory import Parent, RunDirectory
from agents.studies.manifest import run_path
from agents.studies.study import Arm, Study
from agents.studies.tree import Line, Tree, grow, line_of
from agents.training.branch_schedules import branch_total, held_schedule
from agents.training.isolation import check_observers


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study, or a branch of one.

    Attributes:
        path: Its folder, relative to the study's.
        arm: The arm that it belongs to.
        seed: Its seed.
        line: What it is trained as.
        run: What its `run.json` will say.
    """

    path: Path
    arm: Arm
    seed: int
    line: Line
    run: RunDirectory


@dataclass(frozen=True)
class Plan:
    """All that a study trains.

    Attributes:
        study: The study.
        runs: Its runs, each followed by its branches.
        tree: The segments that they consist of.
    """

    study: Study
    runs: tuple[PlannedRun, ...]
    tree: Tree

    @property
    def trained_steps(self) -> int:
        """Environment timesteps of all segments."""
        return sum(segment.steps for segment in self.tree.segments)

    def parts(self) -> tuple[Plan, ...]:
        """The plan in parts that share no segment, so that each can be trained by itself."""
        parts: dict[str, list[PlannedRun]] = {}
        for planned in self.runs:
            *_, first = self.tree.last[planned.line.key].backwards()
            parts.setdefault(first.key, []).append(planned)
        return tuple(
            Plan(self.study, tuple(runs), grow([planned.line for planned in runs]))
            for runs in parts.values()
        )

    @property
    def scratch_steps(self) -> int:
        """Environment timesteps that the same runs would take if each was trained from scratch."""
        return sum(planned.line.stop for planned in self.runs)


def make_plan(study: Study) -> Plan:
    """Plans a study; nothing is written.

    Each arm is tried as every run is, with one seed.

    Args:
        study: The study.

    Returns:
        The plan.

    Raises:
        ConfigError: If an arm cannot be trained, or has a phase that is too short to be forked.
    """
    runs: list[PlannedRun] = []
    tried: dict[str, tuple[int, int]] = {}
    arms = study.arms()
    for arm in arms:
        # Arms that differ in their rates alone are built alike.
        key = repr(dataclasses.replace(arm.config, schedule=arms[0].config.schedule))
        if key not in tried:
            check_observers(arm.config)
            tried[key] = try_config(arm.config)[:2]
        for seed in study.seeds:
            config = dataclasses.replace(arm.config, seed=seed)
            try:
                runs += _runs_of(study, arm, config, *tried[key])
            except ConfigError as error:
                raise ConfigError(f"arm {arm.name}: {error}") from error
    return Plan(study, tuple(runs), grow([planned.line for planned in runs]))


def _runs_of(
    study: Study, arm: Arm, config: RunConfig, interval: int, first_update: int
) -> Sequence[PlannedRun]:
    path = run_path(arm.name, config.seed)
    trunk = RunDirectory.plan(
        path, config, interval, first_update, held_branch_length=study.held_branches
    )
    line = line_of(config, interval, first_update)
    runs = [PlannedRun(path, arm, config.seed, line, trunk)]
    if study.held_branches is None:
        return runs
    for phase, step in trunk.fork_steps.items():
        schedule = held_schedule(trunk, phase)
        held = dataclasses.replace(
            config,
            schedule=schedule,
            total_timesteps=branch_total(trunk, phase, schedule, study.held_branches),
        )
        branches: list[tuple[str, int | None]] = [(f"held-{phase}", None)]
        branches += [
            (f"placebo-{phase}-{number}", _placebo_seed(config, step, number))
            for number in range(study.placebos or 0)
        ]
        for name, generator_seed in branches:
            where = path / "branches" / name
            parent = Parent("../..", step, phase, None, generator_seed)
            run = RunDirectory.plan(where, held, interval, first_update, parent)
            fork = None if generator_seed is None else (step, generator_seed)
            line = line_of(held, interval, first_update, fork)
            runs.append(PlannedRun(where, arm, config.seed, line, run))
    return runs


def _placebo_seed(config: RunConfig, step: int, number: int) -> int:
    """Returns a seed for a placebo fork, distinct and the same whenever it is planned."""
    digest = hashlib.sha256(f"{config.seed} {step} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (FIRST_EVALUATION_SEED - config.n_envs)
