"""Relabelled transitions are rewarded and end as the task would have it."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecNormalize

from agents import ConfigError, RunConfig
from agents.learners.environments import make_env, make_training_envs
from agents.learners.hindsight import EpisodicHerReplayBuffer
from agents.learners.model import build_model
from agents.training.loop import create_run
from tests.agents.small_runs import HER, small_config

pytestmark = pytest.mark.slow

BATCH = 400


def filled_buffer(
    config: RunConfig, steps: int, buffer_size: int = 10_000
) -> EpisodicHerReplayBuffer:
    """The buffer of a run after steps in which the hand goes through the object."""
    given = {**config.hyperparameters, "buffer_size": buffer_size}
    config = dataclasses.replace(config, hyperparameters=given)
    model = build_model(config, make_training_envs(config))
    buffer, venv = model.replay_buffer, model.env
    assert venv is not None
    assert isinstance(buffer, EpisodicHerReplayBuffer)
    venv.seed(3)
    seen = venv.reset()
    generator = np.random.default_rng(0)
    for _ in range(steps):
        # The hand's position, and the object's after the robot's own entries.
        to_object = seen["observation"][:, 6:9] - seen["observation"][:, :3]
        actions = 20.0 * to_object + generator.uniform(-0.5, 0.5, to_object.shape)
        actions = np.clip(actions, -1.0, 1.0).astype(np.float32)
        following, rewards, dones, infos = venv.step(actions)
        end = {key: column.copy() for key, column in following.items()}
        for index, info in enumerate(infos):
            if dones[index]:
                for key, value in info["terminal_observation"].items():
                    end[key][index] = value
        buffer.add(seen, end, actions, rewards, dones, infos)
        seen = following
    return buffer


def drawn(buffer: EpisodicHerReplayBuffer, batch: int = BATCH) -> dict[str, NDArray[np.float32]]:
    """A batch in numpy, with the row and the environment that each transition was recorded in."""
    np.random.seed(0)
    samples = buffer.sample(batch)
    recorded = buffer.observations["observation"]
    where = [
        np.argwhere((recorded == one).all(-1))[0]
        for one in samples.observations["observation"].numpy()
    ]
    return {
        "at": np.array(where),
        "start": samples.observations["achieved_goal"].numpy(),
        "goal": samples.observations["desired_goal"].numpy(),
        "next_goal": samples.next_observations["desired_goal"].numpy(),
        "end": samples.next_observations["achieved_goal"].numpy(),
        "action": samples.actions.numpy(),
        "reward": samples.rewards.numpy()[:, 0],
        "done": samples.dones.numpy()[:, 0],
    }


SKIPPING = {**HER, "skip_reached": True}
PUSHES = small_config(
    "sac", env="push", n_envs=3, her=SKIPPING, hyperparameters={"learning_starts": 150}
)


@pytest.mark.parametrize("reward", ["sparse", "dense"])
@pytest.mark.parametrize("skip_reached", [True, False])
def test_a_transition_is_rewarded_and_ends_as_if_recorded(skip_reached: bool, reward: str) -> None:
    changes = {"reward": reward, "her": {**HER, "skip_reached": skip_reached}}
    config = RunConfig.from_dict({**PUSHES.to_dict(), **changes})
    batch = drawn(filled_buffer(config, 220))
    env = make_env(config).unwrapped
    started_there = env.compute_terminated(batch["start"], batch["goal"])
    assert started_there.any() != skip_reached
    assert np.array_equal(batch["done"], env.compute_terminated(batch["end"], batch["goal"]))
    assert np.array_equal(batch["reward"], env.compute_reward(batch["end"], batch["goal"]))
    assert np.array_equal(batch["goal"], batch["next_goal"])
    assert 0 < batch["done"].sum() < BATCH
    env.close()


@pytest.mark.parametrize("skip_reached", [True, False])
def test_new_goals_are_what_the_same_episode_achieved_later(skip_reached: bool) -> None:
    her = {**HER, "skip_reached": skip_reached}
    buffer = filled_buffer(RunConfig.from_dict({**PUSHES.to_dict(), "her": her}), 220)
    batch = drawn(buffer)
    relabelled = 0
    for index, (row, env) in enumerate(batch["at"]):
        assert np.array_equal(batch["action"][index], buffer.actions[row, env])
        own_goal = buffer.observations["desired_goal"][row, env]
        if np.array_equal(batch["goal"][index], own_goal):
            continue
        relabelled += 1
        end = row
        while not buffer.dones[end, env]:
            end += 1
        later = buffer.next_observations["achieved_goal"][row : end + 1, env]
        assert (later == batch["goal"][index]).all(-1).any()
    # Four new goals for each of the episode's own.
    assert relabelled == int(0.8 * BATCH)


def by_columns(
    buffer: EpisodicHerReplayBuffer, batch: int, env: VecNormalize | None
) -> dict[str, Any]:
    """The definition of a batch, gathered column by column and looked for in the whole buffer."""
    finished = np.flatnonzero(buffer.ep_length[: buffer.size()] > 0)

    def draw(count: int) -> Any:
        chosen = finished[np.random.randint(len(finished), size=count)]
        return np.unravel_index(chosen, (buffer.buffer_size, buffer.n_envs))

    wanted = int(buffer.her_ratio * batch)
    candidates = draw(4 * wanted if buffer.skip_reached or buffer.skip_lost else wanted)
    goals = buffer._sample_goals(*candidates)
    fit = np.ones(len(goals), bool)
    if buffer.skip_reached:
        start = buffer.observations["achieved_goal"][candidates]
        fit = ~buffer._ask("compute_terminated", start, goals)
    if buffer.skip_lost:
        fit &= goals[:, 2] >= -0.05
    chosen = np.flatnonzero(fit)[:wanted]
    goals, new = goals[chosen], slice(len(chosen))
    recorded = draw(batch - len(chosen))
    at = tuple(np.concatenate([c[chosen], r]) for c, r in zip(candidates, recorded, strict=True))
    sides = [
        {key: column[at] for key, column in columns.items()}
        for columns in (buffer.observations, buffer.next_observations)
    ]
    rewards, dones = buffer.rewards[at], buffer.dones[at] * (1.0 - buffer.timeouts[at])
    for side in sides:
        side["desired_goal"][new] = goals
    end = sides[1]["achieved_goal"][new]
    rewards[new] = buffer._ask("compute_reward", end, goals)
    dones[new] = buffer._ask("compute_terminated", end, goals)
    observations, following = (buffer._normalize_obs(side, env) for side in sides)
    return {
        **{f"now {key}": column for key, column in observations.items()},
        **{f"next {key}": column for key, column in following.items()},
        "actions": buffer.actions[at],
        "dones": dones.reshape(-1, 1),
        "rewards": buffer._normalize_reward(rewards.reshape(-1, 1), env),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"her": HER, "n_envs": 1},
        {"her": SKIPPING},
        {"her": {**SKIPPING, "goal_selection_strategy": "final"}},
        {"her": {**HER, "goal_selection_strategy": "episode"}},
        {"normalize": {"clip_obs": 1.5}},
        {"normalize": {"clip_obs": 0.5, "norm_obs_keys": ["observation"]}},
        {"observation": "both"},
        {"env": "slide", "her": {**SKIPPING, "skip_lost": True}},
        {"env": "slide", "her": {**HER, "skip_lost": True}},
    ],
    ids=str,
)
@pytest.mark.parametrize("stored", [False, True])
def test_a_batch_is_gathered_at_once_to_the_bits_of_its_columns(
    changes: dict[str, Any], stored: bool
) -> None:
    config = RunConfig.from_dict({**PUSHES.to_dict(), **changes})
    # In a full buffer episodes are overwritten, also between two batches.
    buffer = filled_buffer(config, 130, buffer_size=100 * config.n_envs)
    if stored:
        buffer.sample(8)
        venv, buffer = buffer.env, pickle.loads(pickle.dumps(buffer))
        buffer.set_env(venv)
    infos: list[dict[str, Any]] = [{}] * config.n_envs
    env = buffer.env if isinstance(buffer.env, VecNormalize) else None
    for number in range(30):
        np.random.seed(number)
        samples = buffer.sample(50, env)
        following = np.random.random()
        np.random.seed(number)
        expected = by_columns(buffer, 50, env)
        assert following == np.random.random()
        given = {
            **{f"now {key}": column for key, column in samples.observations.items()},
            **{f"next {key}": column for key, column in samples.next_observations.items()},
            "actions": samples.actions,
            "dones": samples.dones,
            "rewards": samples.rewards,
        }
        assert given.keys() == expected.keys()
        for name, column in expected.items():
            assert given[name].numpy().dtype == column.dtype
            assert np.array_equal(given[name].numpy(), column), name
        again = {key: column[number] for key, column in buffer.observations.items()}
        done = np.full(config.n_envs, number % 7 == 6)
        buffer.add(again, again, buffer.actions[number], np.zeros(config.n_envs), done, infos)


@pytest.mark.parametrize("skip_lost", [True, False])
def test_the_floor_gives_no_new_goals_unless_asked_for(skip_lost: bool) -> None:
    her = {**SKIPPING, "skip_lost": skip_lost}
    config = RunConfig.from_dict({**PUSHES.to_dict(), "env": "slide", "her": her})
    batch = drawn(filled_buffer(config, 220))
    on_the_floor = batch["goal"][:, 2] < -0.05
    assert on_the_floor.any() != skip_lost


def test_an_object_that_lies_still_gives_no_new_goals() -> None:
    config = small_config("sac", env="slide", env_kwargs={"action_latency": 25}, her=SKIPPING)
    buffer = filled_buffer(config, 24)
    buffer.add(
        *({k: v[0] for k, v in side.items()} for side in (buffer.observations,) * 2),
        np.zeros((1, 3), np.float32),
        np.full(1, -1.0),
        np.ones(1),
        [{}],
    )
    batch = drawn(buffer)
    own_goals = np.array([buffer.observations["desired_goal"][tuple(at)] for at in batch["at"]])
    assert np.array_equal(batch["goal"], own_goals)


def test_without_a_finished_episode_there_is_nothing_to_draw() -> None:
    with pytest.raises(RuntimeError, match="no episode has ended yet"):
        filled_buffer(PUSHES, 5).sample(8)


def test_what_eases_training_is_no_part_of_evaluation() -> None:
    config = small_config(
        "sac",
        env="pick_and_place",
        env_kwargs={"object_mass": 0.5, "grasped": 0.1},
        training_env_kwargs={"grasped": (0.5, 0.6)},
    )
    assert RunConfig.from_dict(config.to_dict()) == config
    evaluated, trained = make_env(config), make_training_envs(config)
    assert evaluated.unwrapped.task.given == {"object_mass": (0.5, 0.5), "grasped": (0.1, 0.1)}
    (task,) = trained.get_attr("task")
    assert task.given == {"object_mass": (0.5, 0.5), "grasped": (0.5, 0.6)}
    evaluated.close()
    trained.close()


def test_what_eases_training_must_suit_the_task() -> None:
    with pytest.raises(ConfigError, match="training_env_kwargs: Push takes"):
        small_config("sac", env="push", training_env_kwargs={"grasped": 0.5})


@pytest.mark.parametrize(
    ("hyperparameters", "complaint"),
    [
        ({"learning_starts": 149}, "learning_starts must be at least 150 with her, 1 x 50 steps"),
        ({"buffer_size": 299}, "buffer_size must be at least 300 with her, 2 x 50 steps of an"),
    ],
)
def test_a_run_that_could_find_no_finished_episode_is_refused(
    hyperparameters: dict[str, int], complaint: str, tmp_path: Path
) -> None:
    given = {"learning_starts": 150, "buffer_size": 300}
    fits = small_config("sac", env="push", n_envs=3, hyperparameters=given)
    create_run(fits, tmp_path / "fits")
    config = small_config("sac", env="push", n_envs=3, hyperparameters={**given, **hyperparameters})
    with pytest.raises(ConfigError, match=complaint):
        create_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
