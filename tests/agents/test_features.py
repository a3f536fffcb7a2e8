"""What agents see of an observation, where it is not what the environment shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from agents import ConfigError
from agents.learners.features import RotationExtractor, rotation_matrices
from agents.training.loop import create_run
from tests.agents.small_runs import small_config

SIZES = {"observation": 5, "achieved_goal": 4, "desired_goal": 4}
ROTATING = {"policy_kwargs": {"features_extractor_class": RotationExtractor}}


def rotations(seed: int) -> Rotation:
    return Rotation.random(20, random_state=seed)


def tensor(rotation: Rotation) -> torch.Tensor:
    return torch.tensor(rotation.as_quat(), dtype=torch.float32)


def features(achieved: torch.Tensor, desired: torch.Tensor) -> torch.Tensor:
    space = spaces.Dict({key: spaces.Box(-1, 1, (size,)) for key, size in SIZES.items()})
    others = torch.arange(5.0).expand(len(achieved), 5)
    seen = {"observation": others, "achieved_goal": achieved, "desired_goal": desired}
    extractor = RotationExtractor(space)
    found: torch.Tensor = extractor(seen)
    assert found.shape == (len(achieved), extractor.features_dim)
    assert torch.equal(found[:, :5], others)
    return found[:, 5:].reshape(-1, 2, 3, 3)


@given(st.integers(0, 2**32 - 2))
def test_features_are_the_orientation_and_the_turn_that_is_left(seed: int) -> None:
    achieved, turn = rotations(seed), rotations(seed + 1)
    found = features(tensor(achieved), tensor(turn * achieved)).numpy()
    assert np.allclose(found[:, 0], achieved.as_matrix(), atol=1e-5)
    assert np.allclose(found[:, 1], turn.as_matrix(), atol=1e-5)


def test_a_quaternion_and_its_negative_look_alike() -> None:
    achieved, desired = tensor(rotations(0)), tensor(rotations(1))
    expected = features(achieved, desired)
    assert torch.equal(features(-achieved, desired), expected)
    assert torch.equal(features(achieved, -desired), expected)


def test_matrices_are_those_of_scipy() -> None:
    quaternions = tensor(rotations(2))
    expected = Rotation.from_quat(quaternions.numpy()).as_matrix()
    assert np.allclose(rotation_matrices(quaternions).numpy(), expected, atol=1e-6)


def test_the_class_is_stored_by_its_name() -> None:
    config = small_config("sac", env="flip", hyperparameters=ROTATING)
    stored: Any = config.to_dict()["hyperparameters"]
    assert stored["policy_kwargs"]["features_extractor_class"] == "rotation"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (
            {"env": "reach"},
            "goals that are quaternions, of shape (4,); here they have the shape (3,)",
        ),
        (
            {"env": "flip", "observation": "pixels"},
            "features_extractor_class: pixels have their own",
        ),
    ],
)
def test_an_extractor_that_does_not_fit_is_one_line_and_nothing_is_written(
    changed: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    config = small_config("sac", **changed, hyperparameters=ROTATING)
    with pytest.raises(ConfigError) as caught:
        create_run(config, tmp_path / "run")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
