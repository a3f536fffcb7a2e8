"""An agent that learns from pixels looks at them, and is not told where the object is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents import RunConfig, load_preset
from agents.learners.environments import make_env, make_training_envs
from agents.learners.model import build_model
from tests.agents.small_runs import small_config

SMALL = {"net_arch": [16], "features_extractor_kwargs": {"cnn_output_dim": 8}}


def config(algo: str, observation: str) -> RunConfig:
    return small_config(
        algo, env="push", observation=observation, hyperparameters={"policy_kwargs": SMALL}
    )


def changed(observation: dict[str, Any], key: str) -> dict[str, Any]:
    if key == "pixels":
        return {**observation, key: np.full_like(observation[key], 200)}
    return {**observation, key: observation[key] + 1}


@pytest.mark.parametrize("algo", ["sac", "ppo", "crossq"])
def test_only_what_may_be_seen_moves_the_action(algo: str) -> None:
    seen = {}
    for kind in ("pixels", "both"):
        run = config(algo, kind)
        venv = make_training_envs(run)
        model = build_model(run, venv)
        env = make_env(run)
        observation, _ = env.reset(seed=0)
        action = model.predict(observation, deterministic=True)[0]
        seen[kind] = {
            key
            for key in observation
            if not np.array_equal(
                model.predict(changed(observation, key), deterministic=True)[0], action
            )
        }
        env.close()
        venv.close()
    assert seen["pixels"] == {"observation", "desired_goal", "pixels"}
    assert seen["both"] == {"observation", "achieved_goal", "desired_goal", "pixels"}


def test_a_replay_buffer_of_pictures_fits_into_memory() -> None:
    state = load_preset("sac", "reach")["hyperparameters"]
    pixels = load_preset("sac", "reach", "pixels")["hyperparameters"]
    row = 2 * 84 * 84 * 3
    assert pixels["buffer_size"] * row < 2e9 < state["buffer_size"] * row
    assert pixels["policy_kwargs"] == state["policy_kwargs"]
