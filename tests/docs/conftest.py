"""A folder like the one that the pages assume, with a small run in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from agents import RunConfig, RunDirectory, create_run, load_preset, train_run
from schedules import StaircaseSchedule
from tests.docs.pages import ROOT, blocks

RUN = Path("runs/push/three")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands and snippets run: the checkout's files, a study and a run."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in ("docs", "constraints.txt", "pyproject.toml", "Dockerfile", ".ci", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "agents").mkdir()
    (folder / "agents" / "pretrained").symlink_to(ROOT / "agents" / "pretrained")
    (study, *_) = blocks("docs/studies.md", "yaml")
    (folder / "study.yaml").write_text(study.text)
    config = RunConfig(
        env="reach",
        algo="sac",
        total_timesteps=300,
        schedule=StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5),
        reward="dense",
        normalize={},
        keep_snapshots_every=100,
        hyperparameters={
            "learning_starts": 20,
            "batch_size": 16,
            "buffer_size": 1000,
            "policy_kwargs": {"net_arch": [8]},
        },
    )
    run = create_run(config, folder / RUN)
    train_run(run, Console(quiet=True))
    return folder


@pytest.fixture(scope="session")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run as long as those of the pages, of which nothing is trained."""
    preset = load_preset("sac", "push")
    preset["hyperparameters"] = {**preset["hyperparameters"], "buffer_size": 4000}
    return create_run(RunConfig.from_dict(preset), tmp_path_factory.mktemp("long") / "run")
