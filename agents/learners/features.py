"""The features extractor of agents that learn from pixels."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import CombinedExtractor

JUDGED = "achieved_goal"


class UnprivilegedExtractor(CombinedExtractor):
    """SB3's extractor for dictionaries, blind to `achieved_goal`.

    That entry is in every observation because rewards and hindsight replay are computed from it. If
    the goal is about an object, it is the object's position, and an agent that reads it need not
    look at the picture.

    Args:
        observation_space: Of the environment.
        **kwargs: Those of `CombinedExtractor`.
    """

    def __init__(self, observation_space: spaces.Dict, **kwargs: Any) -> None:  # noqa: ANN401
        seen = {key: space for key, space in observation_space.items() if key != JUDGED}
        # The extractor reads only the keys that it was made with.
        super().__init__(spaces.Dict(seen), **kwargs)
