"""What agents see of an observation: features extractors, which precede the networks."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from torch import Tensor

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


class RotationExtractor(BaseFeaturesExtractor):
    """Shows goals that are unit quaternions as rotation matrices.

    A quaternion and its negative are the same rotation, which a network would have to learn;
    matrices are unique and continuous (Zhou et al., 2019, https://arxiv.org/abs/1812.07035). In
    place of the desired goal comes the rotation that leads to it from the achieved one, so that
    equal turns look alike from wherever they begin. It has no parameters.

    Features: the flattened `observation`, the matrix of the achieved goal, and that of the turn,
    both in world coordinates, row by row.

    Args:
        observation_space: Of the environment: `observation`, `achieved_goal` and `desired_goal`.

    Raises:
        ValueError: If goals are no quaternions, of shape (4,).
    """

    def __init__(self, observation_space: spaces.Dict) -> None:
        shape = observation_space["desired_goal"].shape
        if shape != (4,):
            raise ValueError(
                f"the features extractor rotation reads goals that are quaternions, of shape (4,); "
                f"here they have the shape {shape}"
            )
        others = spaces.flatdim(observation_space["observation"])
        super().__init__(observation_space, others + 18)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Computes the features, of shape (batch, features).

        Args:
            observations: By key; goals have the shape (batch, 4).
        """
        achieved, desired = (
            rotation_matrices(observations[key]) for key in (JUDGED, "desired_goal")
        )
        # R_d R_aᵀ, by elementwise products: 3 x 3 is too small for BLAS.
        turn = (desired.unsqueeze(2) * achieved.unsqueeze(1)).sum(3)
        parts = (observations["observation"], achieved, turn)
        return torch.cat([part.flatten(1) for part in parts], 1)


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """Computes rotation matrices, of shape (batch, 3, 3).

    Args:
        quaternions: Of unit length, x, y, z, w; of shape (batch, 4).
    """
    x, y, z, w = quaternions.unbind(1)
    entries = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(entries, 1).reshape(-1, 3, 3)
