"""Compares the arms of a study over its seeds: phases, whole runs, decay effects, initial rates."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import ConfigError, RunError
from agents.runs.files import write_atomically
from eval.crossed import crossed_interval
from eval.effects_csv import Outcomes, effects_csv
from eval.profiles import probability_of_improvement
from eval.rate_sensitivity import (
    RateSensitivity,
    hyperparameter_sensitivity,
    rate_sensitivity,
)
from eval.seeds import evaluation_seeds
from eval.significance import seeds_for_sign_flips
from eval.statistics import RUNS, Estimate, bootstrap, pooled_interquartile_mean
from eval.study import RATE_AXIS, TASK_AXIS, StudyRuns, open_study
from eval.study_effects import RETURN, SUCCESS, DecayOverSeeds, judge_boundaries
from eval.study_outcomes import PhaseEnd, StudyOutcomes, play_study
from eval.verdicts import LEVEL

FORMAT = "staircase-lab study comparison"
FORMAT_VERSION = 1
FEWEST_SEEDS = seeds_for_sign_flips(1, LEVEL)
"""Seeds without which no verdict is possible."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PhaseOverSeeds:
    """How good the agents of an arm are at the end of a phase.

    Attributes:
        task: Name of the task.
        arm: Name of the arm.
        phase: Index of the phase.
        step: Step of the agents.
        learning_rate: Rate of the phase.
        failed: How many seeds had diverged by then.
        same_as: The first arm whose agents are these very ones, as the two had not parted yet;
            `None` if this is the first.
        mean_return: Mean over seeds and episodes with its 95 % interval; one of infinite width for
            a single seed.
        success_rate: The same of the share of episodes that ended at the goal.
    """

    task: str
    arm: str
    phase: int
    step: int
    learning_rate: float
    failed: int
    same_as: str | None
    mean_return: Estimate
    success_rate: Estimate


@dataclass(frozen=True)
class WholeRuns:
    """The success rates of whole runs: at their end, one number for each seed and task.

    Attributes:
        label: Which arm; with several tasks, what its arms have in common.
        scores: Shape (seeds, tasks): success rate of each run, 0 for one that diverged.
        interquartile_mean: Mean of the middle half of the scores, with an interval over seeds.
        improvement: Probability that a run scores higher than one of the first arm, ties counting
            one half; `None` for the first arm itself.
    """

    label: str
    scores: tuple[tuple[float, ...], ...]
    interquartile_mean: Estimate
    improvement: Estimate | None


@dataclass(frozen=True)
class JudgedDecays:
    """Decay effects that were judged together.

    Attributes:
        quantity: What they are differences of, `"return"` or `"success"`.
        task: The task they are of; `None` for all tasks.
        decays: At least one.
    """

    quantity: str
    task: str | None
    decays: tuple[DecayOverSeeds, ...]


@dataclass(frozen=True)
class InitialRates:
    """The initial rates at one task, everything else being equal.

    Attributes:
        label: Task, and the other axes if there are any.
        quantity: What the scores are, `"return"` or `"success"`.
        sensitivity: The scores and what can be told apart.
    """

    label: str
    quantity: str
    sensitivity: RateSensitivity


@dataclass(frozen=True)
class RatesOverTasks:
    """What one initial rate for all tasks costs.

    Attributes:
        label: The other axes; empty if there are none.
        quantity: What the performance is, `"return"` or `"success"`.
        tasks: The tasks.
        lost: Adkins' sensitivity.
    """

    label: str
    quantity: str
    tasks: tuple[str, ...]
    lost: Estimate


