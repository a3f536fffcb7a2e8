"""Finds what a study has trained: the agents that its questions compare, and what is missing."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents import RunConfig, RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.manifest import Snapshot, read_snapshot
from agents.runs.provenance import version_changes
from agents.runs.spans import spans
from agents.studies.manifest import read_study, run_path
from agents.studies.study import Arm, Study
from eval.held_branches import HoldingFork, holding_forks

RATE_AXIS, TASK_AXIS = "initial_learning_rate", "env"
SHOWN = 5
"""How many names a note lists before it says how many more there are."""


@dataclass(frozen=True)
class Contestant:
    """An agent that is compared, or the failure that stands in its place.

    Attributes:
        run: Its run or branch.
        phase: Index of the phase of `run` that ends there.
        step: Step of that end.
        snapshot: The agent; `None` if the training diverged before.
    """

    run: RunDirectory
    phase: int
    step: int
    snapshot: Snapshot | None


@dataclass(frozen=True)
class ForkedBoundary:
    """The contestants at one boundary of one run, all at the same step.

    Attributes:
        decayed: The run's own.
        held: That of the held branch.
        placebos: Those of the placebo forks, by name.
    """

    decayed: Contestant
    held: Contestant
    placebos: Mapping[str, Contestant]


@dataclass(frozen=True)
class ArmSeed:
    """One run of a study with its branches.

    Attributes:
        run: The run.
        ends: Its contestants at the phase ends, by phase.
        boundaries: Those at boundaries, by the phase that begins there.
        divergence: Where the run or a branch of it diverged, in words; empty if none did.
    """

    run: RunDirectory
    ends: Mapping[int, Contestant]
    boundaries: Mapping[int, ForkedBoundary]
    divergence: tuple[str, ...]

    def contestants(self) -> Iterator[Contestant]:
        """All of them; those of the run come first, and one may come twice."""
        yield from self.ends.values()
        for boundary in self.boundaries.values():
            yield from (boundary.decayed, boundary.held, *boundary.placebos.values())


@dataclass(frozen=True)
class StudyRuns:
    """What a study has trained.

    Attributes:
        folder: Folder of the study.
        study: Its plan.
        arms: The arms of which something is trained.
        seeds: The seeds that all of them have.
        runs: Their runs, by arm and seed.
        notes: A line for each thing that is missing, diverged or left out.
    """

    folder: Path
    study: Study
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    runs: Mapping[tuple[str, int], ArmSeed]
    notes: tuple[str, ...]

    def task(self, config: RunConfig) -> str:
        """Name of what a run is scored on; runs of one such name have returns of one scale.

        Args:
            config: Config of a run of the study.

        Returns:
            The task, with the reward if the study has several at that task.
        """
        rewards = {a.config.reward for a in self.arms if a.config.env == config.env}
        return config.env if len(rewards) < 2 else f"{config.env} {config.reward}"

    @property
    def is_complete(self) -> bool:
        """Whether every run of the plan can be compared; a diverged one counts."""
        return len(self.arms) == len(self.study.arms()) and self.seeds == tuple(self.study.seeds)


def open_study(folder: Path) -> StudyRuns:
    """Opens a study, which need not be complete.

    Args:
        folder: Its folder.

    Returns:
        What can be compared: the arms of which something is trained, at the seeds they all have.

    Raises:
        RunError: If there is no study, its file is broken, or no seed is trained in every arm of
            which something is trained.
    """
    study = read_study(folder)
    arms = study.arms()
    found: dict[tuple[str, int], ArmSeed] = {}
    missing: dict[str, list[tuple[str, int]]] = defaultdict(list)
    branch_notes: dict[str, list[str]] = defaultdict(list)
    for arm in arms:
        for seed in study.seeds:
            path = folder / run_path(arm.name, seed)
            if not path.exists():
                missing["not trained yet"].append((arm.name, seed))
                continue
            try:
                run = _planned_run(path, arm, seed)
                found[arm.name, seed], notes = _arm_seed(run, study)
            except RunError as error:
                missing[f"left out: {error}"].append((arm.name, seed))
                continue
            for note in notes:
                branch_notes[note].append(str(run_path(arm.name, seed)))
    if not found:
        reasons = "; ".join(_missing_notes(missing, arms, study.seeds))
        raise RunError(f"{folder} has no run to compare: {reasons}")
    there = tuple(arm for arm in arms if any(name == arm.name for name, _ in found))
    seeds = tuple(s for s in study.seeds if all((arm.name, s) in found for arm in there))
    if not seeds:
        reasons = "; ".join(_missing_notes(missing, arms, study.seeds))
        raise RunError(f"{folder} has no seed that is trained in every arm: {reasons}")
    runs = {(arm.name, s): found[arm.name, s] for arm in there for s in seeds}
    return StudyRuns(
        folder=folder,
        study=study,
        arms=there,
        seeds=seeds,
        runs=runs,
        notes=(
            *_missing_notes(missing, arms, study.seeds),
            *_choice_note(found, runs),
            *_divergence_notes(runs),
            *(f"{note} ({_some(where)})" for note, where in branch_notes.items()),
            *_version_notes(runs),
        ),
    )


def _planned_run(path: Path, arm: Arm, seed: int) -> RunDirectory:
    run = RunDirectory.open(path)
    if run.config != dataclasses.replace(arm.config, seed=seed):
        raise RunError(f"{path} is not the run of the plan: its config differs")
    return run


def _arm_seed(run: RunDirectory, study: Study) -> tuple[ArmSeed, tuple[str, ...]]:
    """A run with its branches, and a line for each branch that cannot be used."""
    reached = set(snapshot_steps(run))
    ends = {i: _contestant(run, i, step) for i, step in run.phase_end_steps.items()}
    forks, notes = holding_forks(run)
    by_phase: dict[int, list[HoldingFork]] = defaultdict(list)
    for fork in forks:
        by_phase[fork.phase].append(fork)
    boundaries: dict[int, ForkedBoundary] = {}
    diverged = [("", run), *((f"{fork.run.path.name} ", fork.run) for fork in forks)]
    for phase, step in run.fork_steps.items():
        if study.held_branches is None or step not in reached:
            continue  # what diverged before a boundary says nothing about the decay there
        try:
            boundaries[phase] = _boundary(by_phase[phase], ends)
        except RunError as error:
            notes += (f"no decay effect into phase {phase}: {error}",)
    return ArmSeed(
        run=run,
        ends=ends,
        boundaries=boundaries,
        divergence=tuple(
            f"{name}{where}" for name, fork in diverged if (where := read_divergence(fork))
        ),
    ), notes


def _boundary(forks: Sequence[HoldingFork], ends: Mapping[int, Contestant]) -> ForkedBoundary:
    held = [fork for fork in forks if not fork.is_placebo]
    if len(held) != 1:
        raise RunError("its held branch is missing" if not held else "two branches hold the rate")
    held_end = _last(held[0].run)
    decayed = next((end for end in ends.values() if end.step == held_end.step), None)
    if decayed is None or decayed.phase < held[0].phase:
        raise RunError(f"its held branch ends at step {held_end.step}, where the run has no agent")
    placebos = {fork.run.path.name: _last(fork.run) for fork in forks if fork.is_placebo}
    return ForkedBoundary(
        decayed, held_end, {n: p for n, p in placebos.items() if p.step == held_end.step}
    )


def _last(run: RunDirectory) -> Contestant:
    phase, step = max(run.phase_end_steps.items())
    return _contestant(run, phase, step)


def _contestant(run: RunDirectory, phase: int, step: int) -> Contestant:
    if step in snapshot_steps(run):
        return Contestant(run, phase, step, read_snapshot(run, step))
    if read_divergence(run) is not None:
        return Contestant(run, phase, step, None)
    raise RunError(f"{run.path} has no snapshot at step {step}, where phase {phase} ends")


def _missing_notes(
    missing: Mapping[str, Sequence[tuple[str, int]]], arms: Sequence[Arm], seeds: Sequence[int]
) -> Iterator[str]:
    """A line for each reason, with the arms and seeds."""
    for reason, runs in missing.items():
        by_arm: dict[str, list[int]] = defaultdict(list)
        for arm, seed in runs:
            by_arm[arm].append(seed)
        alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for arm, its in by_arm.items():
            alike[tuple(its)].append(arm)
        parts = [
            ("all arms" if len(names) == len(arms) > 1 else _some(names))
            + (", all seeds" if len(its) == len(seeds) else f", seed {spans(its)}")
            for its, names in alike.items()
        ]
        yield f"{reason}: {_some(parts, '; ')}"


def _choice_note(
    found: Mapping[tuple[str, int], ArmSeed], runs: Mapping[tuple[str, int], ArmSeed]
) -> Iterator[str]:
    unused = [f"{arm} seed {seed}" for arm, seed in found if (arm, seed) not in runs]
    if unused:
        yield f"trained, but not at every arm, so not compared: {_some(unused)}"


def _divergence_notes(runs: Mapping[tuple[str, int], ArmSeed]) -> Iterator[str]:
    diverged = {
        str(run_path(arm, seed)): found.divergence
        for (arm, seed), found in runs.items()
        if found.divergence
    }
    for path, where in diverged.items():
        yield f"failed: {path}: {'; '.join(where)}"


def _version_notes(runs: Mapping[tuple[str, int], ArmSeed]) -> Iterator[str]:
    changes = {change for found in runs.values() for change in version_changes(found.run.versions)}
    if changes:
        yield (
            f"other versions are installed than runs were trained with: {_some(sorted(changes))}"
        )


def _some(names: Sequence[str], between: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return between.join(names[:SHOWN]) + more
