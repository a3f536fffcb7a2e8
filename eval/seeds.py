"""Seeds of the evaluation episodes."""

from __future__ import annotations

from agents import ConfigError
from agents.cli.flags import MAXIMUM_EPISODES
from agents.config import FIRST_EVALUATION_SEED


def evaluation_seeds(episodes: int) -> range:
    """Seeds of the evaluation episodes, the same for every snapshot ever compared.

    Args:
        episodes: How many, from 2 (one alone has no spread to make an interval of) to 10 000.

    Returns:
        `2**31 + i` for i = 0, …, `episodes` - 1.

    Raises:
        ConfigError: If `episodes` is out of range.
    """
    if not 2 <= episodes <= MAXIMUM_EPISODES:
        raise ConfigError(f"episodes must be from 2 to {MAXIMUM_EPISODES}, got {episodes}")
    return range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + episodes)
