"""Every registered environment is what gymnasium and Stable-Baselines3 expect."""

import gc

import gymnasium as gym
import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import envs
from tests.envs.env_cases import (
    EVERY_TASK,
    REGISTERED,
    draw_actions,
    fresh_trajectory,
    make,
    record,
)


@pytest.fixture(params=REGISTERED, ids="-".join)
def case(request):
    return request.param


def test_every_task_has_a_short_name():
    registered = {name for name in gym.registry if name.startswith("bullet/")}
    assert set(envs.TASKS.values()) == registered
    assert envs.TASKS["reach"] == "bullet/Reach-v0"


def test_episodes_are_truncated_after_50_steps_and_stacking_after_100(env):
    env.reset(seed=0)
    away = np.zeros(env.action_space.shape, np.float32)
    away[0] = -1.0
    steps = 100 if env.spec.id == "bullet/Stack-v0" else 50
    ends = [env.step(away)[2:4] for _ in range(steps)]
    assert ends == [(False, False)] * (steps - 1) + [(False, True)]


def test_rewards_of_a_batch_are_those_of_its_goals(env):
    generator = np.random.default_rng(0)
    goals = generator.uniform(-0.1, 0.1, (2, 200, env.unwrapped.task.goal_size))
    achieved, desired = goals.astype(np.float32)
    compute = env.unwrapped.compute_reward
    batch = compute(achieved, desired, np.array([{}] * 200))
    assert batch.shape == (200,)
    assert batch.dtype == np.float32
    each = [compute(one, other, {}) for one, other in zip(achieved, desired, strict=True)]
    assert np.array_equal(batch, np.array(each))
    reached = env.unwrapped.compute_terminated(achieved, desired, [{}] * 200)
    assert reached.dtype == bool
    assert np.array_equal(
        reached, env.unwrapped.task.distance(achieved, desired) < env.unwrapped.task.threshold
    )


def test_a_step_is_rewarded_as_its_goals_are(env):
    env.reset(seed=0)
    for action in draw_actions(env, 0, 12):
        observation, reward, terminated, _, info = env.step(action)
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert isinstance(reward, float)
        assert reward == env.unwrapped.compute_reward(*goals, info)
        assert terminated == env.unwrapped.compute_terminated(*goals, info)
        assert info == {"is_success": terminated}
        if terminated:
            break


def roll(case, seed, steps):
    """Observations, before the first reset and without resets, of one environment."""
    env = make(case)
    observations = [env.reset(seed=seed)[0]]
    actions = draw_actions(env, 1, steps)
    observations += [env.step(action)[0] for action in actions]
    env.close()
    return actions, observations


def without_goals_nearby(case, steps=4):
    """Seeds whose first steps reach no goal."""
    seeds = []
    for seed in range(100):
        env = make(case)
        env.reset(seed=seed)
        if not any(env.step(action)[2] for action in draw_actions(env, 1, steps)):
            seeds.append(seed)
        env.close()
        if len(seeds) == 2:
            return seeds
    raise AssertionError("every goal is too near")


@pytest.mark.slow
@pytest.mark.parametrize("case", EVERY_TASK, ids="-".join)
@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
def test_sb3_vectors_step_as_single_environments_do(case, kind):
    (first, second), steps = without_goals_nearby(case), 4
    vector = kind([lambda: make(case)] * 2)
    vector.env_method("reset", seed=first, indices=[0])
    vector.env_method("reset", seed=second, indices=[1])
    actions, one = roll(case, first, steps)
    _, other = roll(case, second, steps)
    for step in range(steps):
        observation, *_ = vector.step(np.stack([actions[step]] * 2))
        for index, expected in enumerate((one, other)):
            for key in observation:
                assert np.array_equal(observation[key][index], expected[step + 1][key])
    vector.close()


@pytest.mark.parametrize("case", EVERY_TASK, ids="-".join)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasium_vectors_step_as_single_environments_do(case, mode):
    name, robot, control, reward = case
    (seed, _), steps = without_goals_nearby(case), 4
    vector = gym.make_vec(
        name, 2, vectorization_mode=mode, robot=robot, control=control, reward=reward
    )
    actions, expected = roll(case, seed, steps)
    vector.reset(seed=[seed, seed])
    for step in range(steps):
        observation, *_ = vector.step(np.stack([actions[step]] * 2))
        for key in observation:
            assert np.array_equal(observation[key][0], expected[step + 1][key])
            assert np.array_equal(observation[key][1], expected[step + 1][key])
    vector.close()


