"""A study as a tree: what is trained once, and where runs part.

A run is a *line* of updates, each at a rate. Lines of one config and seed that have had the same
rates so far are in the same state, bit for bit, so they share that stretch of training. The tree
cuts the lines into *segments*: stretches that no line leaves before their end.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from agents.config import ConfigError, RunConfig
from agents.runs.manifest import canonical_json
from agents.runs.provenance import installed_versions
from schedules import PiecewiseConstantSchedule, Schedule, effective_phases

# What changes no bit of what is learned.
_WITHOUT_EFFECT = ("learner", "observers", "snapshot_every", "keep_snapshots_every")


@dataclass(frozen=True)
class Turn:
    """A point of a line from which on the rate or the generators are others.

    Attributes:
        step: Step of the snapshot before the first update that differs; 0 for the beginning.
        learning_rate: Rate of the updates after it.
        generator_seed: Seed that the generators get there; `None` if they go on.
    """

    step: int
    learning_rate: float
    generator_seed: int | None = None


@dataclass(frozen=True)
class Line:
    """One run of a study, as the stretches of constant rate that it consists of.

    Attributes:
        config: The run's config.
        turns: Where its rate or generators change, ascending; the first at step 0.
        stop: Step of its last snapshot.
    """

    config: RunConfig
    turns: tuple[Turn, ...]
    stop: int

    @cached_property
    def identity(self) -> str:
        """Checksum of all that determines the line, except its turns and its length."""
        data = self.config.to_dict()
        for name in ("schedule", "total_timesteps", *_WITHOUT_EFFECT):
            del data[name]
        data["versions"] = installed_versions()
        return hashlib.sha256(canonical_json(data)).hexdigest()

    @cached_property
    def key(self) -> str:
        """Checksum of all that determines the state at its end."""
        return segment_key(self.identity, self.turns, self.stop)

    def before(self, step: int) -> tuple[Turn, ...]:
        """Returns the turns that come before the update after a step.

        Args:
            step: Step of a snapshot.
        """
        return tuple(turn for turn in self.turns if turn.step < step)


def line_of(
    config: RunConfig,
    steps_per_update: int,
    first_update: int,
    fork: tuple[int, int] | None = None,
) -> Line:
    """Cuts a run into stretches of constant rate.

    Args:
        config: The run.
        steps_per_update: Environment timesteps between two updates.
        first_update: Step of the first update.
        fork: Step of a snapshot and the seed that all generators get there.

    Returns:
        The line.

    Raises:
        ConfigError: If a phase sees no update, or only one: its end would be no point where a run
            can be forked.
    """
    planned = config.schedule.phases(config.total_timesteps)
    phases = effective_phases(planned, steps_per_update, first_update)
    if len(phases) < len(planned):
        met = {phase.index for phase in phases}
        missed = next(phase.index for phase in planned if phase.index not in met)
        raise ConfigError(f"phase {missed} of {config.schedule!r} sees no update; leave it out")
    for phase in phases:
        if phase.stop - phase.start < 2 * steps_per_update:
            raise ConfigError(
                f"phase {phase.index} of {config.schedule!r} is less than two updates long"
            )
    turns = [Turn(0, phases[0].learning_rate)]
    turns += [Turn(p.start - steps_per_update, p.learning_rate) for p in phases[1:]]
    stop = phases[-1].stop
    if fork is not None:
        step, seed = fork
        rate = next(turn.learning_rate for turn in reversed(turns) if turn.step <= step)
        turns = [turn for turn in turns if turn.step != step] + [Turn(step, rate, seed)]
        turns.sort(key=lambda turn: turn.step)
    return Line(config, tuple(turns), stop)


@dataclass(frozen=True)
class Segment:
    """A stretch of training that is done once for all lines that share it.

    Attributes:
        line: One of the lines that go through it.
        start: Step of the snapshot that it begins with; 0 for the beginning of training.
        stop: Step of its last snapshot.
        parent: The segment that ends at `start`; `None` at the beginning.
    """

    line: Line
    start: int
    stop: int
    parent: Segment | None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of all lines that go through it, up to its end."""
        return self.line.before(self.stop)

    @cached_property
    def key(self) -> str:
        """Checksum of all that determines the state at its end."""
        return segment_key(self.line.identity, self.turns, self.stop)

    @property
    def steps(self) -> int:
        """Environment timesteps that it takes."""
        return self.stop - self.start

    def backwards(self) -> Iterator[Segment]:
        """Yields the segment and those before it, back to the beginning of training."""
        at: Segment | None = self
        while at is not None:
            yield at
            at = at.parent

    def schedule(self) -> Schedule:
        """A schedule whose updates have the segment's rates, from the beginning of training."""
        turns = [self.turns[0]]
        turns += [b for a, b in pairwise(self.turns) if a.learning_rate != b.learning_rate]
        return PiecewiseConstantSchedule(
            boundaries=tuple(turn.step + 1 for turn in turns[1:]),
            values=tuple(turn.learning_rate for turn in turns),
        )

    def config(self) -> RunConfig:
        """The config that trains the segment."""
        return dataclasses.replace(
            self.line.config, schedule=self.schedule(), total_timesteps=self.stop
        )


def segment_key(identity: str, turns: Sequence[Turn], stop: int) -> str:
    """Computes the checksum of all that determines the state at the end of a segment.

    Args:
        identity: `Line.identity`.
        turns: The turns before its end.
        stop: Step of its end.
    """
    data: list[Any] = [identity, [dataclasses.astuple(turn) for turn in turns], stop]
    return hashlib.sha256(canonical_json(data)).hexdigest()


@dataclass(frozen=True)
class Tree:
    """The segments of a plan, each after its parent, and the last one of each line.

    Attributes:
        segments: The segments.
        last: The segment that ends each line, by the line's key.
    """

    segments: tuple[Segment, ...]
    last: Mapping[str, Segment]


def grow(lines: Sequence[Line]) -> Tree:
    """Cuts lines into segments, so that nothing is trained twice.

    Args:
        lines: The lines.

    Returns:
        The tree.
    """
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in {line.key: line for line in lines}.values():
        groups[line.identity].append(line)
    segments: list[Segment] = []
    last: dict[str, Segment] = {}
    for group in groups.values():
        for segment, ending in _branch(group, 0, None):
            segments.append(segment)
            last.update({line.key: segment for line in ending})
    return Tree(tuple(segments), last)


def _branch(
    lines: Sequence[Line], start: int, parent: Segment | None
) -> Iterator[tuple[Segment, list[Line]]]:
    """Yields the segments from a step on, depth first, each with the lines that end there."""
    alike: dict[tuple[Turn, ...], list[Line]] = defaultdict(list)
    for line in lines:
        alike[tuple(turn for turn in line.turns if turn.step <= start)].append(line)
    for group in alike.values():
        stop = _parting(group, start)
        segment = Segment(group[0], start, stop, parent)
        yield segment, [line for line in group if line.stop == stop]
        if going_on := [line for line in group if line.stop > stop]:
            yield from _branch(going_on, stop, segment)


def _parting(lines: Sequence[Line], start: int) -> int:
    """Finds the first step after `start` at which equal lines part, or one of them ends.

    New generators are given at a fork, so a line that gets some is cut there in any case.
    """
    end = min(line.stop for line in lines)
    turns = [turn for line in lines for turn in line.turns if start < turn.step < end]
    for step in sorted({turn.step for turn in turns}):
        reseeded = any(t.step == step and t.generator_seed is not None for t in turns)
        if reseeded or len({line.before(step + 1) for line in lines}) > 1:
            return step
    return end
