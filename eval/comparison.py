"""Compares the agents at the ends of a run's phases on the same evaluation episodes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents import RunDirectory, RunError
from agents.config import FIRST_EVALUATION_SEED
from agents.runs.files import write_atomically
from agents.runs.manifest import Snapshot
from agents.runs.provenance import version_changes
from agents.runs.spans import spans
from eval.held_branches import HeldBranch, held_branches
from eval.phase_ends import PhaseEnds, missing_phases, phase_ends
from eval.seeds import evaluation_seeds
from eval.statistics import (
    EPISODES,
    Estimate,
    bootstrap,
    bootstrap_mean,
    interquartile_mean,
    paired_difference,
    pooled_interquartile_mean,
    wilson_interval,
)
from eval.stored_episodes import Episodes, StoredEpisode, play_and_store, read_episodes
from eval.training_tables import Columns, read_training_table

FORMAT = "staircase-lab comparison"
FORMAT_VERSION = 2
TRAINING_COLUMNS = ("phase", "return", "success")
RECENT_EPISODES = 100
MAXIMUM_PHASES = 20

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class TrainingReturns:
    """Returns of training episodes, in which the agent explored and learned.

    Attributes:
        episodes: How many there were. Without any, the other values are `None`.
        mean: Mean return.
        interquartile_mean: Mean of the middle half of the returns.
        success_rate: Share of the episodes that reached the goal.
    """

    episodes: int
    mean: float | None
    interquartile_mean: float | None
    success_rate: float | None


@dataclass(frozen=True)
class DecayEffect:
    """What a decay did: the trunk's agent minus the held branch's, from the same snapshot.

    Attributes:
        branch: Name of the held branch.
        learning_rate: The rate it kept.
        step: Step of both agents: the end of the phase or, if the branch was trained that far, the
            end of the run. The effect is then that of this decay and all later ones.
        held_mean_return: Mean return of its final agent in the evaluation episodes.
        effect: Difference of the returns, paired by episode.
    """

    branch: str
    learning_rate: float
    step: int
    held_mean_return: float
    effect: Estimate


@dataclass(frozen=True)
class PhaseResult:
    """How good the agent at the end of a phase is.

    Attributes:
        phase: Index of the phase; phase 0 is the constant-rate phase.
        start: First step at which an update has the phase's rate.
        stop: First step of the next phase.
        learning_rate: The rate of the phase.
        step: Step of the agent's snapshot.
        state_sha256: Checksum of its state.
        mean_return: Mean return in the evaluation episodes, with a bootstrap interval.
        interquartile_mean_return: Mean of the middle half of them, with a bootstrap interval.
        success_rate: Share of the episodes that ended at the goal, with a Wilson interval.
        difference: Return minus that of the constant-rate phase's agent, paired by episode; `None`
            for the constant-rate phase itself, or where that has no agent.
        decay_effect: What the decay at the phase's start did; `None` without a held branch.
        training: Training episodes of the phase.
        recent_training: The last 100 of them.
    """

    phase: int
    start: int
    stop: int
    learning_rate: float
    step: int
    state_sha256: str
    mean_return: Estimate
    interquartile_mean_return: Estimate
    success_rate: Estimate
    difference: Estimate | None
    decay_effect: DecayEffect | None
    training: TrainingReturns
    recent_training: TrainingReturns


@dataclass(frozen=True)
class Comparison:
    """The phases of one run, compared.

    Attributes:
        run: Path of the run.
        env: Task of the run.
        algo: Algorithm of the run.
        seed: Seed of the run.
        episodes: Number of evaluation episodes.
        phases: A result for each phase that is compared, in order.
        notes: A line for each thing that is missing or left out.
    """

    run: Path
    env: str
    algo: str
    seed: int
    episodes: int
    phases: tuple[PhaseResult, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON data, without the path: a run may be moved."""
        data = asdict(self)
        del data["run"]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **data}


@dataclass(frozen=True)
class PlayedPhases:
    """The evaluation episodes that a comparison is made of.

    Attributes:
        episodes: Number of evaluation episodes of each agent.
        ends: The snapshots at the phase ends of the run.
        held: Its held branches, by the phase that begins where they were forked.
        compared: Indices of the phases that are compared, in order.
        played: Episodes of the run's agents, by the phase that ends at the agent's snapshot.
        held_played: Episodes of the held branches' final agents, by phase as in `held`.
        branch_notes: A line for each branch that cannot be used.
    """

    episodes: int
    ends: PhaseEnds
    held: Mapping[int, HeldBranch]
    compared: tuple[int, ...]
    played: Mapping[int, tuple[StoredEpisode, ...]]
    held_played: Mapping[int, tuple[StoredEpisode, ...]]
    branch_notes: tuple[str, ...]


