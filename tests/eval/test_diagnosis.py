"""A diagnosis judges the constant-rate phase and names the fault that a run has."""

from __future__ import annotations

import dataclasses
import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import agents.training.loop as loop
import envs
from agents import RunDirectory, RunError
from envs.manipulation import ManipulationEnv
from eval.__main__ import main
from eval.checks import CHECKS, check
from eval.diagnosis import diagnose, diagnosis_path, phase_warning
from eval.evidence import read_evidence
from eval.phase_ends import phase_ends
from eval.phase_verdict import judge_phase
from eval.seeds import evaluation_seeds
from eval.stored_episodes import COLUMNS, episodes_path
from schedules import ConstantSchedule, StaircaseSchedule
from tests.agents.small_runs import HER, small_config

pytestmark = pytest.mark.slow

NETWORKS = {"net_arch": [32, 32]}
CORNER = {"goal_x": [0.12, 0.15], "goal_y": [0.12, 0.15], "goal_z": [0.1, 0.12]}


class FarReach(envs.TASK_TYPES["reach"]):  # type: ignore[misc]
    def reset(self, generator, goal=None):
        x, y, z = super().reset(generator, goal)
        return [x, y, z + 0.8]


class ScaledReach(envs.TASK_TYPES["reach"]):  # type: ignore[misc]
    observation_size = 1

    def observe(self):
        return [1e4 * self.achieved_goal()[0]]


@pytest.fixture(scope="module", autouse=True)
def tasks():
    """Two tasks with faults, registered for these tests alone."""
    added = {"far_reach": FarReach, "scaled_reach": ScaledReach}
    for name, task in added.items():
        envs.register_task(name, task)
    yield
    # The tests may come back to this module, which then registers them again.
    for name in added:
        gym.registry.pop(envs.TASKS.pop(name))
        del envs.TASK_TYPES[name]


def kill(model):
    for net in (model.actor, model.critic, model.critic_target):
        for layer in net.modules():
            if isinstance(layer, nn.Linear) and layer.out_features == 32:
                layer.bias.data.fill_(-20.0)


def saturate(model):
    layers = [layer for layer in model.actor.mu.modules() if isinstance(layer, nn.Linear)]
    layers[-1].bias.data.fill_(30.0)


def inflate(model):
    for net in (model.critic, model.critic_target):
        for q in net.q_networks:
            q[-1].bias.data.fill_(500.0)


def fail_on_the_left(run):
    """Stores evaluation episodes that succeed where a goal is to the right of the median."""
    seeds = evaluation_seeds(60)
    goals = read_evidence(run)._goals(seeds)
    success = (goals[:, 1] > np.median(goals[:, 1])).astype(int)
    snapshot = phase_ends(run).snapshots[0]
    agent = f"0,{snapshot.step},{snapshot.state_sha256}"
    rows = [
        f"{agent},{number},{seed},-50.0,50,{hit}"
        for number, (seed, hit) in enumerate(zip(seeds, success, strict=True))
    ]
    path = episodes_path(run)
    path.parent.mkdir()
    path.write_text("\n".join((",".join(COLUMNS), *rows)) + "\n")


# What a run is made with that has the fault, over a healthy one of TD3 on Reach.
FAULTS = {
    "rate_too_high": {"schedule": ConstantSchedule(0.1)},
    "rate_too_low": {"schedule": ConstantSchedule(1e-6)},
    "batch_too_small": {"hyperparameters": {"batch_size": 4}},
    "batch_too_large": {"total_timesteps": 80, "hyperparameters": {"batch_size": 4096}},
    "optimizer": {"policy_kwargs": {"optimizer_class": "sgd"}},
    "discount_too_low": {"hyperparameters": {"gamma": 0.5}},
    "target_too_fast": {"hyperparameters": {"tau": 1.0}},
    "no_exploration": {"action_noise": None},
    "too_much_exploration": {"action_noise": {"kind": "normal", "sigma": 2.0}},
    "buffer_too_small": {"total_timesteps": 660, "hyperparameters": {"buffer_size": 120}},
    "too_few_updates": {"hyperparameters": {"gradient_steps": 1, "train_freq": 40}},
    "no_hindsight": {"her": None},
    "late_first_update": {"total_timesteps": 420, "hyperparameters": {"learning_starts": 320}},
    "early_first_update": {"hyperparameters": {"learning_starts": 50}},
    "q_diverges": {"weights": inflate},
    "reward_scale": {"reward": lambda reward: 1000 * reward},
    "reward_sign": {"reward": lambda reward: -reward},
    "goals_unreachable": {"env": "far_reach", "total_timesteps": 660},
    "goals_concentrated": {"training_env_kwargs": CORNER},
    "region_fails": {"played": fail_on_the_left},
    "observation_noise": {"training_env_kwargs": {"observation_noise": 0.5}},
    "input_scale": {"env": "scaled_reach"},
    "inputs_clipped": {"normalize": {"norm_reward": False, "clip_obs": 0.5}},
    "network_too_small": {"policy_kwargs": {"net_arch": [4, 4]}},
    "dead_units": {"weights": kill},
    "saturated_actions": {"weights": saturate},
}


