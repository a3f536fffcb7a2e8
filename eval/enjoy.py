"""Shows an agent live, in a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents import RunDirectory, RunError
from eval.phase_ends import ended_phase, phase_ends
from eval.seeds import evaluation_seeds

CLOSED = "the window was closed"

if TYPE_CHECKING:
    from eval.rollouts import EpisodeProgress


def enjoyed(run: RunDirectory, phase: int | None, episodes: int) -> Iterator[EpisodeProgress]:
    """Plays evaluation episodes in a window.

    Args:
        run: The run.
        phase: Index of the phase whose agent plays; the last one that has ended if `None`.
        episodes: How many evaluation episodes, from 2 to 10 000.

    Yields:
        Each episode at its end, until the window is closed.

    Raises:
        ConfigError: If the run has no such phase, or `episodes` is out of range.
        RunError: If the phase has not ended yet, its snapshot is damaged, or there is no display.
    """
    index = ended_phase(run, phase)
    seeds = evaluation_seeds(episodes)
    # Imported late: SB3 takes seconds, and bad input should be reported sooner.
    from eval.rollouts import Rollouts

    try:
        rollouts = Rollouts(run, render_mode="human")
    except RuntimeError as error:
        raise RunError(f"cannot open a window: {error}") from error
    with rollouts:
        rollouts.load(phase_ends(run).snapshots[index])
        for seed in seeds:
            try:
                end = rollouts.play(seed)
            except RuntimeError as error:
                if CLOSED in str(error):
                    return
                raise
            yield end