@dataclass(frozen=True)
class StudyComparison:
    """The arms of a study, compared.

    Attributes:
        name: Name of the study.
        seeds: The seeds that are compared.
        episodes: Number of evaluation episodes.
        phases: A result for each arm and phase.
        runs: A result for each arm at the end of its runs.
        effects: Decay effects; empty without held branches.
        rates: Initial rates; empty without such an axis.
        rates_over_tasks: The same over tasks; empty with a single one.
        notes: A line for each thing that is missing, diverged or left out.
    """

    name: str
    seeds: tuple[int, ...]
    episodes: int
    phases: tuple[PhaseOverSeeds, ...]
    runs: tuple[WholeRuns, ...]
    effects: tuple[JudgedDecays, ...]
    rates: tuple[InitialRates, ...]
    rates_over_tasks: tuple[RatesOverTasks, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON data; an interval of infinite width has no ends."""
        data = _finite(dataclasses.asdict(self))
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **data}


def compare_study(
    folder: Path,
    episodes: int = 100,
    margins: Mapping[str, float] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> StudyComparison:
    """Plays the evaluation episodes of a study, compares its arms and stores the result.

    The result is written to `evaluation/summary.json` below the study's folder, and the episodes
    behind the decay effects, if there are any, to `evaluation/effects.csv`.

    Args:
        folder: Folder of the study, which need not be complete.
        episodes: How many evaluation episodes, from 2 to 10 000.
        margins: The largest effects that would not matter, by quantity, `"success"` or `"return"`;
            by default those of `judge_boundaries`.
        progress: Told in words how far it is.

    Returns:
        The comparison.

    Raises:
        ConfigError: If `episodes` is out of range, or a margin is not above 0.
        RunError: If the folder holds no study or nothing that can be compared, a file is damaged,
            or `evaluation/` cannot be written.
    """
    evaluation_seeds(episodes)
    return compare_runs(open_study(folder), episodes, margins, progress)


def compare_runs(
    runs: StudyRuns,
    episodes: int,
    margins: Mapping[str, float] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> StudyComparison:
    """Does what `compare_study` does, to a study that is open already.

    Args:
        runs: The study.
        episodes: How many evaluation episodes, from 2 to 10 000.
        margins: As there.
        progress: Told in words how far it is.

    Raises:
        ConfigError: If `episodes` is out of range, or a margin is not above 0.
        RunError: If a file is damaged, or `evaluation/` cannot be written.
    """
    for quantity, margin in (margins or {}).items():
        if not 0 < margin < math.inf:
            raise ConfigError(f"the {quantity} margin must be above 0, got {margin}")
    outcomes = play_study(runs, episodes, progress)
    comparison = summarise_study(outcomes, margins)
    summary = json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n"
    texts = {"summary.json": summary}
    if outcomes.boundaries:
        texts["effects.csv"] = effects_csv(outcomes.boundaries)
    write_evaluation(runs.folder, {name: text.encode() for name, text in texts.items()})
    return comparison


def write_evaluation(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Writes files below `evaluation/` of a study; those that say the same already are left.

    Args:
        folder: Folder of the study.
        files: Content by name.

    Returns:
        The paths.

    Raises:
        RunError: If they cannot be written.
    """
    paths = []
    for name, data in files.items():
        path = folder / "evaluation" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}") from error
        paths.append(path)
    return tuple(paths)


def summarise_study(
    outcomes: StudyOutcomes, margins: Mapping[str, float] | None = None
) -> StudyComparison:
    """Computes what the episodes say; plays and writes nothing.

    Args:
        outcomes: What the agents achieved.
        margins: As for `compare_study`.

    Returns:
        The comparison.
    """
    count = len(outcomes.seeds)
    notes: list[str] = []
    if count < FEWEST_SEEDS:
        notes.append(
            f"{count} seed{'s are' if count > 1 else ' is'} compared; no verdict is possible with "
            f"fewer than {FEWEST_SEEDS}" + (", and no interval with one" if count == 1 else "")
        )
    notes += outcomes.notes
    effects = judged_decays(outcomes, margins or {}, notes)
    rates, over_tasks = initial_rates(outcomes, notes)
    return StudyComparison(
        name=outcomes.name,
        seeds=outcomes.seeds,
        episodes=outcomes.episodes,
        phases=_phases(outcomes),
        runs=_whole_runs(outcomes),
        effects=effects,
        rates=rates,
        rates_over_tasks=over_tasks,
        notes=tuple(notes),
    )


