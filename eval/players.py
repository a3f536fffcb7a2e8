"""Who plays in a window or a film: the agent of a run's phase, or one that comes with the lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents import RunDirectory, RunError, find_run, pretrained_names
from agents.pretrained.catalogue import Pretrained, find_pretrained
from eval.phase_ends import ended_phase, phase_ends

if TYPE_CHECKING:
    from agents.snapshots.agent import Agent


def find_player(name: str) -> RunDirectory | Pretrained:
    """Finds a run, or else an agent that comes with the lab.

    Args:
        name: Path of a run, `"latest"`, or the name of such an agent; a folder goes first.

    Raises:
        RunError: If there is neither.
    """
    if Path(name).exists():
        return find_run(name)
    names = pretrained_names()
    if name in names:
        return find_pretrained(name)
    try:
        return find_run(name)
    except RunError as error:
        shipped = ", ".join(names) or "none"
        raise RunError(f"{error}; agents that come with the lab: {shipped}") from None


def load_player(player: RunDirectory | Pretrained, phase: int | None = None) -> Agent:
    """Loads the agent that plays.

    Args:
        player: The run, or the agent that comes with the lab.
        phase: Index of the run's phase; the last one that has ended if `None`.

    Raises:
        ConfigError: If the run has no such phase.
        RunError: If the phase has not ended yet, or a file is damaged.
    """
    # Imported late: SB3 takes seconds, and bad input should be reported sooner.
    if isinstance(player, Pretrained):
        from agents.pretrained.acting import acting

        return acting(player)
    index = ended_phase(player, phase)
    snapshot = phase_ends(player).snapshots[index]
    from agents.snapshots.agent import Agent

    agent = Agent(player.config)
    agent.load(snapshot)
    return agent