def trained(path, reward=None, weights=None, played=None, policy_kwargs=NETWORKS, **changes):
    """A run of a few hundred steps, with 640 updates and a fault."""
    hyperparameters = {
        "learning_starts": 60,
        "gradient_steps": 4,
        "batch_size": 64,
        "policy_kwargs": {**NETWORKS, **policy_kwargs},
        **changes.pop("hyperparameters", {}),
    }
    values = {
        "total_timesteps": 221,
        "schedule": ConstantSchedule(1e-3),
        "action_noise": {"kind": "normal", "sigma": 0.1},
        "her": HER,
        **changes,
    }
    config = small_config("td3", hyperparameters=hyperparameters, **values)
    judge, build = ManipulationEnv._judge, loop.build_learner

    def judged(self, *goals):
        given, reached = judge(self, *goals)
        return reward(given), reached

    def built(config, venv):
        learner = build(config, venv)
        with torch.no_grad():
            weights(learner.model)
        return learner

    with pytest.MonkeyPatch.context() as patch:
        if reward is not None:
            patch.setattr(ManipulationEnv, "_judge", judged)
        if weights is not None:
            patch.setattr(loop, "build_learner", built)
        run = loop.create_run(config, path)
        loop.train_run(run, Console(quiet=True))
    if played is not None:
        played(run)
    return run


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A run without a fault, too short to have learned anything; not to be changed."""
    return trained(tmp_path_factory.mktemp("runs") / "healthy", total_timesteps=330)


@pytest.fixture
def run(healthy, tmp_path):
    shutil.copytree(healthy.path, tmp_path / "run")
    return RunDirectory.open(tmp_path / "run")


def with_episodes(run, success, returns=None):
    """The evidence of a run with other training episodes."""
    success = np.asarray(success, np.float64)
    returns = np.where(success > 0, -5.0, -50.0) if returns is None else np.asarray(returns)
    episodes = {"success": success, "return": returns, "length": -returns}
    return dataclasses.replace(read_evidence(run), episodes=episodes)


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_finds_its_fault(kind, tmp_path):
    run = trained(tmp_path / "run", **FAULTS[kind])
    (finding,) = [f for f in diagnose(run).findings if f.kind == kind]
    assert finding.cause == CHECKS[kind].cause
    assert 0 < finding.strength <= 1
    assert finding.values
    assert all(map(np.isfinite, finding.values.values()))


@pytest.mark.parametrize(
    ("normalize", "success", "found"), [(None, 0, True), (None, 1, False), ({}, 0, False)]
)
def test_scales_that_differ_tenfold_are_a_suspect_where_normalising_may_help(
    normalize, success, found, healthy
):
    evidence = with_episodes(healthy, np.full(100, success))
    tenfold = np.where(np.isfinite(evidence.metrics["largest_input_scale"]), 1.0, np.nan)
    config = dataclasses.replace(evidence.config, normalize=normalize)
    changed = dataclasses.replace(
        evidence,
        run=dataclasses.replace(evidence.run, config=config),
        metrics={**evidence.metrics, "largest_input_scale": tenfold},
    )
    assert (CHECKS["input_scale"].look(changed) is not None) == found


@pytest.mark.parametrize("sign", [1, -1])
def test_dense_rewards_must_rise_towards_the_goal(sign, tmp_path, monkeypatch):
    judge = ManipulationEnv._judge

    def judged(self, *goals):
        given, reached = judge(self, *goals)
        return sign * given, reached

    monkeypatch.setattr(ManipulationEnv, "_judge", judged)
    hyperparameters = {"n_steps": 1024, "batch_size": 256}
    config = small_config(
        "ppo",
        hyperparameters=hyperparameters,
        schedule=ConstantSchedule(1e-3),
        reward="dense",
        total_timesteps=3 * 2048,
        n_envs=2,
    )
    run = loop.create_run(config, tmp_path / "run")
    loop.train_run(run, Console(quiet=True))
    assert ("reward_sign" in [f.kind for f in diagnose(run).findings]) == (sign < 0)


def test_large_weights_may_come_of_other_faults_unless_they_are_so_at_first(healthy):
    evidence = read_evidence(healthy)
    grown = evidence.metrics["critic_weight_gain"].copy()
    grown[np.flatnonzero(np.isfinite(grown))[1:]] = 30.0

    def looked(**columns):
        changed = dataclasses.replace(evidence, metrics={**evidence.metrics, **columns})
        return CHECKS["rate_too_high"].look(changed)

    assert looked(critic_weight_gain=grown).symptom
    assert not looked(critic_weight_gain=np.full_like(grown, 30.0)).symptom
    assert not looked(critic_update_ratio=np.full_like(grown, 0.1)).symptom


def test_a_run_without_a_fault_has_no_findings(healthy):
    assert diagnose(healthy).findings == ()


def test_a_check_is_one_function(healthy):
    seen = []
    try:

        @check("of_a_test", "data")
        def look(evidence):
            seen.append(evidence.steps)

        diagnose(healthy)
    finally:
        CHECKS.pop("of_a_test")
    assert seen == [330]


@pytest.mark.parametrize(("kind", "cause"), [("dead_units", "data"), ("new", "luck")])
def test_a_check_needs_a_kind_of_its_own_and_a_class(kind, cause):
    with pytest.raises(ValueError, match=kind):
        check(kind, cause)


@pytest.mark.parametrize(
    ("success", "state"),
    [
        ([1] * 80, "healthy"),
        ([0] * 80, "poor"),
        ([0] * 60 + [1] * 20, "still improving"),
        ([0] * 10 + [1] * 50 + [0] * 20, "unstable"),
        ([1] * 5, "unknown"),
    ],
)
def test_the_verdict_follows_the_episodes(healthy, success, state):
    verdict = judge_phase(with_episodes(healthy, success))
    assert verdict.state == state
    assert verdict.judges_decays == (state == "healthy")
    assert verdict.sentence.startswith("decays can")
    assert ("cannot" in verdict.sentence) == (state != "healthy")


def test_a_steady_phase_is_seldom_called_unstable_or_improving(healthy):
    generator = np.random.default_rng(0)
    wrong = sum(
        judge_phase(with_episodes(healthy, generator.random(200) < 0.8)).state != "healthy"
        for _ in range(200)
    )
    assert wrong <= 8


def test_evaluation_goes_before_exploring_episodes(healthy):
    evidence = with_episodes(healthy, [0] * 80)
    played = {"success": np.ones(100), "return": np.full(100, -2.0)}
    verdict = judge_phase(dataclasses.replace(evidence, evaluated=played))
    assert verdict.state == "healthy"
    assert verdict.evaluated


def test_a_phase_that_has_not_ended_is_not_judged(healthy):
    evidence = dataclasses.replace(with_episodes(healthy, [1] * 80), ended=False)
    assert "the phase has not ended" in judge_phase(evidence).sentence


def test_the_diagnosis_is_stored_and_stays_the_same(run):
    diagnosis = diagnose(run)
    stored = diagnosis_path(run).read_bytes()
    assert json.loads(stored) == json.loads(json.dumps(diagnosis.to_dict()))
    diagnose(run)
    assert diagnosis_path(run).read_bytes() == stored


def test_the_command_says_first_whether_decays_can_be_judged(run, capsys):
    main(["diagnose", str(run.path)])
    output = capsys.readouterr().out
    assert output.startswith("unknown: decays cannot be judged yet: ")
    assert "no suspects" in output


def test_a_line_warns_of_a_phase_that_is_no_baseline(run):
    assert phase_warning(run) is None  # Too little of it is known.
    header = run.episodes_path.read_text().splitlines()[0]
    rows = [f"{61 + 3 * k},0,0,{-50 if k < 60 else -5},50,{int(k >= 60)},1.0" for k in range(80)]
    run.episodes_path.write_text("\n".join([header, *rows]) + "\n")
    warning = phase_warning(run)
    assert warning.startswith("phase 0 is still improving: decays cannot be judged: ")
    assert warning.endswith(f"python -m eval diagnose {run.path}")
    assert diagnose(run).verdict.state == "still improving"


def test_a_run_of_an_older_version_says_what_is_missing(run):
    lines = run.metrics_path.read_text().splitlines()
    old = [",".join(line.split(",")[:8]) for line in lines]
    run.metrics_path.write_text("\n".join(old) + "\n")
    diagnosis = diagnose(run)
    assert diagnosis.findings == ()
    assert "has no signals" in diagnosis.notes[0]


def test_a_short_run_says_that_signals_are_too_few(tmp_path):
    run = trained(tmp_path / "run", total_timesteps=120)
    assert "signals were taken 1 times" in diagnose(run).notes[0]


@pytest.mark.parametrize("damage", ["step,phase\n1,x\n", "step,foo\n1,2\n", "\x00\x01\n2\n"])
def test_damaged_metrics_are_refused_in_one_line(run, damage):
    run.metrics_path.write_text(damage)
    with pytest.raises(RunError, match=r"metrics.csv is damaged or foreign") as refused:
        diagnose(run)
    assert "\n" not in str(refused.value)


def test_a_run_without_updates_is_refused(run):
    run.metrics_path.unlink()
    with pytest.raises(RunError, match="has no update in its constant-rate phase yet"):
        diagnose(run)


def test_a_phase_that_no_update_meets_is_refused(tmp_path):
    schedule = StaircaseSchedule(1e-3, decay_steps=50, decay_rate=0.5)
    run = trained(tmp_path / "run", schedule=schedule, total_timesteps=80)
    with pytest.raises(RunError, match="has no constant-rate phase to judge"):
        diagnose(run)