def judged_decays(
    outcomes: StudyOutcomes, margins: Mapping[str, float], notes: list[str]
) -> tuple[JudgedDecays, ...]:
    """Judges the decays of a study: success over all tasks together, returns task by task.

    Args:
        outcomes: What the agents achieved.
        margins: By quantity, where it is not that of `judge_boundaries`.
        notes: Gets a line for each judgement that is not possible.

    Returns:
        The judgements; none without held branches.
    """
    boundaries = outcomes.boundaries
    if not boundaries:
        return ()
    tasks = list(dict.fromkeys(boundary.task for boundary in boundaries))
    success = judge_boundaries(boundaries, SUCCESS, margins.get(SUCCESS))
    found = [JudgedDecays(SUCCESS, None, success)]
    for task in tasks:
        its = [boundary for boundary in boundaries if boundary.task == task]
        try:
            decays = judge_boundaries(its, RETURN, margins.get(RETURN))
        except ValueError as error:
            notes.append(f"decay effects on the return at {task}: {error}")
            continue
        found.append(JudgedDecays(RETURN, task, decays))
    return tuple(found)


def run_scores(outcomes: StudyOutcomes) -> dict[str, Array]:
    """Success rates of whole runs, by arm.

    Arms that differ in the task alone are put together, as success rates can be.

    Args:
        outcomes: What the agents achieved.

    Returns:
        By label of the arm the shape (seeds, tasks); only arms that have every task.
    """
    several = len({end.task for end in outcomes.ends}) > 1
    groups: dict[str, dict[str, PhaseEnd]] = {}
    for end in outcomes.last_ends():
        label = _label(_axes(outcomes, end), {TASK_AXIS}) or "all arms" if several else end.arm
        groups.setdefault(label, {})[end.task] = end
    most = max(map(len, groups.values()), default=0)
    return {
        label: np.stack([end.outcomes.successes.mean(axis=1) for end in ends.values()], axis=1)
        for label, ends in groups.items()
        if len(ends) == most
    }


def initial_rates(
    outcomes: StudyOutcomes, notes: list[str]
) -> tuple[tuple[InitialRates, ...], tuple[RatesOverTasks, ...]]:
    """Compares the initial rates of a study at the end of its constant-rate phase.

    Args:
        outcomes: What the agents achieved.
        notes: Gets a line for each comparison that is not possible.

    Returns:
        The rates at each task and for each value of the other axes; and what one rate for all
        tasks would cost. Both empty if the study has no axis of initial rates.
    """
    firsts = [end for end in outcomes.ends if end.phase == 0 and RATE_AXIS in _axes(outcomes, end)]
    groups: dict[tuple[str, str], dict[float, PhaseEnd]] = {}
    seen: set[tuple[str | None, ...]] = set()
    for end in firsts:
        if end.states in seen and any(end.states):
            continue  # arms that part later share their agents
        seen.add(end.states)
        axes = _axes(outcomes, end)
        key = end.task, _label(axes, {TASK_AXIS, RATE_AXIS})
        groups.setdefault(key, {})[float(axes[RATE_AXIS])] = end
    if firsts and len(outcomes.seeds) < 2:
        notes.append("initial rates cannot be compared with one seed")
        return (), ()
    found: list[InitialRates] = []
    for (task, label), ends in groups.items():
        if len(ends) < 2:
            notes.append(f"only one initial rate is trained at {task} {label}".rstrip())
            continue
        for quantity in (SUCCESS, RETURN):
            scores = np.stack([_values(end.outcomes, quantity) for end in ends.values()])
            sensitivity = rate_sensitivity(list(ends), scores)
            if quantity == SUCCESS:
                shares = tuple(_share(score) for score in sensitivity.scores)
                sensitivity = dataclasses.replace(sensitivity, scores=shares)
            found.append(InitialRates(f"{task} {label}".rstrip(), quantity, sensitivity))
    return tuple(found), _over_tasks(groups, notes)


