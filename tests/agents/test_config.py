"""Configs: presets that build, files that repeat a run, and mistakes answered in one line."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

import envs
from agents import ALGORITHMS, ConfigError, RunConfig, load_preset
from agents.arguments import TrainArguments, resolve_config
from agents.environments import env_arguments, make_env, make_training_envs
from agents.model import build_model, steps_per_update
from schedules import ConstantSchedule, PiecewiseConstantSchedule, StaircaseSchedule
from tests.agents.small_runs import small_config

ENTRIES = [
    (algo, entry)
    for algo in ALGORITHMS
    for entry in yaml.safe_load(files("agents").joinpath(f"presets/{algo}.yaml").read_text())
]


@pytest.mark.parametrize(("algo", "env"), ENTRIES)
def test_a_preset_is_a_staircase_that_builds(algo: str, env: str) -> None:
    assert env in (*envs.TASKS, "default", "pixels")
    observation = "pixels" if env == "pixels" else "state"
    preset = load_preset(algo, env, observation)
    task = env if env in envs.TASKS else "reach"
    config = RunConfig.from_dict({**preset, "env": task, "observation": observation})
    venv = make_training_envs(config)
    model = build_model(config, venv)
    venv.close()

    phases = config.schedule.phases(config.total_timesteps)
    assert 3 <= len(phases) <= 5
    assert all(phase.start % steps_per_update(model) == 0 for phase in phases)
    assert (config.her is not None) == ALGORITHMS[algo].off_policy


def test_an_environment_entry_is_laid_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "presets").mkdir()
    entries = {
        "default": {
            "total_timesteps": 10,
            "schedule": {"type": "ConstantSchedule", "learning_rate": 0.1},
            "hyperparameters": {"gamma": 0.9, "batch_size": 8},
        },
        "reach": {
            "schedule": {"type": "StaircaseSchedule"},
            "hyperparameters": {"batch_size": 16},
        },
    }
    (tmp_path / "presets" / "sac.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr("agents.presets.files", lambda package: tmp_path)

    preset = load_preset("sac", "reach")

    assert preset["total_timesteps"] == 10
    assert preset["schedule"] == {"type": "StaircaseSchedule"}
    assert preset["hyperparameters"] == {"gamma": 0.9, "batch_size": 16}


@pytest.mark.parametrize(
    "schedule",
    [
        StaircaseSchedule(1e-3, 100, 0.5, minimum_learning_rate=1e-5, constant_steps=300),
        PiecewiseConstantSchedule((10, 20), (0.3, 0.2, 0.1)),
        ConstantSchedule(1e-4),
    ],
)
def test_a_config_survives_json_and_yaml(schedule: Any) -> None:
    config = small_config("ddpg", schedule, action_noise={"kind": "normal", "sigma": 0.1}, seed=7)

    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert RunConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_ranges_reach_every_environment_and_survive_json() -> None:
    config = small_config("sac", env="push", env_kwargs={"object_mass": (2, 3.0), "goal_x": 0.1})

    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    made = make_env(again)
    venv = make_training_envs(again)
    for env in (made, venv.envs[0]):
        assert env.unwrapped.task.given == {"object_mass": (2.0, 3.0), "goal_x": (0.1, 0.1)}
    made.close()
    venv.close()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"env": "raech"}, "unknown env 'raech': did you mean 'reach'?"),
        ({"algo": "sca"}, "unknown algo 'sca': did you mean 'sac'?"),
        ({"env": ["reach"]}, "unknown env ['reach']"),
        ({"robot": {"panda": 1}}, "unknown robot {'panda': 1}"),
        ({"reward": "spars"}, "did you mean 'sparse'?"),
        ({"control": "joint"}, "did you mean 'joints'?"),
        ({"observation": "pixel"}, "did you mean 'pixels'?"),
        (
            {"observation": "both", "normalize": {"norm_obs_keys": ["pixels"]}},
            "norm_obs_keys: pixels are not normalised",
        ),
        ({"device": "gpu"}, "valid: cpu, cuda"),
        ({"vec_env": "sub"}, "valid: dummy, subproc"),
        ({"total_timesteps": 0}, "total_timesteps must be from 1"),
        ({"total_timesteps": 1e5}, "total_timesteps must be an integer, got 100000.0"),
        ({"n_envs": True}, "n_envs must be an integer, got True"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**31}, "seed must be from 0"),
        ({"snapshot_every": 0}, "snapshot_every must be from 1"),
        ({"schedule": {"type": "StaircaseSchedule"}}, "schedule: "),
        ({"schedule": 3e-4}, "schedule: "),
        ({"learning_rate": 3e-4}, "unknown config key 'learning_rate'"),
        ({"hyperparameters": ["gamma"]}, "hyperparameters must be a mapping"),
        ({"env_kwargs": None}, "env_kwargs must be a mapping, got None"),
        ({"env_kwargs": {"object_mass": 1}}, "env_kwargs: Reach takes goal_x, goal_y, goal_z, act"),
        ({"env_kwargs": {"goal_w": 0.1}}, "did you mean 'goal_"),
        ({"env_kwargs": {"goal_x": [0.2, 0.1]}}, "env_kwargs: goal_x must be a number, or a pair"),
        ({"env_kwargs": {"action_latency": 0.5}}, "from 0 to 25 control periods, got 0.5"),
        ({"env_kwargs": {"reward": "dense"}}, "argument 'reward'"),
        ({"env_kwargs": {1: 2}}, "argument 1"),
        ({"env_kwargs": {"goal_x": 10**400}}, "from -0.2 to 0.15 m, got 1000"),
        ({"training_env_kwargs": 1}, "training_env_kwargs must be a mapping, got 1"),
        (
            {"training_env_kwargs": {"grasped": 0.5}},
            "training_env_kwargs: Reach takes goal_x, goal_",
        ),
        (
            {"env": "pick_and_place", "training_env_kwargs": {"grasped": 2}},
            "training_env_kwargs: grasped must be a number, or a pair",
        ),
        (
            {"env": "push", "env_kwargs": {"goal_x": 0, "goal_y": 0, "object_x": 0, "object_y": 0}},
            "env_kwargs: Push needs room",
        ),
        ({"algo": "ppo"}, "her needs an off-policy algorithm, and ppo is not"),
        ({"action_noise": {"kind": "pink"}}, "unknown action_noise kind 'pink'"),
        ({"action_noise": {"kind": "normal", "sigma": 0}}, "sigma must be a positive number"),
    ],
)
def test_a_bad_config_names_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({**small_config("sac").to_dict(), **changes})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["env", "algo", "total_timesteps", "schedule"])
def test_a_missing_key_is_named(missing: str) -> None:
    data = small_config("sac").to_dict()
    del data[missing]
    with pytest.raises(ConfigError, match=f"'{missing}' is missing"):
        RunConfig.from_dict(data)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"hyperparameters": {"gama": 0.9}}, "unknown sac hyperparameter 'gama': did you mean"),
        ({"hyperparameters": {"learning_rate": 0.1}}, "is set by the config key schedule"),
        ({"hyperparameters": {"train_freq": [1, "episode"]}}, "must count steps"),
        ({"hyperparameters": {"policy": "NoPolicy"}}, "sac refuses its hyperparameters"),
        ({"her": {"goals": 4}}, "sac refuses its hyperparameters"),
        ({"her": {"copy_info_dict": True}}, "copy_info_dict is not supported"),
        ({"normalize": {"norm_everything": True}}, "normalize: "),
    ],
)
def test_what_the_algorithm_refuses_is_one_line(changes: dict[str, Any], complaint: str) -> None:
    config = small_config("sac", **changes)
    with pytest.raises(ConfigError) as caught:
        build_model(config, make_training_envs(config))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flags_go_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(small_config("sac", seed=3).to_dict()))

    config = resolve_config(TrainArguments(config=file, seed=5, decay_rate=0.1, constant_steps=200))

    expected = StaircaseSchedule(1e-3, decay_steps=130, decay_rate=0.1, constant_steps=200)
    assert config == small_config("sac", expected, seed=5)


def test_ranges_are_read_from_flags() -> None:
    words = ("object_mass=0.5,2", "action_latency=1", "observation_noise=.01")
    config = resolve_config(TrainArguments(env="push", env_kwargs=words))
    assert config.env_kwargs == {
        "object_mass": [0.5, 2],
        "action_latency": 1,
        "observation_noise": 0.01,
    }


def test_ranges_from_flags_go_over_those_of_a_preset_for_training_alone() -> None:
    preset = resolve_config(TrainArguments(env="stack"))
    assert preset.training_env_kwargs == {"placed": 0.5, "grasped": 0.5}
    config = resolve_config(TrainArguments(env="stack", env_kwargs=("grasped=0.1", "goal_x=0")))
    assert config.env_kwargs == {"grasped": 0.1, "goal_x": 0}
    assert config.training_env_kwargs == {"placed": 0.5}
    assert env_arguments(config, training=True)["grasped"] == 0.1


def test_only_what_a_flag_gave_is_called_by_it() -> None:
    # Room there is for the cubes, but not for episodes that begin with one of them placed.
    words = ("object_x=-0.08,0.08", "object_y=0", "goal_x=0", "goal_y=0")
    with pytest.raises(ConfigError, match=r"^training_env_kwargs: Stack needs room"):
        resolve_config(TrainArguments(env="stack", env_kwargs=words))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("object_mass",), "name=number or name=low,high, got 'object_mass'"),
        (("object_mass=heavy",), "got 'object_mass=heavy'"),
        (("object_mass=1,",), "got 'object_mass=1,'"),
        (("object_mass=1", "object_mass=2"), "each name once"),
        (("object_mas=1",), "--env-kwargs: Push takes goal_x"),
        (("object_mass=2,1",), "--env-kwargs: object_mass must be"),
    ],
)
def test_flags_that_are_no_ranges_are_refused(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config(TrainArguments(env="push", env_kwargs=words))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_file_is_a_config_file(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    config = small_config("td3")
    file.write_text(json.dumps({"format_version": 1, "config": config.to_dict()}))

    assert resolve_config(TrainArguments(config=file)) == config


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[1, 2", "neither YAML nor JSON"),
        ("5", "must hold keys and values"),
        (None, "No such file"),
    ],
)
def test_a_broken_config_file_is_named(content: str | None, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        resolve_config(TrainArguments(config=file))
    assert str(file) in str(caught.value)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_does_not_change_while_it_is_trained() -> None:
    config = small_config("a2c")
    before = json.dumps(config.to_dict())
    venv = make_training_envs(config)
    build_model(config, venv)
    venv.close()
    assert json.dumps(config.to_dict()) == before
