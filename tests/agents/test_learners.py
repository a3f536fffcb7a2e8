"""SB3's updates without autograd: the very bits."""

from __future__ import annotations

import copy
import subprocess
import sys
from io import BytesIO
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents import learners
from agents.learners.coverage import why_not
from agents.learners.features import RotationExtractor

pytestmark = pytest.mark.slow

PARTS = {"observation": 6, "achieved_goal": 4, "desired_goal": 4}
SB3: dict[str, Any] = {
    "SAC": stable_baselines3.SAC,
    "TD3": stable_baselines3.TD3,
    "DDPG": stable_baselines3.DDPG,
    "TQC": sb3_contrib.TQC,
}


class Noise(gym.Env[Any, Any]):
    """Observations and rewards without sense, so that nothing converges."""

    def __init__(self, *, flat: bool, actions: int) -> None:
        def box(size: int) -> spaces.Box:
            return spaces.Box(-3, 3, (size,), np.float32)

        self.observation_space = (
            box(12) if flat else spaces.Dict({name: box(size) for name, size in PARTS.items()})
        )
        self.action_space = spaces.Box(-1, 2, (actions,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation = self.observation_space.sample()
        reward = float(np.sum(action)) + float(self.observation_space.np_random.random())
        return observation, reward, reward > 4, False, {}


def built(
    cls: Any,
    *,
    flat: bool = False,
    actions: int = 3,
    normalised: bool = False,
    n_envs: int = 1,
    seed: int = 0,
    policy_kwargs: dict[str, Any] | None = None,
    **given: Any,
) -> Any:
    venv: Any = DummyVecEnv([lambda: Noise(flat=flat, actions=actions)] * n_envs)
    if normalised:
        venv = VecNormalize(venv, clip_obs=2.0)
    model = cls(
        "MlpPolicy" if flat else "MultiInputPolicy",
        venv,
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": [32, 32], **(policy_kwargs or {})},
        **{"learning_rate": 1e-3, "buffer_size": 2000, "learning_starts": 60, "batch_size": 64}
        | given,
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def filled(model: Any) -> Any:
    """Fills the replay buffer with 120 steps at random."""
    torch.set_num_threads(1)
    model.learning_starts = 10**6
    model.learn(120 * model.n_envs)
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def trained(model: Any, updates: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    np.random.seed(seed)
    for _ in range(updates):
        model.train(model.gradient_steps, model.batch_size)
    return model


def bits(model: Any) -> dict[str, bytes]:
    """All that later steps depend on, and what was logged."""
    found = {"torch": torch.get_rng_state().numpy().tobytes()}
    numpy_state: Any = np.random.get_state()
    found["numpy"] = numpy_state[1].tobytes() + str(numpy_state[2:]).encode()

    def collect(name: str, tree: Any) -> None:
        if isinstance(tree, dict):
            for key, value in tree.items():
                collect(f"{name}.{key}", value)
        elif isinstance(tree, list | tuple):
            collect(name, dict(enumerate(tree)))
        elif isinstance(tree, torch.Tensor):
            found[name] = tree.detach().numpy().tobytes()
        else:
            found[name] = repr(tree).encode()

    collect("parameters", model.get_parameters())
    for name in model._get_torch_save_params()[1]:
        collect(name, getattr(model, name))
    logged = model.logger.name_to_value
    collect("logged", {k: float(v) for k, v in logged.items() if k.startswith("train/")})
    collect("n_updates", model._n_updates)
    collect("buffer", model.replay_buffer.actions.tobytes())
    return found


def assert_trained_alike(name: str, updates: int, **given: Any) -> None:
    ours = trained(filled(built(getattr(learners, name), **given)), updates)
    assert ours.fallback is None
    ours_bits = bits(ours)
    theirs = bits(trained(filled(built(SB3[name], **given)), updates))
    assert ours_bits.keys() == theirs.keys()
    assert [key for key in theirs if ours_bits[key] != theirs[key]] == []


FEATURES: dict[str, dict[str, Any]] = {
    "as SB3's default": {},
    "one layer": {"policy_kwargs": {"net_arch": [48]}},
    "three layers": {"policy_kwargs": {"net_arch": [64, 32, 48]}},
    "unlike networks": {"policy_kwargs": {"net_arch": {"pi": [32], "qf": [40, 100]}}},
    "tanh": {"policy_kwargs": {"activation_fn": torch.nn.Tanh}},
    "one critic": {"policy_kwargs": {"n_critics": 1}},
    "five critics": {"policy_kwargs": {"n_critics": 5}},
    "adam, fused": {"policy_kwargs": {"optimizer_kwargs": {"fused": True}}},
    "adam, foreach": {"policy_kwargs": {"optimizer_kwargs": {"foreach": True, "eps": 1e-5}}},
    "weight decay": {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.01}}},
    "another optimizer": {"policy_kwargs": {"optimizer_class": torch.optim.SGD}},
    "shared extractor": {"policy_kwargs": {"share_features_extractor": True}},
    "flat observations": {"flat": True},
    "rotations": {"policy_kwargs": {"features_extractor_class": RotationExtractor}},
    "one action": {"actions": 1},
    "normalised": {"normalised": True},
    "several environments": {"n_envs": 3},
    "odd batch": {"batch_size": 37},
    "several gradient steps": {"gradient_steps": 3},
    "several steps ahead": {"n_steps": 3, "flat": True},
}
SOFT: dict[str, dict[str, Any]] = {
    "fixed entropy": {"ent_coef": 0.1},
    "slow targets": {"target_update_interval": 2, "gradient_steps": 3},
}
DELAYED: dict[str, dict[str, Any]] = {"late policy": {"policy_delay": 3, "gradient_steps": 2}}
TRUNCATED: dict[str, dict[str, Any]] = {
    "other quantiles": {
        "policy_kwargs": {"n_quantiles": 7, "n_critics": 3},
        "top_quantiles_to_drop_per_net": 1,
    }
}
OWN = {"SAC": SOFT, "TD3": DELAYED, "DDPG": {}, "TQC": {**SOFT, **TRUNCATED}}
CASES = [(name, *case) for name in SB3 for case in {**FEATURES, **OWN[name]}.items()]


@pytest.mark.parametrize(
    ("name", "given"), [pytest.param(n, g, id=f"{n}, {case}") for n, case, g in CASES]
)
def test_an_update_gives_the_bits_of_sb3(name: str, given: dict[str, Any]) -> None:
    assert_trained_alike(name, 1, **given)
    assert_trained_alike(name, 30, **given)


@pytest.mark.parametrize("name", SB3)
@pytest.mark.parametrize("width", [64, 256])
def test_many_updates_give_the_bits_of_sb3(name: str, width: int) -> None:
    # 300 updates of wide networks would take half a minute.
    arch = {"net_arch": [width, width], "optimizer_kwargs": {"fused": width == 256}}
    assert_trained_alike(name, 300 if width == 64 else 60, policy_kwargs=arch, batch_size=100)


@pytest.mark.parametrize("name", SB3)
def test_the_widest_networks_give_the_bits_of_sb3(name: str) -> None:
    assert_trained_alike(name, 4, policy_kwargs={"net_arch": [512, 512, 512]}, batch_size=256)


@pytest.mark.parametrize("name", SB3)
def test_training_gives_the_bits_of_sb3_from_step_to_step(name: str) -> None:
    def learned(cls: Any) -> Any:
        noise = NormalActionNoise(np.zeros(3), np.full(3, 0.1))
        model = built(cls, normalised=True, n_envs=2, action_noise=noise)
        return model.learn(200)

    ours = learned(getattr(learners, name))
    assert ours.fallback is None
    ours_bits = bits(ours)
    assert ours_bits == bits(learned(SB3[name]))


@pytest.mark.parametrize("name", SB3)
@pytest.mark.parametrize("fused", [False, True])
def test_training_may_change_between_both_learners_at_any_save(name: str, fused: bool) -> None:
    given = {"policy_kwargs": {"optimizer_kwargs": {"fused": fused}}}
    ours, sb3 = getattr(learners, name), SB3[name]

    def through(*classes: Any) -> Any:
        model = filled(built(classes[0], **given))
        buffer = model.replay_buffer
        for number, cls in enumerate(classes):
            if number:
                file = BytesIO()
                model.save(file)
                file.seek(0)
                model = cls.load(file, device="cpu")
                model.set_logger(Logger(folder=None, output_formats=[]))
                model.replay_buffer = buffer
            trained(model, 5, seed=number)
        return model

    expected = bits(through(sb3, sb3, sb3))
    for classes in ((ours, sb3, ours), (sb3, ours, sb3), (ours, ours, ours)):
        assert bits(through(*classes)) == expected


@pytest.mark.parametrize("name", SB3)
def test_weights_put_into_a_model_in_training_are_learned_from(name: str) -> None:
    def restored(cls: Any) -> Any:
        model = filled(built(cls))
        kept = copy.deepcopy(model.get_parameters())
        trained(model, 3)
        model.set_parameters(kept)
        return trained(model, 3)

    assert bits(restored(getattr(learners, name))) == bits(restored(SB3[name]))


@pytest.mark.parametrize("name", SB3)
def test_a_copy_of_a_model_in_training_learns_by_itself(name: str) -> None:
    model = trained(filled(built(getattr(learners, name))), 3)
    other = copy.deepcopy(model)
    before = copy.deepcopy(model.get_parameters())
    trained(other, 3)
    assert all(torch.equal(v, before["policy"][k]) for k, v in model.policy.state_dict().items())
    expected = bits(other)
    assert bits(trained(model, 3)) == expected


ODD: dict[str, Any] = {"policy_kwargs": {"activation_fn": torch.nn.ELU}}


@pytest.mark.parametrize("name", SB3)
def test_what_is_not_covered_is_trained_by_sb3_and_said(name: str) -> None:
    ours = trained(filled(built(getattr(learners, name), **ODD)), 2)
    assert ours.fallback == "a network with a layer ELU is not covered"
    ours_bits = bits(ours)
    assert ours_bits == bits(trained(filled(built(SB3[name], **ODD)), 2))


def test_an_actor_without_hidden_layers_is_trained_by_sb3() -> None:
    given = {"policy_kwargs": {"net_arch": {"pi": [], "qf": [8]}}}
    assert "no hidden layer" in trained(filled(built(learners.SAC, **given)), 1).fallback


def test_gsde_is_trained_by_sb3() -> None:
    ours = trained(filled(built(learners.SAC, use_sde=True)), 1)
    assert "gSDE" in ours.fallback


def test_a_module_that_computes_otherwise_is_noticed_by_the_trial() -> None:
    model = filled(built(learners.SAC))
    forward = model.critic.forward
    model.critic.forward = lambda *given: tuple(2 * q for q in forward(*given))
    before = torch.get_rng_state()
    assert "weights" in why_not(model, 64)
    assert torch.equal(before, torch.get_rng_state())


def test_the_learners_can_be_named_without_torch() -> None:
    code = "import sys, agents.learners; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SB3)
def test_weights_that_have_moved_are_learned_from(name: str) -> None:
    def moved(cls: Any) -> Any:
        model = trained(filled(built(cls)), 1)
        for parameter in model.policy.parameters():
            parameter.data = parameter.data.clone()
        return trained(model, 2)

    assert bits(moved(getattr(learners, name))) == bits(moved(SB3[name]))