def compare_phases(run: RunDirectory, episodes: int = 100) -> Comparison:
    """Plays the evaluation episodes with each phase's agent, compares them and stores the result.

    The result is written to `evaluation/summary-<episodes>.json`.

    Args:
        run: The run, which need not be complete.
        episodes: How many evaluation episodes, from 2 to 10 000.

    Returns:
        The comparison.

    Raises:
        ConfigError: If `episodes` is out of range.
        RunError: If no phase that an update met has ended yet, a file of the run is damaged, or
            `evaluation/` cannot be written.
    """
    evaluation_seeds(episodes)
    # Read first: a damaged table must be found before hours of playing.
    training = read_training_table(run.episodes_path, TRAINING_COLUMNS)
    comparison = summarise_phases(run, play_phases(run, episodes), training)
    _write_summary(run, comparison)
    return comparison


def play_phases(run: RunDirectory, episodes: int) -> PlayedPhases:
    """Plays the evaluation episodes with the agent at each phase end, and with held branches'.

    Stored episodes are read from `evaluation/episodes.csv`; the others are played and added there.
    Held branches are those in the run's `branches/`; their episodes are kept in their own folders.
    Of more than 20 phases, 20 are played: the first, the last, those with a held branch, and others
    spread evenly.

    Args:
        run: The run, which need not be complete.
        episodes: How many evaluation episodes, from 2 to 10 000.

    Returns:
        The episodes, and which agents played them.

    Raises:
        ConfigError: If `episodes` is out of range.
        RunError: If no phase that an update met has ended yet, a file of the run is damaged, or
            `evaluation/` cannot be written.
    """
    ends = phase_ends(run)
    held, branch_notes = held_branches(run, ends.snapshots)
    compared = _choose_phases(list(ends.snapshots), held)
    used = {index: held[index] for index in compared if index in held}
    rivals = {branch.rival_phase for branch in used.values()}
    agents = {index: ends.snapshots[index] for index in sorted({*compared, *rivals})}
    return PlayedPhases(
        episodes=episodes,
        ends=ends,
        held=held,
        compared=tuple(compared),
        played=play_and_store(run, agents, episodes),
        held_played={
            index: play_and_store(branch.run, {branch.end_phase: branch.end}, episodes)[
                branch.end_phase
            ]
            for index, branch in used.items()
        },
        branch_notes=branch_notes,
    )


def stored_phases(run: RunDirectory) -> PlayedPhases | None:
    """Gathers the evaluation episodes that are stored already; plays and writes nothing.

    Args:
        run: The run, which need not be complete.

    Returns:
        The episodes that all agents have played, from the first on; agents that have played fewer
        than 2 are left out, with a note for each held branch. `None` if no agent has.

    Raises:
        RunError: If no phase that an update met has ended yet, or a table is damaged.
    """
    ends = phase_ends(run)
    held, branch_notes = held_branches(run, ends.snapshots)
    episodes, notes = read_episodes(run), list(branch_notes)
    counts = {i: _count(episodes, end.state_sha256) for i, end in ends.snapshots.items()}
    unplayed = [i for i, count in counts.items() if count < 2]
    compared = _choose_phases([i for i in counts if i not in unplayed], held)
    if not compared:
        return None
    counts = {i: count for i, count in counts.items() if i in compared}
    used: dict[int, HeldBranch] = {}
    for index, branch in held.items():
        count = _count(read_episodes(branch.run), branch.end.state_sha256)
        if index not in compared:
            continue
        if count < 2 or branch.rival_phase not in compared:
            notes.append(f"branch {branch.run.path.name} is left out: it is not compared yet")
            continue
        used[index], counts[-1 - index] = branch, count
    if unplayed:
        notes.append(f"no evaluation yet of phase {spans(unplayed)}")
    seeds = evaluation_seeds(min(counts.values()))
    there = {i: end for i, end in ends.snapshots.items() if i not in unplayed}
    return PlayedPhases(
        episodes=len(seeds),
        ends=PhaseEnds(there, ends.missing),
        held=used,
        compared=tuple(compared),
        played={i: _played(episodes, ends.snapshots[i], seeds) for i in compared},
        held_played={
            i: _played(read_episodes(branch.run), branch.end, seeds) for i, branch in used.items()
        },
        branch_notes=tuple(notes),
    )


def _count(episodes: Episodes, state: str) -> int:
    """How many evaluation episodes an agent has played, from the first on without a gap."""
    place = 0
    while (state, FIRST_EVALUATION_SEED + place) in episodes:
        place += 1
    return place


def _played(episodes: Episodes, agent: Snapshot, seeds: Sequence[int]) -> tuple[StoredEpisode, ...]:
    return tuple(episodes[agent.state_sha256, seed] for seed in seeds)


