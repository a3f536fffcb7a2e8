"""Some environments show what to do: the agent learns from it, and is not credited for it."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import envs
from agents import ConfigError, RunConfig
from agents.learners.environments import training_envs
from agents.learners.model import build_model
from agents.training.loop import create_run, train_run
from tests.agents.small_runs import small_config

SHOWN = 2


def config(**changes: Any) -> RunConfig:
    given = {"env": "push", "n_envs": 4, "demonstrations": 0.7, "hyperparameters": STARTS}
    return small_config("sac", **{**given, **changes})


STARTS = {"learning_starts": 250}


@pytest.mark.parametrize("learner", ["auto", "sb3"])
@pytest.mark.parametrize("normalize", [None, {}])
def test_the_controller_acts_in_its_environments_and_the_agent_in_the_others(
    learner: str, normalize: Any
) -> None:
    run = config(learner=learner, normalize=normalize, total_timesteps=400)
    assert run.demonstrators == SHOWN
    controller = envs.TASK_TYPES["push"].controller
    assert controller is not None
    with training_envs(run) as venv:
        model: Any = build_model(run, venv)
        model.learn(400)
    buffer = model.replay_buffer
    for env in range(run.n_envs):
        rows = [
            {key: column[row, env] for key, column in buffer.observations.items()}
            for row in range(buffer.size())
        ]
        expected = np.array([controller(row) for row in rows])
        alike = np.allclose(buffer.actions[: len(rows), env], expected, atol=1e-6)
        assert alike == (env < SHOWN)


def test_what_the_agent_does_is_drawn_as_if_nothing_were_shown() -> None:
    """Before its first update, the agents' environments see the same with and without."""
    seen = []
    for share in (0.0, 0.7):
        run = config(demonstrations=share, total_timesteps=200)
        with training_envs(run) as venv:
            model: Any = build_model(run, venv)
            model.learn(200)
        seen.append(model.replay_buffer.actions[:50, SHOWN:].copy())
    assert np.array_equal(*seen)


def test_episodes_that_were_shown_do_not_count(tmp_path: Path) -> None:
    run = create_run(config(total_timesteps=600), tmp_path / "run")
    train_run(run, Console(quiet=True))
    with run.episodes_path.open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert {int(row["env"]) for row in rows} == {2, 3}


def test_what_success_a_run_reports_is_the_agents() -> None:
    run = config(env="reach", total_timesteps=400)
    with training_envs(run) as venv:
        model: Any = build_model(run, venv)
        model.learn(400)
    # Shown episodes take a few steps each, and all of them succeed.
    ended = np.argwhere(model.replay_buffer.dones[: model.replay_buffer.size()])
    assert (ended[:, 1] < SHOWN).sum() > len(model.ep_info_buffer)
    assert len(model.ep_success_buffer) == (ended[:, 1] >= SHOWN).sum()


def test_fewer_environments_have_fewer_demonstrators() -> None:
    assert [config(n_envs=n).demonstrators for n in (1, 2, 4)] == [0, 1, 2]
    assert dataclasses.replace(config(), demonstrations=0.0).demonstrators == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"demonstrations": 1.0}, "must be a number >= 0 and < 1, got 1.0"),
        ({"demonstrations": "half"}, "must be a number >= 0 and < 1, got 'half'"),
        ({"env": "flip"}, "no controller is known for flip; valid: reach, push"),
        ({"control": "joints"}, "demonstrations need control 'ee', got 'joints'"),
        ({"observation": "pixels"}, "need observation 'state' or 'both', got 'pixels'"),
    ],
)
def test_demonstrations_that_there_cannot_be_are_refused(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    assert complaint in str(caught.value)


def test_an_algorithm_that_learns_from_its_own_actions_alone_takes_none() -> None:
    with pytest.raises(ConfigError, match="need an off-policy algorithm, and ppo is not"):
        small_config("ppo", demonstrations=0.5)
