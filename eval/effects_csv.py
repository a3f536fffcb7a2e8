"""`effects.csv`: the episodes behind every decay effect of a study, one row each.

| column | meaning |
|---|---|
| task, arm | the task, and the arm: everything in the config but the seed |
| phase | the phase that begins at the boundary |
| until_step | step of both agents, in environment timesteps |
| fork | `decay`, or `placebo-1`, `placebo-2`, …: the held rate with other generators |
| seed | training seed |
| episode | place among the evaluation episodes, from 0 |
| held_return, fork_return | return of the held branch's agent and of the fork's, in this episode |
| held_success, fork_success | 1 if the episode ended at the goal, else 0 |

An effect is a `fork_` column minus the `held_` column beside it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = (
    "task",
    "arm",
    "phase",
    "until_step",
    "fork",
    "seed",
    "episode",
    "held_return",
    "fork_return",
    "held_success",
    "fork_success",
)


@dataclass(frozen=True)
class Outcomes:
    """What agents achieved in the evaluation episodes.

    Attributes:
        returns: Shape (seeds, episodes): sums of rewards.
        successes: Shape (seeds, episodes): whether the episode ended at the goal.
    """

    returns: NDArray[np.float64]
    successes: NDArray[np.bool_]


@dataclass(frozen=True)
class Boundary:
    """The agents that are compared at one boundary of one arm.

    Attributes:
        task: Name of the task.
        arm: Name of the arm.
        phase: Index of the phase that begins at the boundary.
        until_step: Step of the agents.
        seeds: The S training seeds.
        held: Outcomes of the held branches' agents, shape (S, episodes).
        decayed: The same of the run's agents.
        placebos: The same of the agents of each placebo fork.
    """

    task: str
    arm: str
    phase: int
    until_step: int
    seeds: tuple[int, ...]
    held: Outcomes
    decayed: Outcomes
    placebos: tuple[Outcomes, ...]


def effects_csv(boundaries: Iterable[Boundary]) -> str:
    """Writes boundaries as the text of `effects.csv`.

    Args:
        boundaries: The boundaries, in the order of the rows.

    Returns:
        A header and a row for each boundary, fork, seed and episode. Numbers are written so that
        reading them gives the same bits.

    Raises:
        ValueError: If the outcomes of a boundary differ in shape or do not fit its seeds.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for boundary in boundaries:
        writer.writerows(_rows(boundary))
    return text.getvalue()


def _rows(boundary: Boundary) -> Iterator[tuple[object, ...]]:
    held = boundary.held
    forks = {"decay": boundary.decayed} | {
        f"placebo-{number}": fork for number, fork in enumerate(boundary.placebos, start=1)
    }
    for name, fork in forks.items():
        shapes = {part.shape for o in (held, fork) for part in (o.returns, o.successes)}
        if len(shapes) > 1 or len(boundary.seeds) != len(held.returns):
            raise ValueError(
                f"{name} at phase {boundary.phase} of {boundary.arm}: {len(boundary.seeds)} seeds "
                f"and outcomes of the shapes {sorted(shapes)}"
            )
        for row, seed in enumerate(boundary.seeds):
            for episode in range(held.returns.shape[1]):
                yield (
                    *(boundary.task, boundary.arm, boundary.phase, boundary.until_step),
                    *(name, seed, episode),
                    *(float(o.returns[row, episode]) for o in (held, fork)),
                    *(int(o.successes[row, episode]) for o in (held, fork)),
                )
