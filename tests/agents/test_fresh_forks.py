"""A fork may begin with the replay buffer of its run and an agent of its own, or wake up units."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from stable_baselines3 import HerReplayBuffer

from agents import ConfigError, RunDirectory, RunError
from agents.learners.dormant import reset_dormant_units
from agents.learners.environments import training_envs
from agents.learners.measures import dormant_share
from agents.learners.model import build_model
from agents.learners.replay_rows import ReplayRows
from agents.runs.directory import FRESH_AGENT, RESET_UNITS, snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.training.forks import fork_at
from agents.training.loop import create_run, train_run
from eval.verification import verify_run
from tests.agents.small_runs import HER, small_config
from tests.agents.test_branches import final
from tests.agents.test_exact_resume import cut_back

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
AT = 160
FRESH = {
    "state": FRESH_AGENT,
    "seed": 7,
    "her": HER,
    "normalize": {"norm_reward": False},
    "reward": "dense",
    "policy_kwargs": {"net_arch": [24, 24], "activation_fn": "layer_norm_relu"},
    "total_timesteps": 260,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    config = small_config("sac", total_timesteps=AT, her=None, hyperparameters={"buffer_size": 100})
    run = create_run(config, tmp_path_factory.mktemp("fresh") / "run")
    train_run(run, QUIET)
    return run


@pytest.fixture(scope="module")
def fresh(run: RunDirectory) -> RunDirectory:
    fork = fork_at(run, AT, FRESH, run.path.parent / "fresh")
    train_run(fork, QUIET)
    return fork


def test_a_fresh_agent_learns_from_the_replay_buffer_of_its_run(
    run: RunDirectory, fresh: RunDirectory
) -> None:
    assert fresh.parent is not None
    assert (fresh.parent.state, fresh.config.seed) == (FRESH_AGENT, 7)
    assert RunDirectory.open(fresh.path).parent == fresh.parent
    metrics = fresh.metrics_path.read_text().splitlines()
    assert metrics[: AT - 110] == run.metrics_path.read_text().splitlines()[: AT - 110]
    assert len(metrics) == 1 + 260 - 110
    with np.load(final(fresh).path / "arrays.npz") as arrays:
        # Their means are over the transitions of the run, too.
        assert arrays["normalizer.observation.count"] > 100
        rewards = arrays["replay.rewards"]
    assert np.unique(rewards).size > 2


def test_a_fresh_fork_is_repeated_bit_for_bit_through_a_kill_and_by_verify(
    fresh: RunDirectory, tmp_path: Path
) -> None:
    assert all(replay.agrees for replay in verify_run(fresh, AT))
    cut = cut_back(fresh, tmp_path / "cut", snapshot_steps(fresh)[-2])
    train_run(cut, QUIET)
    assert final(cut).state_sha256 == final(fresh).state_sha256


def test_hindsight_can_begin_at_a_fork_and_goes_on_through_a_kill(
    run: RunDirectory, tmp_path: Path
) -> None:
    fork = fork_at(run, AT, {"her": HER, "total_timesteps": 210}, tmp_path / "fork")
    train_run(fork, QUIET)
    cut = cut_back(fork, tmp_path / "cut", snapshot_steps(fork)[-2])
    train_run(cut, QUIET)
    assert final(cut).state_sha256 == final(fork).state_sha256


def test_another_seed_gives_another_agent(run: RunDirectory, tmp_path: Path) -> None:
    ends = set()
    for seed in (1, 2):
        fork = fork_at(
            run,
            AT,
            {"state": FRESH_AGENT, "seed": seed, "total_timesteps": AT + 2},
            tmp_path / str(seed),
        )
        train_run(fork, QUIET)
        ends.add(final(fork).state_sha256)
    assert len(ends) == 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"state": "new"}, "state must be fresh agent or dormant units reset, got 'new'"),
        ({"state": FRESH_AGENT, "seed": None}, "seed must be an integer"),
        ({"state": FRESH_AGENT, "seed": 1, "buffer_size": 9}, "a fork cannot change buffer_size"),
        ({"state": FRESH_AGENT, "seed": 1, "her": None}, "a fork cannot change her"),
        ({"state": FRESH_AGENT, "seed": 1, "gama": 0.9}, "gama"),
        ({"state": RESET_UNITS, "seed": 1, "reward": "dense"}, "a fork cannot change reward"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    changes: dict[str, object], complaint: str, run: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        fork_at(run, AT, {"total_timesteps": 200, **changes}, tmp_path / "fork")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "fork").exists()


def test_the_state_of_a_fork_needs_a_seed(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a fork that changes the state needs a seed"):
        fork_at(run, AT, {"state": FRESH_AGENT, "total_timesteps": 200}, tmp_path / "fork")


def test_a_fresh_fork_is_not_forked_again(fresh: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fork its parent instead"):
        fork_at(fresh, 260, {"total_timesteps": 300}, tmp_path / "fork")


def test_an_unknown_state_in_a_run_json_is_refused(fresh: RunDirectory, tmp_path: Path) -> None:
    copy = cut_back(fresh, tmp_path / "copy", AT)
    data = json.loads((copy.path / "run.json").read_text())
    data["parent"]["state"] = "new"
    (copy.path / "run.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match=r"parent\.state must be null, 'fresh agent' or"):
        RunDirectory.open(copy.path)


def test_dormant_units_are_reset_in_the_fork_alone(run: RunDirectory, tmp_path: Path) -> None:
    changes = {"state": RESET_UNITS, "seed": 3, "total_timesteps": AT + 2}
    fork = fork_at(run, AT, changes, tmp_path / "fork")
    train_run(fork, QUIET)
    assert read_snapshot(fork, AT).state_sha256 == read_snapshot(run, AT).state_sha256
    assert final(fork).state_sha256 != final(run).state_sha256


@pytest.mark.parametrize("algo", ["sac", "td3", "crossq"])
def test_dead_units_get_new_weights_that_change_nothing_yet(algo: str) -> None:
    config = small_config(algo, hyperparameters={"learning_starts": 110})
    with training_envs(config) as venv:
        model = build_model(config, venv)
        model.learn(110)
        model.train(3, 32)  # type: ignore[attr-defined]
        first, *_ = _linear(model.actor)  # type: ignore[attr-defined]
        with torch.no_grad():
            first.weight[3] = first.bias[3] = 0.0
        before = first.weight.clone()
        actions = _actions(model)
        reset_dormant_units(model)  # type: ignore[arg-type]
        assert np.allclose(actions, _actions(model), atol=0.05)
        assert first.weight[3].abs().min() > 0
        assert (first.weight == before).all(1).sum() >= 8
        moments = model.actor.optimizer.state[first.weight]  # type: ignore[attr-defined]
        assert not moments["exp_avg"][3].any()
        assert moments["exp_avg"].any()


def _linear(network: torch.nn.Module) -> list[torch.nn.Linear]:
    return [part for part in network.modules() if isinstance(part, torch.nn.Linear)]


def _actions(model) -> np.ndarray:
    seen = {key: rows[:64, 0] for key, rows in model.replay_buffer.observations.items()}
    return model.predict(seen, deterministic=True)[0]


def test_layer_normalisation_keeps_the_size_of_every_example() -> None:
    config = small_config("td3", hyperparameters={"policy_kwargs": FRESH["policy_kwargs"]})
    with training_envs(config) as venv:
        network = build_model(config, venv).actor.mu  # type: ignore[attr-defined]
    x = torch.randn(8, network[0].in_features)
    sizes = network[:2](x).square().sum(1)
    assert torch.allclose(network[:2](1000 * x).square().sum(1), sizes, rtol=0.3)
    assert dormant_share([network[:2](x)]) < 0.5


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_starts_of_episodes_are_derived_as_hindsight_would_have_noted_them(
    ends: list[tuple[bool, bool]],
) -> None:
    box = spaces.Box(-1, 1, (1,), np.float32)
    space = spaces.Dict(dict.fromkeys(("observation", "achieved_goal", "desired_goal"), box))
    buffer = HerReplayBuffer(16, space, box, env=None, n_envs=2)  # type: ignore[arg-type]
    step = {key: np.zeros((2, 1), np.float32) for key in space}
    for done in ends:
        buffer.add(step, step, np.zeros((2, 1)), np.zeros(2), np.array(done), [{}, {}])
    lengths, starts = buffer.ep_length.copy(), buffer.ep_start.copy()
    running = buffer._current_ep_start.copy()
    buffer.ep_start[:] = 0
    ReplayRows(buffer, 1).restore(len(ends), {}, lacking=True)
    assert np.array_equal(buffer.ep_length, lengths) or len(ends) > buffer.buffer_size
    known = buffer.ep_length > 0
    assert np.array_equal(buffer.ep_start[known], starts[known])
    begun = (running - buffer.pos) % buffer.buffer_size
    inside = (running == buffer._current_ep_start) | (begun == 0)
    assert inside.all() or len(ends) > buffer.buffer_size
