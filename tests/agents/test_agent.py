"""The agent of a run plays the same everywhere: in the lab, by `load_agent`, and in plain SB3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from agents import ConfigError, RunDirectory, RunError, load_agent
from agents.learners.environments import make_env
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import Snapshot, read_snapshot
from agents.training.loop import create_run, train_run
from eval.rollouts import Rollouts
from tests.agents.small_runs import OnSnapshot, small_config

pytestmark = pytest.mark.slow

SEEDS = (2**31, 2**31 + 1)
CASES = {
    "sac": (SAC, small_config("sac", normalize={}, reward="dense")),
    "ppo": (PPO, small_config("ppo", normalize={"clip_obs": 1.0}, reward="dense")),
    "ppo, rewards alone": (PPO, small_config("ppo", normalize={"norm_obs": False}, reward="dense")),
    "sac as it is": (SAC, small_config("sac", reward="dense")),
}


def trained(name: str, path: Path) -> RunDirectory:
    run = create_run(CASES[name][1], path)
    train_run(run, Console(quiet=True))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return trained("sac", tmp_path_factory.mktemp("sac") / "run")


def lab_return(run: RunDirectory, seed: int) -> float:
    with Rollouts(run) as rollouts:
        rollouts.load(read_snapshot(run, snapshot_steps(run)[-1]))
        return rollouts.play(seed).episode_return


def agent_return(agent: Any, env: Any, seed: int) -> float:
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        over = terminated or truncated
    return total


def sb3_return(model: Any, venv: VecEnv, seed: int) -> float:
    venv.seed(seed)
    observation = venv.reset()
    while True:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, (done,), (info,) = venv.step(action)
        if done:
            return float(info["episode"]["r"])


@pytest.mark.parametrize("name", CASES)
def test_an_agent_plays_to_the_same_returns_in_the_lab_by_load_agent_and_in_plain_sb3(
    name: str, tmp_path: Path
) -> None:
    run = trained(name, tmp_path / "run")
    algorithm, config = CASES[name]
    folder = run.snapshots_path / str(snapshot_steps(run)[-1])
    venv: VecEnv = DummyVecEnv([lambda: make_env(config)])
    if config.normalize is not None:
        venv = VecNormalize.load(str(folder / "vecnormalize.pkl"), venv)
        venv.training = venv.norm_reward = False
    model = algorithm.load(folder / "agent.zip", env=venv)

    returns = [lab_return(run, seed) for seed in SEEDS]

    assert len(set(returns)) == len(SEEDS)
    agent, env = load_agent(run), make_env(config)
    assert [agent_return(agent, env, seed) for seed in SEEDS] == returns
    # The episode recorder of SB3 rounds to six digits.
    assert [sb3_return(model, venv, seed) for seed in SEEDS] == pytest.approx(returns, abs=1e-6)
    assert (folder / "vecnormalize.pkl").exists() == (config.normalize is not None)


def test_predict_is_that_of_sb3_on_one_raw_observation_and_on_a_batch(run: RunDirectory) -> None:
    agent, env = load_agent(run), make_env(run.config)
    observation, _ = env.reset(seed=1)
    one, state = agent.predict(observation, deterministic=True)
    batch, _ = agent.predict(
        {key: np.stack([value] * 3) for key, value in observation.items()}, deterministic=True
    )
    assert state is None
    assert one.shape == env.action_space.shape
    assert batch == pytest.approx(np.stack([one] * 3), abs=1e-5)
    assert not np.array_equal(agent.predict(observation)[0], agent.predict(observation)[0])


def test_each_phase_has_its_agent(run: RunDirectory, tmp_path: Path) -> None:
    observation, _ = make_env(run.config).reset(seed=1)
    actions = [
        load_agent(run, phase).predict(observation, deterministic=True)[0] for phase in (0, 2)
    ]
    assert not np.array_equal(*actions)
    newest, _ = load_agent(run).predict(observation, deterministic=True)
    assert np.array_equal(newest, actions[1])
    with pytest.raises(ConfigError, match="has no phase 3; valid: 0, 1, 2"):
        load_agent(run, 3)
    untrained = create_run(run.config, tmp_path / "untrained")
    with pytest.raises(RunError, match="has no snapshot yet"):
        load_agent(untrained)
    with pytest.raises(RunError, match=r"no snapshot at the end of phase 1 \(step 259\) yet"):
        load_agent(untrained, 1)


def test_a_training_goes_on_as_it_would_when_an_agent_is_loaded_beside_it(
    run: RunDirectory, tmp_path: Path
) -> None:
    other = create_run(run.config, tmp_path / "run")
    env = make_env(run.config)

    def play(snapshot: Snapshot) -> None:
        agent_return(load_agent(other), env, 1)

    train_run(other, Console(quiet=True), [OnSnapshot(play)])

    step = snapshot_steps(run)[-1]
    states = [read_snapshot(each, step).state_sha256 for each in (other, run)]
    assert states[0] == states[1]


def test_reading_runs_imports_no_torch() -> None:
    script = "import sys, agents; agents.find_run; assert 'torch' not in sys.modules"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": str(root)})
