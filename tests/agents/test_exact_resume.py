"""A run continued from a snapshot, in a new process, ends as if it had never been interrupted."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agents import RunConfig, RunDirectory, RunError
from agents.learners.environments import restore_envs, training_envs
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.training.loop import create_run, train_run
from tests.agents.small_runs import HER, small_config

pytestmark = pytest.mark.slow

SEEING = {"policy_kwargs": {"net_arch": [16], "features_extractor_kwargs": {"cnn_output_dim": 8}}}

CASES = {
    "sac with HER": small_config("sac"),
    "sac without HER": small_config("sac", her=None),
    "sac with gSDE": small_config(
        "sac", hyperparameters={"use_sde": True, "sde_sample_freq": 4, "use_sde_at_warmup": True}
    ),
    "sac with fixed entropy, joints, dense": small_config(
        "sac", hyperparameters={"ent_coef": 0.1}, control="joints", reward="dense"
    ),
    "sac in three environments": small_config(
        "sac", n_envs=3, total_timesteps=600, hyperparameters={"learning_starts": 150}
    ),
    "sac in two processes": small_config(
        "sac", n_envs=2, vec_env="subproc", total_timesteps=400, snapshot_every=100
    ),
    "sac with normalised observations": small_config("sac", normalize={"norm_reward": False}),
    "sac with fused optimizers, two updates a step of two environments": small_config(
        "sac",
        n_envs=2,
        total_timesteps=400,
        normalize={"norm_reward": False},
        hyperparameters={
            "gradient_steps": 2,
            "policy_kwargs": {"net_arch": [16], "optimizer_kwargs": {"fused": True}},
        },
    ),
    "sac whose buffer comes round": small_config("sac", hyperparameters={"buffer_size": 170}),
    "sac without HER whose buffer comes round": small_config(
        "sac", her=None, n_envs=2, hyperparameters={"buffer_size": 180}, total_timesteps=400
    ),
    "sac that trains every 8 steps": small_config(
        "sac", hyperparameters={"train_freq": 8, "gradient_steps": 2}
    ),
    "td3 with normal noise": small_config("td3", action_noise={"kind": "normal", "sigma": 0.2}),
    "ddpg with correlated noise": small_config(
        "ddpg",
        action_noise={"kind": "ornstein-uhlenbeck", "sigma": 0.2},
        n_envs=2,
        total_timesteps=400,
    ),
    "sac that pushes with the iiwa": small_config("sac", env="push", robot="iiwa"),
    "sac that pushes any cube through noise": small_config(
        "sac",
        env="push",
        env_kwargs={
            "object_mass": [0.5, 2.0],
            "object_size": [0.03, 0.05],
            "action_noise": 0.1,
            "action_latency": [0, 2],
            "observation_noise": 0.01,
        },
    ),
    "sac that picks up what it sometimes holds already": small_config(
        "sac",
        env="pick_and_place",
        training_env_kwargs={"grasped": 0.5},
        her={**HER, "skip_reached": True},
        normalize={},
    ),
    "sac that is shown how to stack": small_config(
        "sac",
        env="stack",
        n_envs=2,
        demonstrations=0.5,
        normalize={"norm_reward": False},
        total_timesteps=400,
        hyperparameters={"learning_starts": 220},
    ),
    "ppo that stacks by joints": small_config("ppo", env="stack", control="joints"),
    "td3 without HER, with classes by name": small_config(
        "td3",
        her=None,
        hyperparameters={"policy_kwargs": {"activation_fn": "gelu", "optimizer_class": "nadam"}},
    ),
    "ddpg without HER": small_config("ddpg", her=None),
    "tqc": small_config("tqc"),
    "tqc without HER": small_config("tqc", her=None),
    "crossq": small_config("crossq"),
    "crossq without HER": small_config("crossq", her=None),
    "ppo": small_config("ppo"),
    "ppo in two processes": small_config(
        "ppo", n_envs=2, vec_env="subproc", total_timesteps=600, snapshot_every=200
    ),
    "ppo with gSDE": small_config("ppo", hyperparameters={"use_sde": True, "sde_sample_freq": 4}),
    "ppo with normalised rewards alone": small_config("ppo", normalize={"norm_obs": False}),
    "ppo with one observation normalised": small_config(
        "ppo",
        normalize={
            "norm_obs_keys": ["observation"],
            "norm_reward": False,
            "clip_obs": 1.5,
            "epsilon": 1e-2,
        },
    ),
    "ppo with statistics that stay as they are": small_config(
        "ppo", normalize={"training": False, "clip_reward": 0.5, "norm_obs_keys": []}
    ),
    "sac with normalised rewards alone, in two environments": small_config(
        "sac",
        n_envs=2,
        normalize={"norm_obs": False},
        total_timesteps=400,
        hyperparameters={"learning_starts": 200},
    ),
    "sac with statistics that stay as they are": small_config("sac", normalize={"training": False}),
    "ppo with everything normalised": small_config(
        "ppo", n_envs=2, normalize={"gamma": 0.95}, reward="dense", total_timesteps=600
    ),
    "a2c": small_config("a2c", hyperparameters={"n_steps": 16}),
    "trpo": small_config("trpo"),
    "sac with HER that pushes by pixels, normalised": small_config(
        "sac",
        env="push",
        observation="pixels",
        normalize={},
        total_timesteps=200,
        hyperparameters={**SEEING, "batch_size": 4, "train_freq": 4, "buffer_size": 170},
    ),
    "ppo by pixels with everything normalised": small_config(
        "ppo",
        observation="both",
        normalize={"gamma": 0.95},
        hyperparameters={**SEEING, "n_steps": 16, "batch_size": 16, "n_epochs": 1},
        total_timesteps=160,
        snapshot_every=32,
    ),
}

CONTINUE = """
import sys
from pathlib import Path
from rich.console import Console
from agents import RunDirectory
from agents.training.loop import train_run


