"""`python -m eval dataset`: rollouts as a Minari dataset, equal to what the agent does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agents import ConfigError, RunError, load_agent
from agents.learners.environments import make_env
from eval.__main__ import main
from eval.dataset import record_dataset
from tests.eval.conftest import PPO, trained

minari = pytest.importorskip("minari", reason="needs Python 3.11")
pytestmark = pytest.mark.slow
SEEDS = (2**31, 2**31 + 1)


@pytest.fixture(autouse=True)
def datasets(tmp_path, monkeypatch):
    """The folder in which Minari keeps its datasets."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def rollout(run, agent, seed):
    """Observations, actions, rewards, terminations and truncations of an episode."""
    env = make_env(run.config)
    observation, _ = env.reset(seed=seed)
    observations, steps, over = [observation], [], False
    while not over:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation)
        steps.append((action, reward, terminated, truncated))
        over = terminated or truncated
    env.close()
    return observations, [np.array(column) for column in zip(*steps, strict=True)]


def assert_equal_to_rollouts(dataset, run, agent) -> None:
    assert dataset.total_episodes == len(SEEDS)
    for episode, seed in zip(dataset.iterate_episodes(), SEEDS, strict=True):
        observations, (actions, rewards, terminations, truncations) = rollout(run, agent, seed)
        assert episode.observations.keys() == observations[0].keys()
        for name, values in episode.observations.items():
            np.testing.assert_array_equal(values, [o[name] for o in observations])
        np.testing.assert_array_equal(episode.actions, actions)
        np.testing.assert_array_equal(episode.rewards, rewards)
        np.testing.assert_array_equal(episode.terminations, terminations)
        np.testing.assert_array_equal(episode.truncations, truncations)
    noted = dataset.storage.get_episode_metadata(range(len(SEEDS)))
    assert [episode["seed"] for episode in noted] == list(SEEDS)


@pytest.mark.parametrize("phase", [0, 2])
def test_a_dataset_equals_the_rollouts_of_its_agent(sac, phase) -> None:
    name, _ = record_dataset(sac, phase, 2)
    assert name == f"reach/sac-phase{phase}-v0"
    assert_equal_to_rollouts(minari.load_dataset(name), sac, load_agent(sac, phase))


def test_a_dataset_says_where_it_is_from_and_brings_its_environment(ppo) -> None:
    name, path = record_dataset(ppo, episodes=2, name="reach/mine-v3")
    dataset = minari.load_dataset(name)
    assert dataset.storage.metadata["algorithm_name"] == "ppo"
    assert "end of phase 2" in dataset.storage.metadata["description"]
    assert path.is_dir()
    env, own = dataset.recover_environment(), make_env(ppo.config)
    for seed in SEEDS:
        (there, _), (here, _) = env.reset(seed=seed), own.reset(seed=seed)
        assert there.keys() == here.keys()
        for key, values in here.items():
            np.testing.assert_array_equal(there[key], values)
    env.close()
    own.close()


def test_pictures_are_kept_without_loss(tmp_path) -> None:
    config = dataclasses.replace(
        PPO,
        observation="pixels",
        n_envs=1,
        total_timesteps=32,
        hyperparameters={**PPO.hyperparameters, "batch_size": 32, "n_epochs": 1},
    )
    run = trained(config, tmp_path / "pixels")
    name, _ = record_dataset(run, episodes=2)
    assert_equal_to_rollouts(minari.load_dataset(name), run, load_agent(run))


def test_a_dataset_that_exists_is_left_alone(sac, datasets, capsys) -> None:
    main(["dataset", str(sac.path), "--episodes", "2"])
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {datasets / 'reach' / 'sac-phase2-v0'}",
        'to load it: minari.load_dataset("reach/sac-phase2-v0")',
    ]
    before = {p: p.stat().st_mtime_ns for p in datasets.rglob("*")}
    with pytest.raises(RunError, match="there is a dataset reach/sac-phase2-v0 already"):
        record_dataset(sac, episodes=2)
    assert {p: p.stat().st_mtime_ns for p in datasets.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "no version"}, "a dataset has a name such as reach/expert-v0"),
        ({"name": "../../away-v0"}, "a dataset has a name such as reach/expert-v0"),
        ({"episodes": 1}, "episodes must be from 2 to 10000"),
        ({"phase": 9}, "valid phases are 0, 1, 2"),
    ],
)
def test_a_mistake_writes_nothing(sac, datasets, arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        record_dataset(sac, **arguments)
    assert not datasets.exists()
