"""Shows an agent live, in a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents import RunDirectory, RunError
from agents.pretrained.catalogue import Pretrained
from eval.players import load_player
from eval.seeds import evaluation_seeds

CLOSED = "the window was closed"

if TYPE_CHECKING:
    from eval.rollouts import EpisodeProgress


def enjoyed(
    player: RunDirectory | Pretrained, phase: int | None, episodes: int
) -> Iterator[EpisodeProgress]:
    """Plays evaluation episodes in a window.

    Args:
        player: The run, or an agent that comes with the lab.
        phase: Index of the run's phase whose agent plays; the last one that has ended if `None`.
        episodes: How many evaluation episodes, from 2 to 10 000.

    Yields:
        Each episode at its end, until the window is closed.

    Raises:
        ConfigError: If the run has no such phase, or `episodes` is out of range.
        RunError: If the phase has not ended yet, its snapshot is damaged, or there is no display.
    """
    seeds = evaluation_seeds(episodes)
    agent = load_player(player, phase)
    # Imported late: SB3 takes seconds, and bad input should be reported sooner.
    from eval.rollouts import Rollouts

    try:
        rollouts = Rollouts(agent, render_mode="human")
    except RuntimeError as error:
        raise RunError(f"cannot open a window: {error}") from error
    with rollouts:
        for seed in seeds:
            try:
                end = rollouts.play(seed)
            except RuntimeError as error:
                if CLOSED in str(error):
                    return
                raise
            yield end
