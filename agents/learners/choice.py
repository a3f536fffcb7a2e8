"""Which code computes a run's updates: the learners of this project where they can, else SB3's."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

import envs
from agents.algorithms import ALGORITHMS
from agents.config import RunConfig
from agents.learners.a2c import A2C
from agents.learners.demonstrations import demonstrated
from agents.learners.exact import ExactLearner
from agents.learners.exact_on_policy import ExactOnPolicyLearner
from agents.learners.ppo import PPO
from agents.learners.sac import SAC
from agents.learners.td3 import DDPG, TD3
from agents.learners.tqc import TQC

_OURS: dict[str, type[ExactLearner | ExactOnPolicyLearner]] = {
    "a2c": A2C,
    "ddpg": DDPG,
    "ppo": PPO,
    "sac": SAC,
    "td3": TD3,
    "tqc": TQC,
}


def model_class(config: RunConfig) -> type[BaseAlgorithm]:
    """Returns the class of a run's model; all classes produce the same bits.

    Args:
        config: The run.
    """
    ours = _OURS.get(config.algo) if config.learner == "auto" else None
    chosen: Any = ours or ALGORITHMS[config.algo].load_class()
    controller = envs.TASK_TYPES[config.env].controller
    if config.demonstrators and controller is not None:
        chosen = demonstrated(chosen, config.demonstrators, controller)
    found: type[BaseAlgorithm] = chosen
    return found


def learner_record(model: BaseAlgorithm) -> dict[str, str | None]:
    """Describes for `run.json` which code computes the updates of a model.

    Args:
        model: A model whose logger is set; it stays as it is.

    Returns:
        `updates`, either `"by hand"` or `"by autograd"`, and `fallback`, why a learner that could
        do without autograd does not, or `None`.
    """
    if isinstance(model, ExactLearner):
        fallback = model.why_not(model.batch_size)
    elif isinstance(model, ExactOnPolicyLearner):
        fallback = model.why_not(model.rows_per_update())
    else:
        return {"updates": "by autograd", "fallback": None}
    return {"updates": "by autograd" if fallback else "by hand", "fallback": fallback}