def summarise_phases(run: RunDirectory, phases: PlayedPhases, training: Columns) -> Comparison:
    """Computes what the episodes say about the phases; plays and writes nothing.

    Args:
        run: The run.
        phases: Its evaluation episodes, from `play_phases`.
        training: Its training episodes: the columns `TRAINING_COLUMNS`, each of shape (rows,).

    Returns:
        The comparison.
    """
    held_from = {phase.index: phase for phase in run.effective_phases}
    baseline = phases.played.get(0)
    results = []
    for index in phases.compared:
        snapshot, played = phases.ends.snapshots[index], phases.played[index]
        returns = _returns(played)
        rows = {name: column[training["phase"] == index] for name, column in training.items()}
        results.append(
            PhaseResult(
                phase=index,
                start=held_from[index].start,
                stop=held_from[index].stop,
                learning_rate=held_from[index].learning_rate,
                step=snapshot.step,
                state_sha256=snapshot.state_sha256,
                mean_return=bootstrap_mean(returns),
                interquartile_mean_return=bootstrap(
                    returns[np.newaxis], pooled_interquartile_mean, [EPISODES]
                ),
                success_rate=wilson_interval(sum(e.success for e in played), phases.episodes),
                difference=paired_difference(returns, _returns(baseline))
                if baseline and index != 0
                else None,
                decay_effect=_decay_effect(phases, index),
                training=_training_returns(rows),
                recent_training=_training_returns(
                    {name: column[-RECENT_EPISODES:] for name, column in rows.items()}
                ),
            )
        )
    return Comparison(
        run=run.path,
        env=run.config.env,
        algo=run.config.algo,
        seed=run.config.seed,
        episodes=phases.episodes,
        phases=tuple(results),
        notes=(
            *missing_phases(phases.ends.missing),
            *_choice_note(phases.compared, list(phases.ends.snapshots), phases.held),
            *phases.branch_notes,
            *_version_note(run),
        ),
    )


def summary_path(run: RunDirectory, episodes: int) -> Path:
    """Path of the stored result of a comparison.

    Args:
        run: The run.
        episodes: How many evaluation episodes were compared.
    """
    return run.evaluation_path / f"summary-{episodes}.json"


def evenly(items: Sequence[ItemT], count: int) -> list[ItemT]:
    """Picks items, evenly spaced, with the first and the last.

    Args:
        items: The items.
        count: How many at most.

    Returns:
        The items picked, in their order.
    """
    if len(items) <= count or count < 2:
        return list(items[:count])
    return [items[place * (len(items) - 1) // (count - 1)] for place in range(count)]


def _choose_phases(ended: Sequence[int], held: Collection[int]) -> list[int]:
    """Chooses the phases to compare: all, up to `MAXIMUM_PHASES`."""
    if len(ended) <= MAXIMUM_PHASES:
        return list(ended)
    chosen = {ended[0], ended[-1]}
    for candidates in (
        [index for index in ended if index in held],
        evenly(ended, MAXIMUM_PHASES),
    ):
        others = [index for index in candidates if index not in chosen]
        chosen.update(evenly(others, MAXIMUM_PHASES - len(chosen)))
    return sorted(chosen)


def _choice_note(
    chosen: Sequence[int], ended: Sequence[int], held: Collection[int]
) -> tuple[str, ...]:
    if len(chosen) == len(ended):
        return ()
    passed = [index for index in held if index in ended and index not in chosen]
    branches = f", {len(passed)} of them with a held branch," if passed else ""
    return (
        f"{len(chosen)} of {len(ended)} phases are compared, spread evenly; the other "
        f"{len(ended) - len(chosen)}{branches} have their training episodes in the run's "
        "episodes.csv, their updates in metrics.csv and their agents in snapshots/",
    )


def _returns(played: Sequence[StoredEpisode]) -> NDArray[np.float64]:
    return np.array([episode.episode_return for episode in played])


def _decay_effect(phases: PlayedPhases, index: int) -> DecayEffect | None:
    if index not in phases.held_played:
        return None
    held = phases.held[index]
    held_returns = _returns(phases.held_played[index])
    return DecayEffect(
        branch=held.run.path.name,
        learning_rate=held.run.effective_phases[-1].learning_rate,
        step=held.end.step,
        held_mean_return=float(held_returns.mean()),
        effect=paired_difference(_returns(phases.played[held.rival_phase]), held_returns),
    )


def _training_returns(rows: Columns) -> TrainingReturns:
    returns = rows["return"]
    if returns.size == 0:
        return TrainingReturns(0, None, None, None)
    return TrainingReturns(
        episodes=returns.size,
        mean=float(returns.mean()),
        interquartile_mean=interquartile_mean(returns),
        success_rate=float(rows["success"].mean()),
    )


def _version_note(run: RunDirectory) -> tuple[str, ...]:
    changes = version_changes(run.versions)
    if not changes:
        return ()
    return (f"other versions are installed than the run was trained with: {', '.join(changes)}",)


def _write_summary(run: RunDirectory, comparison: Comparison) -> None:
    path = summary_path(run, comparison.episodes)
    data = (json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n").encode()
    try:
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
