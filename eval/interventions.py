"""Interventions: what a run does from a snapshot on if one thing is changed, beside placebos."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy import special

from agents import RunDirectory, RunError
from agents.runs.directory import is_complete, snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.forks import STATE
from agents.runs.manifest import Snapshot, read_snapshot
from eval.evidence import Evidence
from eval.intervention_plan import ANEW, PlannedFork, plan_interventions
from eval.probes import PROBES
from eval.seeds import evaluation_seeds
from eval.stored_episodes import play_and_store

LEVEL = 0.05
FEWEST_PLACEBOS = 2


@dataclass(frozen=True)
class Comparison:
    """A probe beside its placebos.

    Attributes:
        score: Its mean return in the evaluation episodes.
        placebo_score: Mean of its placebos' scores.
        effect: The difference.
        low: Lower end of the 95 % interval of the effect.
        high: Upper end.
        noise: Standard deviation that a fork's score has if nothing is changed.
        p: One-sided p that it is a placebo like the others.
        p_corrected: The same, corrected for the number of probes (Holm).
    """

    score: float
    placebo_score: float
    effect: float
    low: float
    high: float
    noise: float
    p: float
    p_corrected: float

    @property
    def beats(self) -> bool:
        """Whether the probe beats its placebos."""
        return self.p_corrected <= LEVEL


@dataclass(frozen=True)
class Intervention:
    """What came of a probe.

    Attributes:
        name: Its name, a key of `PROBES`.
        suspects: Kinds of findings that it tests.
        changes: What was changed, by name.
        start: What it and its placebos began with: a `"snapshot"`, the snapshot's `"replay buffer"`
            and an agent of its own, or `"nothing"`.
        path: Its folder, in the run's.
        success: Its success rate in the evaluation episodes; `None` if it diverged.
        placebo_success: The mean of its placebos' rates; `None` if all diverged.
        placebos: How many did not diverge.
        comparison: How it compares; `None` if it or too many placebos diverged.
        divergence: Where it diverged, in words; empty if it did not.
    """

    name: str
    suspects: tuple[str, ...]
    changes: Mapping[str, Any]
    start: str
    path: str
    success: float | None
    placebo_success: float | None
    placebos: int
    comparison: Comparison | None
    divergence: str

    @property
    def beats(self) -> bool:
        """Whether it beats its placebos."""
        return self.comparison is not None and self.comparison.beats


@dataclass(frozen=True)
class Interventions:
    """What came of all probes.

    Attributes:
        step: Step of the snapshot where they left the run.
        steps: Steps that each probe and placebo was trained for.
        episodes: Evaluation episodes that each played.
        share: Part of the run's compute that they were allowed.
        spent: Part that they took at most, with the playing.
        placebos: How many placebos were trained, for all kinds of start.
        seconds: Seconds that all of them trained, as the clock had it.
        probes: The probes, those that beat their placebos first, then by p.
        left_out: Why other probes were not tried, by name.
    """

    step: int
    steps: int
    episodes: int
    share: float
    spent: float
    placebos: int
    seconds: float
    probes: tuple[Intervention, ...]
    left_out: Mapping[str, str]

    @property
    def culprits(self) -> tuple[Intervention, ...]:
        """The probes that beat their placebos, the surest first."""
        return tuple(probe for probe in self.probes if probe.beats)

    @property
    def sentence(self) -> str:
        """What they say."""
        if culprits := [probe.name for probe in self.culprits]:
            one = len(culprits) == 1
            return (
                f"{', '.join(culprits)} {'beats its' if one else 'beat their'} placebos, so what "
                f"{'it changes is' if one else 'they change is'} at fault"
            )
        compared = [probe.comparison for probe in self.probes if probe.comparison is not None]
        if not compared:
            return "no probe could be compared with placebos"
        unseen = max(comparison.high - comparison.effect for comparison in compared)
        return (
            f"no probe beats its placebos; effects on the return below about {unseen:.2g} may go "
            "unseen"
        )

    def to_dict(self) -> dict[str, Any]:
        """The interventions as JSON data."""
        data = {"sentence": self.sentence, **asdict(self)}
        for probe, stored in zip(self.probes, data["probes"], strict=True):
            stored["beats"] = probe.beats
        return data


@dataclass(frozen=True)
class _Outcome:
    """What a fork achieved: returns and successes of shape (episodes,), or where it diverged."""

    returns: NDArray[np.float64]
    success: NDArray[np.float64]
    divergence: str


def intervene(
    evidence: Evidence,
    suspects: Sequence[str],
    share: float,
    episodes: int | None = None,
    processes: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Interventions:
    """Trains probes and placebos of a run, lets them play and compares them.

    They are run directories of their own in the run's `probes/`; nothing else of the run is
    touched. What is complete there is not trained again.

    Args:
        evidence: Of the run.
        suspects: Kinds of findings, the most suspicious first.
        share: Part of the run's compute that training and playing may take.
        episodes: How many evaluation episodes each plays, from 2 to 10 000; what half of the share
            pays for if `None`.
        processes: How many forks train at once; one per core if `None`. With 1, they train in this
            process, which saves each the seconds that a process takes to start.
        tell: Told in words how far it is.

    Returns:
        What came of it.

    Raises:
        ConfigError: If the share or the number of episodes is out of range.
        RunError: If there is no snapshot to fork, the share is too small for a probe, something
            else is in the way in `probes/`, or a fork could not be trained.
        TrainingInterrupted: If SIGINT or SIGTERM came; the same call goes on.
    """
    if episodes is not None:
        evaluation_seeds(episodes)
    run = evidence.run
    plan = plan_interventions(evidence, suspects, share, episodes)
    forks = [(fork, _opened(run, plan.snapshot, fork)) for fork in plan.forks]
    _train([fork for _, fork in forks], processes, tell)
    outcomes: dict[tuple[str, str], _Outcome] = {}
    for number, (planned, fork) in enumerate(forks, start=1):
        tell(f"playing evaluation episodes, fork {number} of {len(forks)}")
        outcomes[planned.start, planned.name] = _outcome(run, fork, plan.episodes)
    elapsed = [_seconds(fork, planned, plan.snapshot) for planned, fork in forks]
    return Interventions(
        step=plan.snapshot.step,
        steps=plan.steps,
        episodes=plan.episodes,
        share=share,
        spent=share * plan.spent / plan.budget,
        placebos=sum(planned.name not in PROBES for planned in plan.forks),
        seconds=round(sum(elapsed), 3),
        probes=_compared(run, [planned for planned, _ in forks], outcomes),
        left_out=plan.left_out,
    )


def _opened(run: RunDirectory, snapshot: Snapshot, planned: PlannedFork) -> RunDirectory:
    """The run directory of a fork, created if there is none yet."""
    path = planned.path
    if not path.exists():
        _create(run, snapshot.step, planned)
    fork = RunDirectory.open(path)
    parent, changes = fork.parent, planned.changes
    noted = parent and (parent.step, parent.state_sha256, parent.generator_seed, parent.state)
    due = (snapshot.step, snapshot.state_sha256, changes["seed"], changes.get(STATE))
    if fork.config != planned.config or noted != (None if planned.start == ANEW else due):
        raise RunError(f"{path} is not the probe that belongs there: move it away")
    return fork


def _create(run: RunDirectory, step: int, planned: PlannedFork) -> None:
    # Imported late: SB3 takes seconds, and bad input is reported before.
    from agents.training.forks import fork_at
    from agents.training.loop import create_run

    # Under another name until it is whole: a kill must not leave a fork without its past.
    path = planned.path.with_name(f".{planned.name}.tmp")
    shutil.rmtree(path, ignore_errors=True)
    if planned.start == ANEW:
        create_run(planned.config, path)
    else:
        fork_at(run, step, planned.changes, path)
    try:
        path.rename(planned.path)
    except OSError as error:  # Another process may have been faster.
        raise RunError(f"cannot create {planned.path}: {error.strerror}") from error


def _train(
    forks: Sequence[RunDirectory], processes: int | None, tell: Callable[[str], None]
) -> None:
    from agents.runs.divergence import Diverged
    from agents.training.loop import train_run
    from agents.training.workers import RunPool

    left = [fork for fork in forks if not is_complete(fork) and read_divergence(fork) is None]
    done = len(forks) - len(left)
    with RunPool(processes) as pool:
        if pool.processes > 1:
            for fork in left:
                pool.submit(fork)
            while done < len(forks):
                tell(f"training, {done} of {len(forks)} forks are trained")
                done += len(pool.wait())
            pool.finish()
            return
    for number, fork in enumerate(left, start=done + 1):
        tell(f"training, fork {number} of {len(forks)}: {fork.path.name}")
        try:
            train_run(fork, Console(quiet=True))
        except Diverged:
            continue  # an outcome, which is read from the folder


def _outcome(run: RunDirectory, fork: RunDirectory, episodes: int) -> _Outcome:
    divergence = read_divergence(fork)
    if divergence is not None:
        return _Outcome(np.zeros(0), np.zeros(0), str(divergence))
    step = snapshot_steps(fork)[-1]
    phase = fork.phase_at(step).index
    played = play_and_store(fork, {phase: read_snapshot(fork, step)}, episodes)[phase]
    success = np.array([float(episode.success) for episode in played])
    returns = np.array([episode.episode_return for episode in played])
    if fork.config.reward != run.config.reward:
        # What the run's own, sparse rewards would have come to: -1 for each step but the last.
        returns = success - np.array([episode.length for episode in played])
    return _Outcome(returns, success, "")


def _seconds(fork: RunDirectory, planned: PlannedFork, snapshot: Snapshot) -> float:
    before = 0.0 if planned.start == ANEW else snapshot.elapsed_s
    steps = snapshot_steps(fork)
    return read_snapshot(fork, steps[-1]).elapsed_s - before if steps else 0.0


def _compared(
    run: RunDirectory,
    forks: Sequence[PlannedFork],
    outcomes: Mapping[tuple[str, str], _Outcome],
) -> tuple[Intervention, ...]:
    probes = [fork for fork in forks if fork.name in PROBES]
    placebos = {
        start: [
            outcome
            for (its, name), outcome in outcomes.items()
            if its == start and name not in PROBES and not outcome.divergence
        ]
        for start in {fork.start for fork in forks}
    }
    returns = {
        fork.name: (outcome.returns, [one.returns for one in placebos[fork.start]])
        for fork in probes
        if not (outcome := outcomes[fork.start, fork.name]).divergence
        and len(placebos[fork.start]) >= FEWEST_PLACEBOS
    }
    comparisons = compare_with_placebos(returns)
    found = []
    for fork in probes:
        outcome, beside = outcomes[fork.start, fork.name], placebos[fork.start]
        found.append(
            Intervention(
                name=fork.name,
                suspects=PROBES[fork.name].suspects,
                changes=fork.shown,
                start=fork.start,
                path=str(fork.path.relative_to(run.path)),
                success=None if outcome.divergence else float(outcome.success.mean()),
                placebo_success=float(np.mean([one.success.mean() for one in beside]))
                if beside
                else None,
                placebos=len(beside),
                comparison=comparisons.get(fork.name),
                divergence=outcome.divergence,
            )
        )
    found.sort(key=lambda one: 2.0 if one.comparison is None else one.comparison.p)
    return tuple(found)


def compare_with_placebos(
    returns: Mapping[str, tuple[NDArray[np.float64], Sequence[NDArray[np.float64]]]],
) -> dict[str, Comparison]:
    """Tests whether probes are placebos like the others.

    All play the same episodes, so what an episode is worth cancels out, and a placebo's mean return
    differs from another's by the luck of its generators. If a probe does nothing, its mean x is one
    more draw beside the n placebos' means with mean m and deviation s, and

        t = (x - m) / (s √(1 + 1/n))

    has Student's distribution with n - 1 degrees of freedom. s is at least the probe's own
    deviation over its episodes, divided by the root of their number: placebos that all fail have
    none. The p-values are corrected by Holm's method (1979).

    Args:
        returns: By probe, its returns, shape (episodes,), and those of each of its placebos.

    Returns:
        The comparison of each probe.
    """
    found: dict[str, tuple[float, float, float, int]] = {}
    for name, (own, placebos) in returns.items():
        means = np.array([one.mean() for one in placebos])
        # Means of equal numbers may differ in the last bit.
        luck = max(float(means.std(ddof=1)), float(own.std(ddof=1)) / np.sqrt(len(own)), 1e-9)
        found[name] = float(own.mean()), float(means.mean()), luck, len(means)
    p = {
        name: float(special.stdtr(n - 1, -(own - mean) / (luck * np.sqrt(1 + 1 / n))))
        for name, (own, mean, luck, n) in found.items()
    }
    corrected, largest = {}, 0.0
    for place, name in enumerate(sorted(p, key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        corrected[name] = largest
    comparisons = {}
    for name, (own_mean, mean, luck, n) in found.items():
        half = float(special.stdtrit(n - 1, 0.975)) * luck * np.sqrt(1 + 1 / n)
        effect = own_mean - mean
        comparisons[name] = Comparison(
            own_mean, mean, effect, effect - half, effect + half, luck, p[name], corrected[name]
        )
    return comparisons