def _over_tasks(
    groups: Mapping[tuple[str, str], Mapping[float, PhaseEnd]], notes: list[str]
) -> tuple[RatesOverTasks, ...]:
    found: list[RatesOverTasks] = []
    for label in dict.fromkeys(label for _, label in groups):
        by_task = {task: ends for (task, other), ends in groups.items() if other == label}
        rates = sorted(set[float].intersection(*(set(ends) for ends in by_task.values())))
        if len(by_task) < 2 or len(rates) < 2:
            continue
        for quantity in (SUCCESS, RETURN):
            performance = np.array(
                [
                    [_values(ends[rate].outcomes, quantity).mean(axis=1) for rate in rates]
                    for ends in by_task.values()
                ]
            )
            try:
                lost = hyperparameter_sensitivity(performance)
            except ValueError as error:
                notes.append(f"one rate for all tasks, by the {quantity}: {error}")
                continue
            found.append(RatesOverTasks(label, quantity, tuple(by_task), lost))
    return tuple(found)


def _phases(outcomes: StudyOutcomes) -> tuple[PhaseOverSeeds, ...]:
    first: dict[tuple[str | None, ...], str] = {}
    found = []
    for end in outcomes.ends:
        failed = end.states.count(None)
        shared = None if failed == len(end.states) else first.get(end.states)
        first.setdefault(end.states, end.arm)
        found.append(
            PhaseOverSeeds(
                task=end.task,
                arm=end.arm,
                phase=end.phase,
                step=end.step,
                learning_rate=end.learning_rate,
                failed=failed,
                same_as=shared,
                mean_return=_over_seeds(_values(end.outcomes, RETURN)),
                success_rate=_share(_over_seeds(_values(end.outcomes, SUCCESS))),
            )
        )
    return tuple(found)


def _whole_runs(outcomes: StudyOutcomes) -> tuple[WholeRuns, ...]:
    found: list[WholeRuns] = []
    baseline: Array | None = None
    for label, scores in run_scores(outcomes).items():
        several = len(scores) > 1
        mean = bootstrap(scores, pooled_interquartile_mean, [RUNS])
        better = None
        if baseline is not None:
            better = probability_of_improvement(scores, baseline)
        if not several:  # resampling one seed gives no width
            mean = Estimate(mean.value, -math.inf, math.inf)
            better = better and Estimate(better.value, -math.inf, math.inf)
        rows = tuple(tuple(float(score) for score in row) for row in scores)
        found.append(WholeRuns(label, rows, mean, better))
        baseline = scores if baseline is None else baseline
    return tuple(found)


def _over_seeds(values: Array) -> Estimate:
    if len(values) > 1:
        return crossed_interval(values)
    return Estimate(float(values.mean()), -math.inf, math.inf)


def _share(estimate: Estimate) -> Estimate:
    """An estimate of a share, whose interval cannot leave 0 to 1; one without stays without."""
    if not math.isfinite(estimate.low):
        return estimate
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))


def _values(outcomes: Outcomes, quantity: str) -> Array:
    chosen = outcomes.returns if quantity == RETURN else outcomes.successes
    return np.asarray(chosen, dtype=np.float64)


def _axes(outcomes: StudyOutcomes, end: PhaseEnd) -> Mapping[str, Any]:
    return outcomes.axes[end.arm]


def _label(axes: Mapping[str, Any], without: set[str]) -> str:
    words = [f"{key} {_word(value)}" for key, value in axes.items() if key not in without]
    return ", ".join(words)


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')


def _finite(data: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON has no infinite numbers."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