@pytest.mark.slow
def test_hindsight_replay_trains():
    env = gym.make("bullet/Reach-v0")
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        learning_starts=100,
        batch_size=16,
        policy_kwargs={"net_arch": [8]},
        device="cpu",
    )
    model.learn(130)
    assert model.num_timesteps == 130
    env.close()


def test_close_frees_the_simulation_and_may_be_repeated():
    env = gym.make("bullet/Reach-v0")
    client = env.unwrapped._simulation._client
    assert pybullet.isConnected(client)
    env.close()
    assert not pybullet.isConnected(client)
    env.close()


def test_a_dropped_environment_frees_its_simulation():
    env = gym.make("bullet/Reach-v0")
    client = env.unwrapped._simulation._client
    del env
    gc.collect()
    assert not pybullet.isConnected(client)


def test_closing_one_leaves_the_others():
    case = REGISTERED[0]
    one, other = make(case), make(case)
    one.reset(seed=0)
    expected = fresh_trajectory(case, 0, 8)
    trace = []
    record(trace, *other.reset(seed=0)[:1], 0.0, False, {"is_success": False})
    one.close()
    one.close()
    for action in draw_actions(other, 0, 8):
        observation, reward, terminated, truncated, info = other.step(action)
        record(trace, observation, reward, terminated, info)
        if terminated or truncated:
            break
    assert trace == expected[: len(trace)]
    other.close()


def test_who_overwrites_an_observation_changes_nothing_else(env):
    calm = np.zeros(env.action_space.shape, np.float32)
    env.reset(seed=0)
    expected = [env.step(calm)[0] for _ in range(2)]
    state, _ = env.reset(seed=0)
    for after in expected:
        for key, part in state.items():
            others = {other: state[other].copy() for other in state if other != key}
            part.fill(7.0)
            for other, before in others.items():
                assert np.array_equal(state[other], before)
        state = env.step(calm)[0]
        for key in state:
            assert np.array_equal(state[key], after[key])


def test_after_close_everything_says_so():
    env = gym.make("bullet/Reach-v0", render_mode="rgb_array").unwrapped
    env.reset(seed=0)
    snapshot = env.snapshot()
    env.close()
    for use in (
        env.reset,
        lambda: env.step(np.zeros(3, np.float32)),
        env.render,
        env.snapshot,
        lambda: env.restore(snapshot),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_step_before_reset_says_so():
    env = gym.make("bullet/Reach-v0")
    with pytest.raises(Exception, match="reset"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(RuntimeError, match=r"no episode was started.*reset\(\)"):
        env.unwrapped.step(np.zeros(3, np.float32))
    env.close()


BAD_ACTIONS = {
    "not a number": (np.array([0.0, np.nan, 0.0], np.float32), "nan"),
    "not a number, beside what is clipped": (np.array([2.0, 0.0, np.nan], np.float32), "nan"),
    "infinite": (np.array([0.0, np.inf, 0.0], np.float64), "inf"),
    "too short": (np.zeros(2, np.float32), r"shape \(2,\)"),
    "too deep": (np.zeros((1, 3), np.float32), r"shape \(1, 3\)"),
    "a single number": (0.5, r"shape \(\)"),
    "words": (["a", "b", "c"], "type <U1"),
    "nothing": (None, "type object"),
    "truth values": ([True, False, True], "type bool"),
    "complex": (np.zeros(3, np.complex64), "type complex64"),
    "ragged": ([[0.0], 0.0, 0.0], "got"),
}


@pytest.mark.parametrize("kind", BAD_ACTIONS)
def test_a_bad_action_is_refused_and_changes_nothing(kind):
    action, message = BAD_ACTIONS[kind]
    env = gym.make("bullet/Reach-v0")
    env.reset(seed=0)
    before = env.unwrapped.snapshot()
    with pytest.raises(ValueError, match=rf"3 finite numbers, clipped to \[-1, 1\].*{message}"):
        env.step(action)
    assert env.unwrapped.snapshot() == before
    env.close()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    action=arrays.arrays(np.float64, 3, elements=st.floats(allow_nan=False, allow_infinity=False))
)
def test_actions_beyond_the_range_are_clipped_and_precision_is_single(action):
    env = make(REGISTERED[0])
    env.reset(seed=0)
    observation = env.step(action)[0]
    env.reset(seed=0)
    clipped = env.step(np.clip(action, -1.0, 1.0).astype(np.float32))[0]
    assert all(np.array_equal(observation[key], clipped[key]) for key in clipped)
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward": "spars"}, "reward 'spars': did you mean 'sparse'.* valid: dense, sparse"),
        ({"control": "joint"}, "control 'joint': did you mean 'joints'.* valid: ee, joints"),
        ({"render_mode": "rgb"}, "render_mode 'rgb': .*valid: None, depth_array, depth_array_list"),
        ({"robot": "pandas"}, "robot 'pandas': did you mean 'panda'"),
        ({"reward": None}, "unknown reward None: valid"),
        ({"control": np.array([1, 2])}, "unknown control array.* valid: ee, joints"),
        ({"reward": ["sparse"]}, "unknown reward .'sparse'.: .*valid: dense, sparse"),
        ({"render_width": 0}, "render_width is a whole number of pixels, at least 1, got 0"),
        ({"render_height": 1.5}, "render_height is a whole number of pixels, at least 1, got 1.5"),
        ({"render_width": True}, "render_width.*got True"),
        ({"render_height": None}, "render_height.*got None"),
    ],
)
def test_an_unknown_choice_names_the_valid_ones(arguments, message):
    with pytest.raises(ValueError, match=message):
        gym.make("bullet/Reach-v0", **arguments)


