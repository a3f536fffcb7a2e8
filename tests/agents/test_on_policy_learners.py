"""SB3's PPO and A2C without autograd: the very bits."""

from __future__ import annotations

import copy
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents import learners
from agents.learners.features import RotationExtractor
from tests.agents.test_learners import Noise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:You have specified a mini-batch size"),
]

SB3: dict[str, Any] = {"PPO": stable_baselines3.PPO, "A2C": stable_baselines3.A2C}
OWN: dict[str, dict[str, Any]] = {"PPO": {"batch_size": 32, "n_epochs": 3}, "A2C": {}}


def built(
    cls: Any, name: str, *, flat: bool = False, normalised: bool = False, **given: Any
) -> Any:
    torch.set_num_threads(1)
    venv: Any = DummyVecEnv([lambda: Noise(flat=flat, actions=3)] * 3)
    if normalised:
        venv = VecNormalize(venv, clip_obs=2.0)
    arguments: dict[str, Any] = {"learning_rate": 1e-3, "n_steps": 30, **OWN[name], **given}
    policy_kwargs = {"net_arch": [32, 32], **arguments.pop("policy_kwargs", {})}
    policy = "MlpPolicy" if flat else "MultiInputPolicy"
    return cls(policy, venv, seed=0, device="cpu", policy_kwargs=policy_kwargs, **arguments)


def learned(model: Any, rollouts: int = 4) -> Any:
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(
        rollouts * model.n_steps * model.n_envs, reset_num_timesteps=False, log_interval=10**9
    )
    return model


def bits(model: Any) -> dict[str, Any]:
    """All that later steps depend on, what was drawn and what was logged."""
    parameters = model.get_parameters()
    moments = parameters["policy.optimizer"]["state"]
    logged = model.logger.name_to_value
    buffer = model.rollout_buffer
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes(),  # type: ignore[union-attr]
        "weights": [v.numpy().tobytes() for v in parameters["policy"].values()],
        "moments": [np.asarray(v).tobytes() for s in moments.values() for v in s.values()],
        "logged": {k: float(v) for k, v in logged.items() if k.startswith("train/")},
        "updates": model._n_updates,
        "rollout": [
            array.tobytes()
            for array in (buffer.actions, buffer.values, buffer.log_probs, buffer.returns)
        ],
    }


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert [what for what in theirs if ours[what] != theirs[what]] == []


RELU = {"net_arch": {"pi": [40], "vf": [64, 32, 48]}, "activation_fn": torch.nn.ReLU}
FUSED = {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"fused": True}}
FEATURES: list[tuple[str, dict[str, Any]]] = [
    ("PPO", {}),
    # Large enough a rate that ratios are clipped and the entropy matters.
    ("PPO", {"learning_rate": 0.05, "ent_coef": 0.1, "clip_range_vf": 0.1, "batch_size": 37}),
    ("PPO", {"flat": True, "policy_kwargs": RELU, "normalize_advantage": False, "target_kl": 1e-4}),
    ("PPO", {"normalised": True, "policy_kwargs": {**FUSED, "share_features_extractor": False}}),
    ("PPO", {"policy_kwargs": {"optimizer_class": torch.optim.SGD}, "max_grad_norm": 0.01}),
    (
        "PPO",
        {
            "policy_kwargs": {"net_arch": [256, 256]},
            "n_steps": 100,
            "batch_size": 256,
            "n_epochs": 1,
        },
    ),
    ("PPO", {"policy_kwargs": {"features_extractor_class": RotationExtractor}}),
    ("A2C", {}),
    ("A2C", {"normalize_advantage": True, "ent_coef": 0.1, "vf_coef": 0.3, "flat": True}),
    ("A2C", {"normalised": True, "use_rms_prop": False, "policy_kwargs": RELU}),
]


@pytest.mark.parametrize(("name", "given"), FEATURES, ids=str)
def test_training_gives_the_bits_of_sb3(name: str, given: dict[str, Any]) -> None:
    ours = learned(built(getattr(learners, name), name, **given))
    assert ours.fallback is None
    ours_bits = bits(ours)
    assert_same(ours_bits, bits(learned(built(SB3[name], name, **given))))


@pytest.mark.parametrize("name", SB3)
def test_training_may_change_between_both_learners_at_any_save(name: str) -> None:
    ours, sb3 = getattr(learners, name), SB3[name]

    def through(*classes: Any) -> Any:
        model = built(classes[0], name)
        for number, cls in enumerate(classes):
            if number:
                file, env = BytesIO(), model.get_env()
                model.save(file)
                file.seek(0)
                model = cls.load(file, env=env, device="cpu")
            learned(model, 2)
        return model

    expected = bits(through(sb3, sb3, sb3))
    for classes in ((ours, sb3, ours), (ours, ours, ours)):
        assert_same(bits(through(*classes)), expected)


@pytest.mark.parametrize("name", SB3)
def test_weights_put_into_a_model_in_training_are_learned_from(name: str) -> None:
    def restored(cls: Any) -> Any:
        model = learned(built(cls, name), 2)
        file = BytesIO()
        model.save(file)
        learned(model, 1)
        file.seek(0)
        model.set_parameters(cls.load(file, device="cpu").get_parameters())
        for parameter in model.policy.parameters():
            parameter.data = parameter.data.clone()
        return learned(model, 2)

    ours_bits = bits(restored(getattr(learners, name)))
    assert_same(ours_bits, bits(restored(SB3[name])))


class OtherGaussian(DiagGaussianDistribution):
    """A distribution of somebody else."""


def test_what_is_not_covered_is_trained_by_sb3_and_said() -> None:
    odd = {"policy_kwargs": {"activation_fn": torch.nn.ELU}}
    ours = learned(built(learners.PPO, "PPO", **odd), 1)
    assert ours.fallback == "a network with a layer ELU is not covered"
    assert_same(bits(ours), bits(learned(built(stable_baselines3.PPO, "PPO", **odd), 1)))
    assert "gSDE" in learned(built(learners.A2C, "A2C", use_sde=True), 1).fallback
    model = built(learners.A2C, "A2C")
    model.policy.action_dist = OtherGaussian(3)
    assert learned(model, 1).fallback == "actions in Box are not covered"


def test_a_module_that_computes_otherwise_is_noticed_by_the_trial() -> None:
    model = built(learners.PPO, "PPO")
    evaluate = model.policy.evaluate_actions
    model.policy.evaluate_actions = lambda *given: tuple(2 * x for x in evaluate(*given))
    before = torch.get_rng_state()
    assert "come of it" in model.why_not(model.rows_per_update())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", SB3)
def test_a_copy_of_a_model_in_training_learns_by_itself(name: str) -> None:
    model = learned(built(getattr(learners, name), name), 2)
    other = copy.deepcopy(model)
    random_numbers = torch.get_rng_state(), np.random.get_state()
    before = copy.deepcopy(model.get_parameters()["policy"])
    expected = bits(learned(other, 2))
    assert all(torch.equal(v, before[k]) for k, v in model.policy.state_dict().items())
    torch.set_rng_state(random_numbers[0])
    np.random.set_state(random_numbers[1])
    assert_same(bits(learned(model, 2)), expected)
