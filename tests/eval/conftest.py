import shutil
from pathlib import Path

import pytest
from rich.console import Console

from agents import RunConfig, RunDirectory
from agents.runs.directory import branch_path
from agents.training.branch_schedules import held_schedule
from agents.training.branches import create_branch
from agents.training.loop import create_run, train_run
from schedules import StaircaseSchedule

SCHEDULE = StaircaseSchedule(1e-3, decay_steps=200, decay_rate=0.5)
SMALL = {"policy_kwargs": {"net_arch": [16, 16]}}
SAC = RunConfig(
    env="reach",
    algo="sac",
    total_timesteps=600,
    schedule=SCHEDULE,
    reward="dense",  # such returns tell agents apart that have hardly learned
    hyperparameters={"learning_starts": 100, "buffer_size": 1000, **SMALL},
)
PPO = RunConfig(
    env="reach",
    algo="ppo",
    total_timesteps=600,
    schedule=SCHEDULE,
    n_envs=2,
    reward="dense",
    normalize={},
    hyperparameters={"n_steps": 32, "batch_size": 64, **SMALL},
)


def trained(config: RunConfig, path: Path) -> RunDirectory:
    run = create_run(config, path)
    train_run(run, Console(quiet=True))
    return run


def copied(run: RunDirectory, path: Path) -> RunDirectory:
    shutil.copytree(run.path, path)
    return RunDirectory.open(path)


@pytest.fixture(scope="session")
def trained_sac(tmp_path_factory):
    """A run of three phases with a held branch at its first boundary; not to be changed."""
    run = trained(SAC, tmp_path_factory.mktemp("runs") / "sac")
    branch = create_branch(run, 1, held_schedule(run, 1), "phase", branch_path(run, "held-1"))
    train_run(branch, Console(quiet=True))
    return run


@pytest.fixture(scope="session")
def trained_ppo(tmp_path_factory):
    """A run with two environments and normalised observations; not to be changed."""
    return trained(PPO, tmp_path_factory.mktemp("runs") / "ppo")


@pytest.fixture
def branched(trained_sac, tmp_path):
    """The SAC run with its held branch."""
    return copied(trained_sac, tmp_path / "sac")


@pytest.fixture
def sac(branched):
    """The SAC run alone."""
    shutil.rmtree(branched.path / "branches")
    return branched


@pytest.fixture
def ppo(trained_ppo, tmp_path):
    return copied(trained_ppo, tmp_path / "ppo")