if __name__ == "__main__":
    for line in sys.stdin:
        train_run(RunDirectory.open(Path(line.removesuffix("\\n"))), Console(quiet=True))
        print("trained", flush=True)
"""


def rows_without_time(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["wall_time_s"]
    return rows


def cut_back(run: RunDirectory, path: Path, step: int) -> RunDirectory:
    """A copy of a complete run as a kill some time after the snapshot at `step` leaves it."""
    shutil.copytree(run.path, path)
    cut = RunDirectory.open(path)
    for later in snapshot_steps(cut):
        if later > step:
            shutil.rmtree(cut.snapshots_path / str(later))
    return cut


@pytest.fixture(scope="module")
def other_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process that goes on with the runs whose paths it is sent."""
    script = tmp_path_factory.mktemp("other") / "continue.py"
    script.write_text(CONTINUE)
    with subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_a_run_goes_on_bit_for_bit_in_another_process(
    config: RunConfig, other_process: subprocess.Popen[str], tmp_path: Path
) -> None:
    whole = create_run(config, tmp_path / "whole")
    train_run(whole, Console(quiet=True))
    steps = snapshot_steps(whole)
    assert len(steps) >= 4
    cuts = [cut_back(whole, tmp_path / f"cut-{step}", step) for step in (steps[0], steps[-2])]

    for cut in cuts:
        print(cut.path, file=other_process.stdin, flush=True)
        assert other_process.stdout.readline() == "trained\n"
        for step in (*steps[:1], steps[-1]):
            expected, got = read_snapshot(whole, step), read_snapshot(cut, step)
            assert got.state_sha256 == expected.state_sha256
        assert rows_without_time(cut.metrics_path) == rows_without_time(whole.metrics_path)
        assert rows_without_time(cut.episodes_path) == rows_without_time(whole.episodes_path)


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
def test_an_episode_that_does_not_repeat_is_refused(kind: str) -> None:
    with training_envs(small_config("sac", n_envs=2, vec_env=kind)) as venv:
        venv.seed(0)
        venv.reset()
        venv.step(np.stack([venv.action_space.sample()] * 2))
        states = venv.env_method("snapshot")
        venv.reset()
        # What another version of the physics would have come to.
        digest = states[1]["task"]["digest"]
        states[1]["task"]["digest"] = digest[::-1]
        with pytest.raises(RunError, match=r"cannot go on here.*another state"):
            restore_envs(venv, states)
        states[1]["task"]["digest"] = digest
        restore_envs(venv, states)
        assert venv.env_method("snapshot") == states
