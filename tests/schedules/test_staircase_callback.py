"""Real SB3 trainings: whole, in several calls of learn(), saved and loaded."""

from functools import cache

import gymnasium
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from schedules import ProgressSchedule, StaircaseSchedule, effective_phases
from schedules.callback import StaircaseCallback

TOTAL = 120
SCHEDULE = StaircaseSchedule(1e-3, decay_steps=25, decay_rate=0.5, constant_steps=40)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Recording:
    """Records the step and the rate that the optimizer really has, after each update."""

    def train(self, *args, **kwargs):
        super().train(*args, **kwargs)
        optimizer = getattr(self.policy, "optimizer", None) or self.actor.optimizer
        if not hasattr(self, "updates"):
            self.updates = []
        self.updates.append((self.num_timesteps, optimizer.param_groups[0]["lr"]))


class RecordingSAC(Recording, SAC):
    pass


class RecordingPPO(Recording, PPO):
    pass


def sac(learning_rate):
    return RecordingSAC(
        "MlpPolicy",
        gymnasium.make("Pendulum-v1"),
        learning_rate=learning_rate,
        learning_starts=10,
        buffer_size=500,
        batch_size=4,
        policy_kwargs={"net_arch": [8]},
        seed=0,
        device="cpu",
    )


def ppo(learning_rate):
    return RecordingPPO(
        "MlpPolicy",
        make_vec_env("Pendulum-v1", n_envs=2, seed=0),
        learning_rate=learning_rate,
        n_steps=8,
        batch_size=8,
        n_epochs=1,
        policy_kwargs={"net_arch": [8]},
        seed=0,
        device="cpu",
    )


ALGORITHMS = pytest.mark.parametrize("make", [sac, ppo], ids=["off-policy", "on-policy"])


def planned():
    return ProgressSchedule(SCHEDULE, TOTAL)


@cache
def whole(make):
    return make(planned()).learn(TOTAL, callback=StaircaseCallback())


def learn_up_to(model, step):
    """The next part of the run; how far a rollout overshoots is the algorithm's business."""
    return model.learn(
        step - model.num_timesteps, callback=StaircaseCallback(), reset_num_timesteps=False
    )


def weights(model):
    return [value.tolist() for value in model.policy.state_dict().values()]


@ALGORITHMS
def test_a_whole_training_follows_the_effective_phases(make):
    model = whole(make)
    interval = 1 if make is sac else 16
    effective = effective_phases(SCHEDULE.phases(TOTAL), interval)
    expected = [
        [phase.learning_rate for phase in effective if phase.start <= step][-1]
        for step, _ in model.updates
    ]
    assert [rate for _, rate in model.updates] == expected
    assert len(set(expected)) == 5
    assert model.updates[-1][0] == effective[-1].stop


@ALGORITHMS
def test_a_training_in_parts_is_the_whole_training_bit_for_bit(make):
    model = make(planned())
    # 32 is a multiple of PPO's rollout of 16 steps, 53 and 71 are not; 40 is a boundary.
    for step in (32, 40, 53, 71, TOTAL):
        learn_up_to(model, step)
    expected = whole(make)
    assert model.updates == expected.updates
    assert weights(model) == weights(expected)


@ALGORITHMS
def test_a_single_learn_needs_no_callback(make):
    assert make(planned()).learn(TOTAL).updates == whole(make).updates


@ALGORITHMS
def test_a_saved_training_goes_on_along_the_staircase(make, tmp_path):
    model = learn_up_to(make(planned()), 50)
    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", env=model.get_env(), device="cpu")
    assert loaded.learning_rate == planned()
    loaded.updates = []
    learn_up_to(loaded, 90)
    learn_up_to(loaded, TOTAL)
    assert model.updates + loaded.updates == whole(make).updates


@ALGORITHMS
def test_a_fresh_learn_starts_the_staircase_again(make):
    model = make(planned())
    model.learn(TOTAL, callback=StaircaseCallback())
    first, model.updates = model.updates, []
    model.learn(TOTAL, callback=StaircaseCallback())
    assert model.updates == first


class RatesAsked(BaseCallback):
    """Asks the model for its present rate where a snapshot would, before each rollout."""

    def _on_training_start(self):
        self.rates = []

    def _on_rollout_start(self):
        rate = self.model.lr_schedule(self.model._current_progress_remaining)
        self.rates.append((self.model.num_timesteps, rate))

    def _on_step(self):
        return True


@ALGORITHMS
def test_the_model_knows_its_rate_before_the_first_step_of_a_part(make):
    model = learn_up_to(make(planned()), 53)
    asked = RatesAsked()
    model.learn(30, callback=[StaircaseCallback(), asked], reset_num_timesteps=False)
    assert asked.rates[0][0] >= 53
    assert asked.rates == [(step, SCHEDULE(step)) for step, _ in asked.rates]


@ALGORITHMS
def test_a_learn_beyond_the_plan_is_refused_before_the_first_step(make):
    model = make(planned())
    with pytest.raises(ValueError, match=f"must be <= {TOTAL}, .* got {TOTAL + 1}"):
        model.learn(TOTAL + 1, callback=StaircaseCallback())
    assert model.num_timesteps == 0
    learn_up_to(model, 50)
    done = model.num_timesteps
    with pytest.raises(ValueError, match=f"must be <= {TOTAL - done}, .*got {TOTAL - done + 1}"):
        learn_up_to(model, TOTAL + 1)
    assert model.num_timesteps == done


def test_a_learn_with_nothing_to_train_is_no_error():
    model = ppo(planned()).learn(TOTAL, callback=StaircaseCallback())
    updates = list(model.updates)
    assert model.num_timesteps > TOTAL
    model.learn(0, callback=StaircaseCallback(), reset_num_timesteps=False)
    assert model.updates == updates


@pytest.mark.parametrize("learning_rate", [1e-3, lambda progress: 1e-3 * progress])
def test_another_learning_rate_is_refused(learning_rate):
    with pytest.raises(ValueError, match=r"model\.learning_rate must be a .*ProgressSchedule"):
        sac(learning_rate).learn(TOTAL, callback=StaircaseCallback())


@pytest.mark.parametrize("total", [float(TOTAL), True, 0.5])
@ALGORITHMS
def test_a_total_that_is_no_integer_is_refused_by_its_name(make, total):
    model = make(planned())
    message = rf"total_timesteps of learn\(\) must be an integer >= 1, got {total}"
    with pytest.raises(ValueError, match=message):
        model.learn(total, callback=StaircaseCallback())
    assert model.num_timesteps == 0
    learn_up_to(model, 50)
    done = model.num_timesteps
    with pytest.raises(ValueError, match=r"total_timesteps of learn\(\) must be an integer"):
        model.learn(16.0, callback=StaircaseCallback(), reset_num_timesteps=False)
    assert model.num_timesteps == done


@ALGORITHMS
def test_a_schedule_of_steps_in_place_of_one_of_progress_is_told_what_to_be(make):
    with pytest.raises(ValueError, match=r"give it ProgressSchedule\(schedule, total_timesteps\)"):
        make(SCHEDULE).learn(TOTAL)
