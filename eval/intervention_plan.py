"""Plans interventions: which probes a share of a run's compute pays for, and from where."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import ConfigError, RunConfig, RunError
from agents.runs.directory import FRESH_AGENT, snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.forks import STATE, changed_config
from agents.runs.manifest import DamagedSnapshot, Snapshot, check_snapshot, read_snapshot
from eval.evidence import Evidence
from eval.probes import PROBES, Change
from schedules import ConstantSchedule, joined

SHARE = 0.25
FEWEST_EPISODES, MOST_EPISODES = 10, 100
PLAYED_OFF_POLICY, PLAYED_ON_POLICY = 0.2, 1.0
"""What a step of an evaluation episode costs, in steps of the run; estimates from above."""
PLACEBOS = 4
FIRST_PROBES = 4
FROM_SNAPSHOT, FROM_REPLAY, ANEW = "snapshot", "replay buffer", "nothing"
"""What a fork starts from: all of a snapshot; its replay buffer, with an agent of its own; nothing
at all."""


@dataclass(frozen=True)
class PlannedFork:
    """A probe or a placebo.

    Attributes:
        name: Name of the probe, or `"placebo-1"` and so on.
        start: `FROM_SNAPSHOT`, `FROM_REPLAY` or `ANEW`.
        shown: What it changes, besides the generators' seed.
        changes: For `fork_at`; of one that starts anew, what takes its config's place.
        config: Its config.
        path: Its folder.
        cost: Most that a step costs, in steps of the run.
    """

    name: str
    start: str
    shown: Mapping[str, Any]
    changes: Mapping[str, Any]
    config: RunConfig
    path: Path
    cost: float


@dataclass(frozen=True)
class Plan:
    """What is trained to find the culprit.

    Attributes:
        snapshot: Where forks leave the run.
        steps: Steps that each fork is trained for.
        episodes: Evaluation episodes that each fork plays.
        budget: Steps of the run that the share amounts to, the warm-up left out.
        spent: Most that all forks cost, in steps of the run.
        forks: Placebos and probes, in the order of their training.
        left_out: Why other probes are not tried, by name.
    """

    snapshot: Snapshot
    steps: int
    episodes: int
    budget: int
    spent: float
    forks: tuple[PlannedFork, ...]
    left_out: Mapping[str, str]


def ordered_probes(suspects: Sequence[str]) -> tuple[str, ...]:
    """All probes: those of the first suspect first, and so on.

    Args:
        suspects: Kinds of findings, the most suspicious first.
    """
    named = [n for kind in suspects for n, probe in PROBES.items() if kind in probe.suspects]
    return tuple(dict.fromkeys([*named, *PROBES]))


def plan_interventions(
    evidence: Evidence, suspects: Sequence[str], share: float, episodes: int | None = None
) -> Plan:
    """Chooses probes, their length and their seeds.

    The probes of suspects, or the first without any, and no more than four, get forks as long as
    the share pays for, but no longer than half of the phase; further ones follow while something is
    left. Each kind of start has placebos of its own. Unless
    their number is given, forks play as many episodes as half of the share pays for, from 10 to
    100.

    Args:
        evidence: Of the run.
        suspects: Kinds of findings, the most suspicious first.
        share: Part of the run's compute, above 0 and up to 10.
        episodes: How many evaluation episodes each fork plays.

    Returns:
        The plan; nothing has been written.

    Raises:
        ConfigError: If the share is out of range.
        RunError: If there is no snapshot to fork, or the share is too small for a single probe.
    """
    if not 0 < share <= 10:
        raise ConfigError(f"share must be above 0 and at most 10, got {share:g}")
    run, interval = evidence.run, evidence.run.steps_per_update
    snapshot = _snapshot(evidence)
    learning = run.config.total_timesteps - run.first_update + interval
    budget = int(share * learning)
    left_out, changes = {}, {}
    for name in ordered_probes(suspects):
        answer = PROBES[name].change(evidence)
        if isinstance(answer, str):
            left_out[name] = answer
        else:
            changes[name] = answer
    prices = _Prices(evidence, changes)
    shortest = -(-max(interval, evidence.longest_episode * run.config.n_envs) // interval)
    longest = max(shortest, (evidence.phase.stop - run.first_update) // 2 // interval)
    names = list(changes)
    suspected = [name for name in names if set(PROBES[name].suspects) & set(suspects)]
    chosen, steps, count = (suspected or names)[:FIRST_PROBES], 0, 0
    while chosen and steps < shortest:
        count = episodes or prices.affordable_episodes(chosen, budget / 2)
        left = budget - prices.of_playing(chosen, count)
        steps = int(left / prices.of_a_step(chosen)) // interval
        if steps < shortest:
            chosen.pop()
    if not chosen:
        count = episodes or FEWEST_EPISODES
        least = prices.total(names[:1], shortest * interval, count)
        raise RunError(
            f"{run.path} is too short for interventions at a share of {share:g}: a probe and its "
            f"{PLACEBOS} placebos take {least:.0f} steps, and the share allows {budget}; "
            f"--share {_rounded_up(least / learning):g} allows one"
        )
    steps = min(steps, longest) * interval
    for name in names[len(chosen) :]:
        if prices.total([*chosen, name], steps, count) <= budget:
            chosen.append(name)
        else:
            left_out[name] = "the share does not pay for it"
    return Plan(
        snapshot=snapshot,
        steps=steps,
        episodes=count,
        budget=budget,
        spent=prices.total(chosen, steps, count),
        forks=tuple(_forks(evidence, snapshot, steps, {name: changes[name] for name in chosen})),
        left_out=left_out,
    )


class _Prices:
    """What probes cost with their placebos, from above, in steps of the run."""

    def __init__(self, evidence: Evidence, changes: Mapping[str, Change]) -> None:
        self._starts = {n: _start(c, off_policy=evidence.off_policy) for n, c in changes.items()}
        played = PLAYED_OFF_POLICY if evidence.off_policy else PLAYED_ON_POLICY
        self._episode = played * evidence.longest_episode

    def _placebos(self, names: Sequence[str]) -> int:
        return PLACEBOS * len({self._starts[name] for name in names})

    def of_a_step(self, names: Sequence[str]) -> float:
        return sum(PROBES[name].cost for name in names) + self._placebos(names)

    def of_playing(self, names: Sequence[str], episodes: int) -> float:
        return (len(names) + self._placebos(names)) * episodes * self._episode

    def affordable_episodes(self, names: Sequence[str], budget: float) -> int:
        most = int(budget / self.of_playing(names, 1))
        return max(FEWEST_EPISODES, min(MOST_EPISODES, most))

    def total(self, names: Sequence[str], steps: int, episodes: int) -> float:
        return steps * self.of_a_step(names) + self.of_playing(names, episodes)


def _snapshot(evidence: Evidence) -> Snapshot:
    """The newest good snapshot of the phase that has learned something."""
    run = evidence.run
    end = run.phase_end_steps[evidence.phase.index]
    steps = [s for s in snapshot_steps(run) if run.first_update <= s <= end]
    damage = ""
    for step in reversed(steps):
        try:
            snapshot = read_snapshot(run, step)
            check_snapshot(run, snapshot)
        except DamagedSnapshot as error:
            damage = f"; {error}"
            continue
        return snapshot
    where = f"from step {run.first_update} to {end}"
    how = "--keep-snapshots-every keeps some" if read_divergence(run) is None else "it diverged"
    raise RunError(f"{run.path} has no good snapshot to fork {where}: {how}{damage}")


def _start(change: Change, *, off_policy: bool) -> str:
    if change.keeps_agent:
        return FROM_SNAPSHOT
    return FROM_REPLAY if off_policy else ANEW


def _rounded_up(share: float) -> float:
    return -(-share * 100 // 1) / 100


def _forks(
    evidence: Evidence, snapshot: Snapshot, steps: int, changes: Mapping[str, Change]
) -> Iterator[PlannedFork]:
    starts = {name: _start(c, off_policy=evidence.off_policy) for name, c in changes.items()}
    for start in dict.fromkeys(starts.values()):
        for number in range(1, PLACEBOS + 1):
            yield _fork(evidence, snapshot, steps, f"placebo-{number}", start, {}, number, 1.0)
    for name, change in changes.items():
        values = dict(change.values)
        yield _fork(evidence, snapshot, steps, name, starts[name], values, 0, PROBES[name].cost)


def _fork(
    evidence: Evidence,
    snapshot: Snapshot,
    steps: int,
    name: str,
    start: str,
    values: dict[str, Any],
    number: int,
    cost: float,
) -> PlannedFork:
    run, shown = evidence.run, dict(values)
    rate = ConstantSchedule(values.pop("learning_rate", evidence.phase.learning_rate))
    # All probes have one seed, and each placebo another: probes are forks like any other.
    seed = (run.config.seed + 1000 + number) % (2**31 - run.config.n_envs)
    begin = 0 if start == ANEW else snapshot.step
    folder = run.path / "probes" / f"{start.replace(' ', '-')}-{begin}-{begin + steps}"
    changes: dict[str, Any] = {"total_timesteps": begin + steps, "seed": seed, **values}
    if start == ANEW:
        changes["schedule"] = rate
        config = _anew(run.config, changes)
    else:
        changes["schedule"] = joined(run.config.schedule, begin + run.steps_per_update, rate)
        if start == FROM_REPLAY:
            changes[STATE] = FRESH_AGENT
        config = changed_config(run, changes)
    return PlannedFork(name, start, shown, changes, config, folder / name, cost)


def _anew(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The config of a run that starts anew, with values of it changed."""
    fields = {field.name for field in dataclasses.fields(config)}
    top = {key: value for key, value in changes.items() if key in fields}
    rest = {key: value for key, value in changes.items() if key not in fields}
    return dataclasses.replace(config, hyperparameters={**config.hyperparameters, **rest}, **top)
