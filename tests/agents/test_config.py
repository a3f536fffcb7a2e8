"""Configs: presets that build, files that repeat a run, and mistakes answered in one line."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import example, given
from rich.console import Console
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

import envs
from agents import ALGORITHMS, ConfigError, RunConfig, RunDirectory, load_preset
from agents.cli.flags import TrainArguments
from agents.cli.resolve import resolve_config
from agents.hyperparameters import CLASSES
from agents.learners.environments import env_arguments, make_env, make_training_envs
from agents.learners.layer_norm import LayerNormReLU
from agents.learners.model import build_model, optimizers
from agents.learners.trial import try_config
from agents.training.loop import create_run, train_run
from eval.seeds import evaluation_seeds
from schedules import ConstantSchedule, StaircaseSchedule
from tests.agents.config_strategies import configs
from tests.agents.small_runs import small_config
from tests.agents.test_branches import final

ENTRIES = [
    (algo, entry)
    for algo in ALGORITHMS
    for entry in yaml.safe_load(files("agents").joinpath(f"presets/{algo}.yaml").read_text())
]


@pytest.mark.parametrize(("algo", "env"), ENTRIES)
def test_a_preset_is_a_staircase_that_trains(algo: str, env: str) -> None:
    assert env in (*envs.TASKS, "default", "pixels")
    observation = "pixels" if env == "pixels" else "state"
    preset = load_preset(algo, env, observation)
    task = env if env in envs.TASKS else "reach"
    config = RunConfig.from_dict({**preset, "env": task, "observation": observation})
    interval, first_update, _ = try_config(config)

    phases = config.schedule.phases(config.total_timesteps)
    assert 3 <= len(phases) <= 5
    assert all(phase.start % interval == 0 for phase in phases)
    assert first_update < phases[0].stop
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


@pytest.mark.slow
@given(configs())
@example(small_config("sac", StaircaseSchedule(1e-05, 130, 0.5), hyperparameters={"tau": 5e-324}))
def test_a_config_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, config: RunConfig
) -> None:
    path = tmp_path_factory.getbasetemp() / "written"
    path.mkdir(exist_ok=True)
    run_json = json.dumps({"format_version": 1, "config": config.to_dict()}, indent=2)
    for name, text in (
        ("run.json", run_json),
        ("config.json", json.dumps(config.to_dict())),
        ("flow.yaml", json.dumps(config.to_dict())),
        ("block.yaml", yaml.safe_dump(config.to_dict())),
    ):
        (path / name).write_text(text)
        assert resolve_config(TrainArguments(config=path / name)) == config


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
            "norm_obs_keys must be a list of observation, achieved_goal, desired_goal (SB3 scales",
        ),
        ({"device": "gpu"}, "valid: cpu, cuda"),
        ({"vec_env": "sub"}, "valid: dummy, subproc"),
        ({"total_timesteps": 0}, "total_timesteps must be from 1"),
        ({"total_timesteps": 1e5}, "total_timesteps must be an integer, got 100000.0"),
        ({"n_envs": True}, "n_envs must be an integer, got True"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**31}, "seed must be from 0 to 2147483647, got 2147483648"),
        ({"seed": 2**31 - 1, "n_envs": 2}, "seed must be from 0 to 2147483646, got 2147483647"),
        ({"snapshot_every": 0}, "snapshot_every must be from 1"),
        ({"schedule": {"type": "StaircaseSchedule"}}, "schedule: "),
        ({"schedule": {}}, "schedule: the key 'type' is missing, one of ['ConstantSchedule'"),
        ({"schedule": 3e-4}, "schedule must be a mapping with the key 'type' and the arguments"),
        ({"learning_rate": 3e-4}, "unknown config key 'learning_rate'"),
        ({"hyperparameters": ["gamma"]}, "hyperparameters must be a mapping"),
        ({"env_kwargs": None}, "env_kwargs must be a mapping, got None"),
        ({"env_kwargs": {"object_mass": 1}}, "env_kwargs: Reach takes goal_x, goal_y, goal_z, act"),
        ({"env_kwargs": {"goal_w": 0.1}}, "did you mean 'goal_"),
        ({"env_kwargs": {"goal_x": [0.2, 0.1]}}, "env_kwargs: goal_x must be a number, or a pair"),
        ({"env_kwargs": {"action_latency": 0.5}}, "from 0 to 25 control periods, got 0.5"),
        ({"env_kwargs": {"reward": "dense"}}, "argument 'reward'"),
        ({"env_kwargs": {1: 2}}, "keys of env_kwargs must be text, got 1"),
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
        ({"action_noise": {"kind": "pink"}}, "action_noise.kind must be normal or ornstein-"),
        ({"action_noise": {"kind": "normal"}}, "action_noise.sigma is missing"),
        ({"action_noise": {"kind": "normal", "sigma": 0}}, "action_noise.sigma must be a number >"),
        ({"action_noise": {"kind": "normal", "sigma": 10**400}}, "action_noise.sigma must be"),
        ({"action_noise": {"kind": "normal", "mean": 0}}, "unknown action_noise key 'mean'"),
        ({"her": {"goals": 4}}, "unknown her key 'goals'"),
        ({"her": {"n_sampled_goal": "4"}}, "her.n_sampled_goal must be an integer >= 0, got '4'"),
        ({"her": {"goal_selection_strategy": "next"}}, "must be episode, final or future"),
        ({"her": {"copy_info_dict": True}}, "infos are not part of a snapshot, got True"),
        ({"normalize": {"norm_everything": True}}, "unknown normalize key 'norm_everything'"),
        ({"normalize": {"norm_obs_keys": ["foo"]}}, "a list of observation, achieved_goal, des"),
        ({"normalize": {"norm_reward": "no"}}, "normalize.norm_reward must be true or false"),
        ({"normalize": {"norm_obs": False, "norm_obs_keys": []}}, "has no effect"),
    ],
)
def test_a_bad_config_names_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({**small_config("sac").to_dict(), **changes})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_environment_trains_on_an_evaluation_episode() -> None:
    config = small_config("ppo", seed=2**31 - 3, n_envs=3)
    venv = make_training_envs(config)
    build_model(config, venv)
    assert [*venv._seeds, evaluation_seeds(2)[0]] == [2**31 - 3, 2**31 - 2, 2**31 - 1, 2**31]
    venv.close()


@pytest.mark.parametrize("missing", ["env", "algo", "total_timesteps", "schedule"])
def test_a_missing_key_is_named(missing: str, tmp_path: Path) -> None:
    data = small_config("sac").to_dict()
    del data[missing]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=f"^config key '{missing}' is missing"):
        RunConfig.from_dict(data)
    with pytest.raises(ConfigError, match=f"^config key '{missing}' is missing"):
        resolve_config(TrainArguments(config=tmp_path / "config.yaml"))


HYPERPARAMETERS = [
    ("sac", {"learning_rate": 0.1}, "is set by the config key schedule"),
    ("sac", {"tau": "5e-3"}, ".tau must be a number from 0 to 1, got '5e-3'"),
    ("sac", {"tau": math.nan}, ".tau must be finite, got nan"),
    ("ppo", {"max_grad_norm": math.inf}, ".max_grad_norm must be finite, got inf"),
    ("sac", {"train_freq": 0}, "an integer n >= 1 or [n, step], got 0"),
    ("sac", {"train_freq": [1, "episode"]}, "[n, step], got [1, 'episode']"),
    ("td3", {"policy_delay": 0}, ".policy_delay must be an integer >= 1, got 0"),
    ("sac", {"gradient_steps": 1.5}, "an integer >= 1 or -1 (as many as steps), got 1.5"),
    ("sac", {"gradient_steps": 0}, "an integer >= 1 or -1 (as many as steps), got 0"),
    ("sac", {"batch_size": True}, ".batch_size must be an integer from 1 to 1000000, got True"),
    ("sac", {"ent_coef": "auto_0"}, ".ent_coef must be a number >= 0 or auto or auto_START"),
    ("ppo", {"ent_coef": "auto"}, ".ent_coef must be a number >= 0, got 'auto'"),
    ("ppo", {"clip_range": lambda left: left}, ".clip_range must be plain data"),
    ("sac", {"policy": "MlpPolicy"}, ".policy must be MultiInputPolicy"),
    ("sac", {"policy_kwargs": "none"}, ".policy_kwargs must be a mapping or null, got 'none'"),
    ("sac", {"policy_kwargs": {"net_arch": [32.5]}}, ".net_arch must be a list of layers' sizes"),
    ("sac", {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [8]}}}, "a mapping of pi and qf"),
    ("ppo", {"policy_kwargs": {"net_arch": {"pi": [8], "qf": [8]}}}, "a mapping of pi and vf"),
    (
        "sac",
        {"policy_kwargs": {"activation_fn": "rleu"}},
        "must be elu, gelu, identity, layer_",
    ),
    ("sac", {"policy_kwargs": {"activation_fn": torch.nn.LSTM}}, "must be one of elu, gelu"),
    ("sac", {"policy_kwargs": {"optimizer_class": torch.optim.LBFGS}}, "must be one of adagrad"),
    ("sac", {"policy_kwargs": {"optimizer_kwargs": {"lr": 1}}}, "lr is set by the key schedule"),
    ("sac", {"policy_kwargs": {"use_sde": True}}, "use_sde is set by hyperparameters.use_sde"),
    ("sac", {"policy_kwargs": {1: 2}}, "keys of hyperparameters.policy_kwargs must be text, got 1"),
    ("sac", {"n_steps": 3}, ".n_steps must be 1, as hindsight"),
    ("crossq", {"n_steps": 3}, ".n_steps must be 1, as hindsight"),
    ("sac", {"optimize_memory_usage": True}, ".optimize_memory_usage must be false"),
    ("trpo", {"sub_sampling_factor": 2}, ".sub_sampling_factor must be 1"),
    ("sac", {"use_sde_at_warmup": True}, "use_sde_at_warmup has no effect without use_sde: true"),
    ("ppo", {"sde_sample_freq": 4}, "sde_sample_freq has no effect without use_sde: true"),
    ("sac", {"policy_kwargs": {"clip_mean": 1}}, "clip_mean has no effect without use_sde: true"),
    ("sac", {"ent_coef": 0.1, "target_entropy": -2}, "no effect with a fixed ent_coef"),
    ("sac", {"target_update_interval": 2}, "must be at most gradient_steps, which is 1, got 2"),
    ("tqc", {"top_quantiles_to_drop_per_net": 25}, "n_quantiles, which is 25, got 25"),
]


@pytest.mark.parametrize(("algo", "hyperparameters", "complaint"), HYPERPARAMETERS)
def test_a_hyperparameter_that_is_wrong_or_ignored_is_named(
    algo: str, hyperparameters: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        small_config(algo, hyperparameters=hyperparameters)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("algo", "hyperparameters", "complaint"),
    [
        ("sac", {"gama": 0.9}, "unknown sac hyperparameter 'gama': did you mean 'gamma'"),
        ("sac", {"_init_setup_model": False}, "unknown sac hyperparameter '_init_setup_model'"),
        ("sac", {"policy_kwargs": {"n_critic": 2}}, "policy_kwargs key 'n_critic': did you mean"),
        ("crossq", {"policy_kwargs": {"norm": 2}}, "unknown crossq policy_kwargs key 'norm'"),
        ("sac", {"policy_kwargs": {"optimizer_kwargs": {"rho": 1}}}, "optimizer_kwargs: TypeError"),
        ("sac", {"policy_kwargs": {"optimizer_kwargs": {"betas": [2, 3]}}}, "Invalid beta param"),
        ("a2c", {"policy_kwargs": {"optimizer_kwargs": {"eps": 0.1}}}, "no effect with a2c's own"),
        ("a2c", {"use_rms_prop": False, "rms_prop_eps": 0.1}, "rms_prop_eps has no effect"),
        ("ppo", {"n_steps": 1, "batch_size": 1}, "ppo refuses its hyperparameters: `batch_size`"),
        ("sac", {"buffer_size": 10**15}, "MemoryError: Unable to allocate"),
        ("sac", {"policy_kwargs": {"features_extractor_kwargs": {"depth": 1}}}, "'depth'"),
        ("sac", {"policy_kwargs": {"features_extractor_class": "rotation"}}, "are quaternions"),
        ("ppo", {"policy_kwargs": {"squash_output": True}}, "only available when using gSDE"),
    ],
)
def test_what_only_a_trial_shows_is_one_line_and_nothing_is_written(
    algo: str, hyperparameters: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    config = small_config(algo, hyperparameters=hyperparameters)
    with pytest.raises(ConfigError) as caught:
        create_run(config, tmp_path / "run")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_update_that_fails_is_found_before_there_is_a_run(tmp_path: Path) -> None:
    # Adam's first step is of the size of the rate: the critic is no longer a number.
    config = small_config("sac", ConstantSchedule(1e37))
    with pytest.raises(ConfigError, match="the first update makes weights that are not finite"):
        create_run(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"policy_kwargs": {"activation_fn": torch.nn.ReLU, "net_arch": (32, 32)}},
        {"policy_kwargs": {"activation_fn": LayerNormReLU}},
        {"policy_kwargs": {"optimizer_class": torch.optim.AdamW, "net_arch": np.array([32, 32])}},
        {"gamma": np.float32(0.5), "batch_size": np.int64(16), "train_freq": (2, "step")},
    ],
)
def test_a_config_from_python_is_plain_data(
    hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    config = small_config("sac", hyperparameters=hyperparameters, seed=np.int64(3))
    create_run(config, tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").config == config


def test_activations_and_optimizers_have_names() -> None:
    policy_kwargs = {"activation_fn": "leaky_relu", "optimizer_class": "adamw"}
    config = small_config("td3", hyperparameters={"policy_kwargs": policy_kwargs})
    venv = make_training_envs(config)
    model = build_model(config, venv)
    venv.close()
    assert config.to_dict()["hyperparameters"]["policy_kwargs"] == policy_kwargs
    assert torch.nn.LeakyReLU in map(type, model.policy.modules())
    assert {type(optimizer) for optimizer in optimizers(model).values()} == {torch.optim.AdamW}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("activation_fn", torch.nn.Module),
        ("features_extractor_class", BaseFeaturesExtractor),
        ("optimizer_class", torch.optim.Optimizer),
    ],
)
def test_every_name_stands_for_a_class(key: str, kind: type) -> None:
    assert all(issubclass(resolve_name(full), kind) for full in CLASSES[key].values())


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_the_trial_leaves_no_trace_in_the_run(algo: str, tmp_path: Path) -> None:
    starts = {"learning_starts": 150} if algo == "sac" else {}
    config = small_config(algo, n_envs=3, normalize={}, hyperparameters=starts)
    tried = create_run(config, tmp_path / "tried")
    untried = RunDirectory.create(
        tmp_path / "untried", config, tried.steps_per_update, tried.first_update
    )
    states = []
    for run in (tried, untried):
        train_run(run, Console(quiet=True))
        states.append(final(run).state_sha256)
    assert states[0] == states[1]


@pytest.mark.filterwarnings("default")
def test_a_warning_of_the_algorithm_is_one_line_and_is_given_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    config = small_config("ppo", hyperparameters={"batch_size": 50}, total_timesteps=64)
    train_run(create_run(config, tmp_path / "run"), Console(quiet=True))
    (line,) = (message for message in caplog.messages if "batch" in message)
    assert line == (
        "ppo: batch_size 50 does not divide the 64 steps of a rollout, so the last batch of each "
        "pass has 14"
    )
    assert not [warning for warning in recwarn if "mini-batch" in str(warning.message)]


@pytest.mark.parametrize(
    ("hyperparameters", "normalize", "gamma"),
    [({"gamma": 0.95}, {}, 0.95), ({"gamma": 0.95}, {"gamma": 0.9}, 0.9), ({}, {}, 0.99)],
)
def test_returns_are_normalised_with_the_discount_of_the_algorithm(
    hyperparameters: dict[str, Any], normalize: dict[str, Any], gamma: float
) -> None:
    config = small_config("ppo", hyperparameters=hyperparameters, normalize=normalize)
    venv = make_training_envs(config)
    venv.close()
    assert venv.gamma == gamma


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
    task = "pick_and_place"
    assert resolve_config(TrainArguments(env=task)).training_env_kwargs == {"grasped": 0.5}
    other = resolve_config(TrainArguments(env=task, env_kwargs=("goal_x=0",)))
    assert other.training_env_kwargs == {"grasped": 0.5}
    config = resolve_config(TrainArguments(env=task, env_kwargs=("grasped=0.1", "goal_x=0")))
    assert config.env_kwargs == {"grasped": 0.1, "goal_x": 0}
    assert config.training_env_kwargs == {}
    assert env_arguments(config, training=True)["grasped"] == 0.1


def test_only_what_a_flag_gave_is_called_by_it(tmp_path: Path) -> None:
    placed = {**load_preset("sac", "stack"), "training_env_kwargs": {"placed": 0.5}}
    (tmp_path / "placed.yaml").write_text(yaml.safe_dump(placed))
    # Room there is for the cubes, but not for episodes that begin with one of them placed.
    words = ("object_x=-0.08,0.08", "object_y=0", "goal_x=0", "goal_y=0")
    with pytest.raises(ConfigError, match=r"^training_env_kwargs: Stack needs room"):
        resolve_config(TrainArguments(config=tmp_path / "placed.yaml", env_kwargs=words))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("object_mass",), "name=number or name=low,high, got 'object_mass'"),
        (("object_mass=heavy",), "got 'object_mass=heavy'"),
        (("object_mass=1,",), "got 'object_mass=1,'"),
        (("object_mass=1", "object_mass=2"), "each name once"),
        (("object_mas=1",), "--env-kwargs: Push takes goal_x"),
        (("object_mass=2,1",), "--env-kwargs: object_mass must be"),
        (("object_mass=1,inf",), "--env-kwargs.object_mass[1] must be finite, got inf"),
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
        ("[1, 2", "is not YAML: "),
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
