"""Every optimizer of every algorithm follows the schedule, as read from it at each of its steps."""

from __future__ import annotations

from typing import Any

import pytest
from stable_baselines3.common.callbacks import CallbackList
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from agents import ALGORITHMS
from agents.learners.environments import make_training_envs
from agents.learners.model import build_model, optimizers, steps_per_update
from schedules import (
    ConstantSchedule,
    PiecewiseConstantSchedule,
    Schedule,
    StaircaseSchedule,
    effective_phases,
)
from schedules.callback import StaircaseCallback
from tests.agents.small_runs import small_config

pytestmark = pytest.mark.slow

SCHEDULES = (
    StaircaseSchedule(1e-3, decay_steps=60, decay_rate=0.5, constant_steps=130),
    PiecewiseConstantSchedule(boundaries=(129, 200), values=(1e-4, 3e-4, 1e-5)),
    ConstantSchedule(2e-4),
)
OPTIMIZERS = {"sac": 3, "tqc": 3, "crossq": 3, "td3": 2, "ddpg": 2, "ppo": 1, "a2c": 1, "trpo": 1}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_optimizer_steps_at_the_scheduled_rate(algo: str, schedule: Schedule) -> None:
    hyperparameters = {"n_steps": 32} if not ALGORITHMS[algo].off_policy else {}
    # SB3's updates call the optimizers, whose hooks tell; those by hand come to the same bits.
    config = small_config(
        algo, schedule, total_timesteps=256, learner="sb3", hyperparameters=hyperparameters
    )
    venv = make_training_envs(config)
    model = build_model(config, venv)
    seen: list[tuple[int, int, float]] = []

    def read_rates(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        seen.extend((id(optimizer), model.num_timesteps, g["lr"]) for g in optimizer.param_groups)

    hook = register_optimizer_step_pre_hook(read_rates)
    try:
        model.learn(config.total_timesteps, callback=CallbackList([StaircaseCallback()]))
    finally:
        hook.remove()
        venv.close()

    assert len({optimizer for optimizer, _, _ in seen}) == OPTIMIZERS[algo]
    assert {optimizer for optimizer, _, _ in seen} == {id(o) for o in optimizers(model).values()}
    last = config.total_timesteps - 1
    assert all(rate == schedule(min(step, last)) for _, step, rate in seen)
    rates_used = {
        rate
        for phase in effective_phases(schedule.phases(256), steps_per_update(model))
        for rate in (phase.learning_rate,)
    }
    assert {rate for _, _, rate in seen} == rates_used
