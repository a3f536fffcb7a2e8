"""The presets reach RL Baselines3 Zoo, which is not installed here, complete and in its form."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import gymnasium as gym
import pytest
import torch
import yaml
from stable_baselines3 import SAC

import envs
from agents import ALGORITHMS, RunConfig, load_preset
from agents.hyperparameters import CLASSES
from agents.learners.environments import make_env
from agents.learners.hindsight import EpisodicHerReplayBuffer
from agents.learners.layer_norm import LayerNormReLU
from agents.learners.model import optimizers
from agents.rl_zoo import FollowSchedule, zoo_entry, zoo_hyperparameters
from schedules import StaircaseSchedule

# The Zoo trains sb3-contrib's own CrossQ, which takes no dictionary observations.
ZOO_ALGORITHMS = sorted(ALGORITHMS.keys() - {"crossq"})
# What the Zoo takes out before it makes the model; the rest are arguments of the model.
ZOO_KEYS = {
    "callback",
    "env_kwargs",
    "learning_rate",
    "monitor_kwargs",
    "n_envs",
    "n_timesteps",
    "noise_std",
    "noise_type",
    "normalize",
    "policy",
    "replay_buffer_class",
    "replay_buffer_kwargs",
}


def with_classes(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    named = hyperparameters["policy_kwargs"]
    policy_kwargs = {
        key: resolve_name(CLASSES[key][value]) if key in CLASSES else value
        for key, value in named.items()
    }
    return {**hyperparameters, "policy_kwargs": policy_kwargs}


@pytest.mark.parametrize("algo", ZOO_ALGORITHMS)
def test_a_config_holds_every_task_as_its_preset_has_it(algo: str) -> None:
    # It holds the tasks that there were when it was imported, perhaps by a test that added one.
    module = importlib.reload(importlib.import_module(f"agents.rl_zoo.{algo}"))
    hyperparams = module.hyperparams
    assert hyperparams.keys() == set(envs.TASKS.values())
    for task, name in envs.TASKS.items():
        config, entry = RunConfig.from_dict(load_preset(algo, task)), hyperparams[name]
        assert entry["n_timesteps"] == config.total_timesteps
        assert entry["n_envs"] == config.n_envs
        assert entry["learning_rate"] == config.schedule(0)
        (callback,) = entry["callback"]
        assert callback["agents.rl_zoo.FollowSchedule"]["schedule"] == config.schedule.to_dict()
        env, trained = gym.make(name, **entry["env_kwargs"]), make_env(config, training=True)
        assert env.spec.kwargs == trained.spec.kwargs
        env.close()
        trained.close()
        rest = {key: value for key, value in entry.items() if key not in ZOO_KEYS}
        if isinstance(written := rest.get("policy_kwargs"), str):
            rest["policy_kwargs"] = eval(written, {"importlib": importlib})
        assert {"policy": entry["policy"], **rest} == with_classes(config.hyperparameters)
        assert entry.get("replay_buffer_kwargs") == config.her
        assert ("replay_buffer_class" in entry) == (config.her is not None)
        noise = config.action_noise or {"kind": None, "sigma": None}
        assert entry.get("noise_type") == noise["kind"]
        assert entry.get("noise_std") == noise["sigma"]
        assert yaml.safe_load(yaml.safe_dump(entry)) == entry


@pytest.mark.parametrize(
    ("name", "activation"), [("elu", torch.nn.ELU), ("layer_norm_relu", LayerNormReLU)]
)
def test_named_classes_are_passed_on_as_the_zoo_evaluates_them(name: str, activation: type) -> None:
    policy_kwargs = {"net_arch": [64], "activation_fn": name, "optimizer_class": "adamw"}
    preset = load_preset("ppo", "reach")
    config = RunConfig.from_dict({**preset, "hyperparameters": {"policy_kwargs": policy_kwargs}})
    written = zoo_entry(config)["policy_kwargs"]
    assert eval(written, {"importlib": importlib}) == {
        "net_arch": [64],
        "activation_fn": activation,
        "optimizer_class": torch.optim.AdamW,
    }


def follow(steps: int, learning_rate: float = 1e-3, **schedule: float) -> list[float]:
    """Rates of the optimizers after training with the callback, all of them equal."""
    staircase = StaircaseSchedule(1e-3, **schedule).to_dict()
    model = SAC(
        "MultiInputPolicy",
        gym.make("bullet/Reach-v0"),
        learning_rate=learning_rate,
        learning_starts=5,
        buffer_size=100,
        batch_size=8,
        policy_kwargs={"net_arch": [8]},
        device="cpu",
    )
    model.learn(steps, callback=FollowSchedule(staircase))
    rates = {group["lr"] for one in optimizers(model).values() for group in one.param_groups}
    model.env.close()
    return sorted(rates)


def test_a_model_with_a_fixed_rate_follows_the_schedule() -> None:
    assert follow(20, decay_steps=20, decay_rate=0.5) == [1e-3]
    assert follow(22, decay_steps=20, decay_rate=0.5) == [5e-4]


def test_a_rate_set_by_hand_stays() -> None:
    assert follow(22, learning_rate=3e-3, decay_steps=20, decay_rate=0.5) == [3e-3]


def test_the_zoo_evaluates_the_replay_buffer_to_ours() -> None:
    written = zoo_hyperparameters("sac")["bullet/Reach-v0"]["replay_buffer_class"]
    assert eval(written) is EpisodicHerReplayBuffer
    assert "HerReplayBuffer" in written  # what `rl_zoo3.enjoy` looks for


@pytest.mark.parametrize(("given", "expected"), [({}, True), ({"clip_obs": 5.0},) * 2])
def test_normalisation_is_passed_on(given: object, expected: object) -> None:
    config = RunConfig.from_dict({**load_preset("ppo", "reach"), "normalize": given})
    assert zoo_entry(config)["normalize"] == expected
    assert "normalize" not in zoo_hyperparameters("ppo")["bullet/Reach-v0"]


def test_what_the_environment_is_made_with_is_passed_on() -> None:
    changed = {"robot": "iiwa", "control": "joints", "observation": "both"}
    noise = {"action_noise": 0.1}
    config = RunConfig.from_dict({**load_preset("ppo", "reach"), **changed, "env_kwargs": noise})
    assert zoo_entry(config)["env_kwargs"] == {**changed, **noise, "reward": "dense"}