@pytest.mark.parametrize("robot", envs.ROBOTS.values())
def test_a_robot_refuses_a_control_that_it_does_not_know(robot):
    with pytest.raises(ValueError, match="unknown control 'jonts': did you mean 'joints'"):
        robot("jonts")


def test_ranges_of_an_unknown_task_are_refused():
    with pytest.raises(ValueError, match="unknown task 'pusj': did you mean 'push'"):
        envs.check_ranges("pusj", {})


@pytest.mark.parametrize(
    ("task", "name", "message"),
    [
        ("push", "object_mas", "Push takes goal_x, .*'object_mas'; did you mean 'object_mass'"),
        ("push", "frameskip", "got an unexpected keyword argument 'frameskip'"),
        ("reach", "object_mass", "Reach takes goal_x, goal_y, .* keyword argument 'object_mass'"),
        ("flip", "goal_x", "Flip takes object_x, .* keyword argument 'goal_x'"),
    ],
)
def test_an_unknown_keyword_is_a_type_error_as_pythons_own(task, name, message):
    for refuse in (
        lambda: gym.make(envs.TASKS[task], **{name: 1}),
        lambda: envs.check_ranges(task, {name: 1}),
        lambda: envs.TASK_TYPES[task](**{name: 1}),
    ):
        with pytest.raises(TypeError, match=message):
            refuse()


BAD_GOALS = {
    "too short": (np.zeros(2), np.zeros(2)),
    "too long": (np.zeros(4), np.zeros(4)),
    "one of them too short": (np.zeros(3), np.zeros(2)),
    "a batch of them too short": (np.zeros((5, 2)), np.zeros((5, 2))),
    "numbers": (0.0, 0.0),
    "not numbers": (["a", "b", "c"], np.zeros(3)),
    "nothing": (None, np.zeros(3)),
    "not as many": (np.zeros((4, 3)), np.zeros((5, 3))),
}


@pytest.mark.parametrize("kind", BAD_GOALS)
@pytest.mark.parametrize("name", ["compute_reward", "compute_terminated", "compute_lost"])
def test_goals_of_another_length_are_refused(kind, name):
    env = gym.make("bullet/Push-v0").unwrapped
    with pytest.raises(ValueError, match=r"^a goal of Push is 3 numbers, got|^as many goals"):
        getattr(env, name)(*BAD_GOALS[kind], {})
    env.close()


def test_one_goal_may_be_held_against_many():
    env = gym.make("bullet/Push-v0").unwrapped
    achieved = np.linspace(0.0, 0.1, 12, dtype=np.float32).reshape(4, 3)
    expected = [env.compute_reward(goal, achieved[0], {}) for goal in achieved]
    assert env.compute_reward(achieved, achieved[0], {}).tolist() == expected
    env.close()


@pytest.mark.parametrize("options", [{"wind": 1}, {"goal": [0, 0, 0.02], "wind": 1}, 5, ["goal"]])
def test_reset_takes_no_other_options(options):
    env = gym.make("bullet/Push-v0")
    env.reset(options={})
    before = env.unwrapped.snapshot()
    with pytest.raises(ValueError, match=r"^reset's options are {'goal': goal} or none, got"):
        env.reset(seed=1, options=options)
    assert env.unwrapped.snapshot() == before
    env.close()


def test_a_window_without_a_display_is_refused(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(RuntimeError, match=r"^render_mode='human' needs a display, and .*not set$"):
        gym.make("bullet/Reach-v0", render_mode="human")


def test_a_window_on_a_display_that_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(RuntimeError, match=r"^render_mode='human' needs a display.*at ':4711'$"):
        gym.make("bullet/Reach-v0", render_mode="human")
