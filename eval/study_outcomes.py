"""What the agents of a study achieved in the evaluation episodes, as arrays over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import RunError
from eval.effects_csv import Boundary, Outcomes
from eval.seeds import evaluation_seeds
from eval.stored_episodes import Episodes, StoredEpisode, play_and_store, read_episodes
from eval.study import ArmSeed, Contestant, StudyRuns


@dataclass(frozen=True)
class PhaseEnd:
    """The agents of one arm at the end of one phase.

    Attributes:
        task: Name of the task, as by `StudyRuns.task`.
        arm: Name of the arm.
        phase: Index of the phase.
        step: Step of the agents.
        learning_rate: Rate of the phase.
        states: Checksum of each seed's state; `None` where the training diverged before.
        outcomes: What they achieved, shape (seeds, episodes).
    """

    task: str
    arm: str
    phase: int
    step: int
    learning_rate: float
    states: tuple[str | None, ...]
    outcomes: Outcomes


@dataclass(frozen=True)
class StudyOutcomes:
    """What the agents of a study achieved.

    Attributes:
        name: Name of the study.
        axes: Its values by arm and axis.
        seeds: The seeds that are compared, in the order of the arrays.
        episodes: Number of evaluation episodes.
        ends: The phase ends of each arm, in order.
        boundaries: The boundaries that have held branches, with the seeds that reached them.
        notes: A line for each thing that is missing, diverged or left out.
    """

    name: str
    axes: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    episodes: int
    ends: tuple[PhaseEnd, ...]
    boundaries: tuple[Boundary, ...]
    notes: tuple[str, ...]

    def last_ends(self) -> tuple[PhaseEnd, ...]:
        """The last phase end of each arm."""
        return tuple({end.arm: end for end in self.ends}.values())


def play_study(
    runs: StudyRuns, episodes: int, progress: Callable[[str], None] = lambda _: None
) -> StudyOutcomes:
    """Plays the evaluation episodes that no run of a study has stored yet.

    They are stored with the runs, as `play_and_store` does. Agents in the same state, such as those
    of runs before they part, play once.

    Args:
        runs: The study.
        episodes: How many evaluation episodes, from 2 to 10 000.
        progress: Told in words how far it is.

    Returns:
        The outcomes.

    Raises:
        ConfigError: If `episodes` is out of range.
        RunError: If a file of a run is damaged or cannot be written.
    """
    seeds = evaluation_seeds(episodes)
    groups = _by_run(runs.runs.values())
    known = _stored(groups)
    for place, agents in enumerate(groups, start=1):
        run = agents[0].run
        progress(f"playing evaluation episodes, run {place} of {len(groups)}: {run.path}")
        snapshots = {agent.phase: agent.snapshot for agent in agents if agent.snapshot is not None}
        for played in play_and_store(run, snapshots, episodes, known).values():
            known |= {(episode.state_sha256, episode.seed): episode for episode in played}
    return gather(runs, known, seeds)


def stored_study(runs: StudyRuns) -> StudyOutcomes | None:
    """Gathers the evaluation episodes that all agents of a study have played already.

    Args:
        runs: The study.

    Returns:
        The outcomes; `None` if fewer than 2 episodes are stored for every agent.

    Raises:
        RunError: If a file of a run is damaged.
    """
    groups = _by_run(runs.runs.values())
    known = _stored(groups)
    states = {a.snapshot.state_sha256 for agents in groups for a in agents if a.snapshot}
    played: dict[str, set[int]] = {state: set() for state in states}
    for state, seed in known:
        if state in played:
            played[state].add(seed)
    common = sorted(set[int].intersection(*played.values())) if played else []
    return gather(runs, known, common) if len(common) > 1 else None


def gather(runs: StudyRuns, episodes: Episodes, seeds: Sequence[int]) -> StudyOutcomes:
    """Puts episodes into arrays; plays and writes nothing.

    A run that diverged has failed: in its place stand no success, and in each episode the lowest
    return that any agent of the study got there in the same task.

    Args:
        runs: The study.
        episodes: The episodes of all its agents.
        seeds: Seeds of the evaluation episodes, at least one.

    Returns:
        The outcomes. A task in which every agent failed is left out, and a note says so.

    Raises:
        RunError: If every agent failed.
    """
    table: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    worst: dict[str, NDArray[np.float64]] = {}
    for agent in (agent for found in runs.runs.values() for agent in found.contestants()):
        if agent.snapshot is None or (state := agent.snapshot.state_sha256) in table:
            continue
        rows = [episodes[state, seed] for seed in seeds]
        returns = np.array([row.episode_return for row in rows])
        table[state] = returns, np.array([row.success == 1 for row in rows])
        task = runs.task(agent.run.config)
        worst[task] = np.minimum(worst.get(task, returns), returns)

    def outcomes(agents: Sequence[Contestant]) -> Outcomes:
        failure = worst[runs.task(agents[0].run.config)], np.zeros(len(seeds), dtype=np.bool_)
        rows = [failure if a.snapshot is None else table[a.snapshot.state_sha256] for a in agents]
        return Outcomes(*(np.stack(part) for part in zip(*rows, strict=True)))

    tasks = {arm.name: runs.task(arm.config) for arm in runs.arms}
    arms = [arm for arm in runs.arms if tasks[arm.name] in worst]
    if not arms:
        raise RunError(f"every run of {runs.folder} diverged, so there is no agent to compare")
    lost = sorted(set(tasks.values()) - worst.keys())
    ends: list[PhaseEnd] = []
    boundaries: list[Boundary] = []
    notes: list[str] = []
    for arm in arms:
        column = [runs.runs[arm.name, seed] for seed in runs.seeds]
        task = tasks[arm.name]
        ends += _ends(task, arm.name, column, outcomes)
        its_boundaries, its_notes = _boundaries(task, arm.name, runs.seeds, column, outcomes)
        boundaries += its_boundaries
        notes += its_notes
    return StudyOutcomes(
        name=runs.study.name,
        axes={arm.name: arm.values for arm in arms},
        seeds=runs.seeds,
        episodes=len(seeds),
        ends=tuple(ends),
        boundaries=tuple(boundaries),
        notes=(
            *runs.notes,
            *(f"every run of {task} diverged, so nothing is compared there" for task in lost),
            *notes,
        ),
    )


def _by_run(runs: Iterable[ArmSeed]) -> list[list[Contestant]]:
    """The contestants of each run and branch."""
    groups: dict[str, dict[int, Contestant]] = {}
    for found in runs:
        for agent in found.contestants():
            groups.setdefault(str(agent.run.path), {})[agent.phase] = agent
    return [list(agents.values()) for agents in groups.values()]


def _stored(groups: Iterable[Sequence[Contestant]]) -> dict[tuple[str, int], StoredEpisode]:
    known: dict[tuple[str, int], StoredEpisode] = {}
    for agents in groups:
        known |= read_episodes(agents[0].run)
    return known


def _ends(
    task: str,
    arm: str,
    column: Sequence[ArmSeed],
    outcomes: Callable[[Sequence[Contestant]], Outcomes],
) -> list[PhaseEnd]:
    rates = {phase.index: phase.learning_rate for phase in column[0].run.effective_phases}
    ends = []
    for phase in column[0].ends:
        agents = [found.ends[phase] for found in column]
        states = [None if a.snapshot is None else a.snapshot.state_sha256 for a in agents]
        ends.append(
            PhaseEnd(
                task=task,
                arm=arm,
                phase=phase,
                step=agents[0].step,
                learning_rate=rates[phase],
                states=tuple(states),
                outcomes=outcomes(agents),
            )
        )
    return ends


def _boundaries(
    task: str,
    arm: str,
    seeds: Sequence[int],
    column: Sequence[ArmSeed],
    outcomes: Callable[[Sequence[Contestant]], Outcomes],
) -> tuple[list[Boundary], list[str]]:
    found, notes = [], []
    for phase in sorted({phase for run in column for phase in run.boundaries}):
        reached = [s for s, run in zip(seeds, column, strict=True) if phase in run.boundaries]
        forks = [run.boundaries[phase] for run in column if phase in run.boundaries]
        names = {name for fork in forks for name in fork.placebos}
        shared = sorted(name for name in names if all(name in fork.placebos for fork in forks))
        if partial := sorted(names - set(shared)):
            notes.append(f"{arm}: {', '.join(partial)} left out, as some seeds lack it")
        found.append(
            Boundary(
                task=task,
                arm=arm,
                phase=phase,
                until_step=forks[0].held.step,
                seeds=tuple(reached),
                held=outcomes([fork.held for fork in forks]),
                decayed=outcomes([fork.decayed for fork in forks]),
                placebos=tuple(
                    outcomes([fork.placebos[name] for fork in forks]) for name in shared
                ),
            )
        )
    return found, notes
