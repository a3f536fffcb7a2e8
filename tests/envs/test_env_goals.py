"""Goals that are asked for: of all tasks, only such as they draw, and nothing else changes."""

import copy
import json

import gymnasium as gym
import numpy as np
import pytest

import envs
from tests.envs.env_cases import DEFAULT, draw_actions, make
from tests.envs.test_env_snapshots import BROKEN, continuation

TILTED = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]
GOALS = {
    "reach": [0.1, -0.05, 0.2],
    "push": [0.1, -0.05, 0.02],
    "slide": [0.4, 0.1, 0.03],
    "pick_and_place": [0.1, -0.05, 0.15],
    "stack": [0.1, -0.05, 0.02, 0.1, -0.05, 0.06],
    "flip": TILTED,
}


@pytest.fixture
def push():
    env = gym.make("bullet/Push-v0")
    yield env
    env.close()


@pytest.mark.parametrize("task", GOALS)
def test_an_episode_has_the_goal_that_is_asked_for_and_else_is_the_seeds(task):
    env = gym.make(envs.TASKS[task])
    drawn, _ = env.reset(seed=3)
    asked, _ = env.reset(seed=3, options={"goal": GOALS[task]})
    assert np.array_equal(asked["desired_goal"], np.array(GOALS[task], np.float32))
    assert np.array_equal(asked["observation"], drawn["observation"])
    for action in draw_actions(env, 0, 4):
        assert np.array_equal(env.step(action)[0]["desired_goal"], asked["desired_goal"])
    # It is the goal of that episode only.
    expected = gym.make(envs.TASKS[task])
    expected.reset(seed=3)
    assert np.array_equal(env.reset()[0]["desired_goal"], expected.reset()[0]["desired_goal"])
    env.close()
    expected.close()


# A task may say nothing of goals that are asked for.
TAKING = [
    (name, DEFAULT, "ee", "sparse")
    for task, name in envs.TASKS.items()
    if envs.TASK_TYPES[task].read_goal is not envs.Task.read_goal
]


@pytest.mark.parametrize("case", TAKING, ids="-".join)
def test_whatever_a_task_draws_may_be_asked_for(case):
    env = make(case)
    for seed in range(10):
        drawn, _ = env.reset(seed=seed)
        asked, _ = env.reset(seed=seed, options={"goal": drawn["desired_goal"]})
        assert all(np.array_equal(asked[key], drawn[key]) for key in drawn)
    env.close()


def test_it_may_be_asked_for_what_is_drawn_with_any_size():
    for task in ("push", "stack", "pick_and_place", "slide"):
        sizes = {"object_size": (0.03, 0.06)}
        env = gym.make(envs.TASKS[task], **sizes)
        goals = [env.reset(seed=seed)[0]["desired_goal"] for seed in range(8)]
        for goal in goals:
            asked, _ = env.reset(options={"goal": goal.tolist()})
            assert np.array_equal(asked["desired_goal"], goal)
        env.close()


NEVER_DRAWN = {
    "too far to the side": ("push", {}, [0.1, 0.2, 0.02], "y of a goal of Push is from -0.15 to"),
    "off the table": ("push", {}, [0.1, 0.1, 0.1], "z of a goal of Push is 0.02 m here, got 0.1"),
    "below the table": ("reach", {}, [0.1, 0.1, -0.1], "z of a goal of Reach is from 0 to 0.3 m"),
    "too near": ("slide", {}, [0.0, 0.0, 0.03], "x of a goal of Slide is from 0.25 to 0.55 m"),
    "too high": ("pick_and_place", {}, [0.0, 0.0, 0.3], "z of a goal .* from 0.02 to 0.22 m"),
    "out of one's own range": (
        "push",
        {"goal_x": (0.0, 0.1)},
        [-0.1, 0.0, 0.02],
        "x of a goal of Push is from 0 to 0.1 m here, got -0.1",
    ),
    "not one above the other": (
        "stack",
        {},
        [0.1, 0.0, 0.02, 0.0, 0.0, 0.06],
        "upper x of a goal of Stack is 0.1 m here, got 0",
    ),
    "one in the other": ("stack", {}, [0.1, 0.0, 0.02, 0.1, 0.0, 0.05], "upper z .* 0.06 m here"),
    "no orientation": (
        "flip",
        {},
        [0.0, 0.0, 1.0, 1.0],
        "unit quaternion, got one of length 1.4",
    ),
    "no orientation at all": ("flip", {}, [0.0] * 4, "a unit quaternion, got one of length 0"),
    "as the cube lies": ("flip", {}, [0.0, 0.0, 0.0, -1.0], "distance of 0.2 or more .* one at 0"),
    "too short": ("push", {}, [0.1, 0.1], "a goal of Push is 3 finite numbers, got"),
    "too many": ("push", {}, [[0.1, 0.1, 0.02]], "a goal of Push is 3 finite numbers, got"),
    "not finite": ("reach", {}, [0.1, float("nan"), 0.2], "is 3 finite numbers, got"),
    "words": ("reach", {}, ["0.1", "0.1", "0.2"], "is 3 finite numbers, got"),
    "ragged": ("reach", {}, [[0.1], 0.1, 0.2], "is 3 finite numbers, got"),
    "nothing": ("reach", {}, None, "is 3 finite numbers, got None"),
}


@pytest.mark.parametrize("kind", NEVER_DRAWN)
def test_what_a_task_never_draws_is_refused_and_changes_nothing(kind):
    task, ranges, goal, message = NEVER_DRAWN[kind]
    env = gym.make(envs.TASKS[task], **ranges)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    before = env.unwrapped.snapshot()
    with pytest.raises(ValueError, match=message):
        env.reset(seed=1, options={"goal": goal})
    assert env.unwrapped.snapshot() == before
    env.step(env.action_space.sample())
    env.close()


def test_an_orientation_that_is_nearly_a_unit_is_made_one():
    env = gym.make("bullet/Flip-v0")
    goal = env.reset(options={"goal": [0.0, 0.0, 0.7071, 0.7068]})[0]["desired_goal"]
    assert np.linalg.norm(goal) == pytest.approx(1.0, abs=1e-7)
    env.close()


def test_an_object_starts_away_from_the_goal_that_is_asked_for(push):
    for seed in range(40):
        start = push.reset(seed=seed)[0]["achieved_goal"]
        seen, info = push.reset(seed=seed, options={"goal": start})
        assert np.linalg.norm(seen["achieved_goal"] - start) >= 0.05
        assert info["is_success"] is False


@pytest.mark.slow
def test_a_goal_that_leaves_the_object_no_place_is_refused():
    env = gym.make("bullet/Push-v0", object_x=0.0, object_y=0.0)
    with pytest.raises(RuntimeError, match=r"the goal asked for, leave no room"):
        env.reset(options={"goal": [0.0, 0.0, 0.02]})
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        env.step(np.zeros(3, np.float32))
    env.reset(options={"goal": [0.1, 0.0, 0.02]})
    env.step(np.zeros(3, np.float32))
    env.close()


@pytest.mark.parametrize("task", GOALS)
def test_snapshots_and_copies_know_the_goal_that_was_asked_for(task):
    env, other = gym.make(envs.TASKS[task]), gym.make(envs.TASKS[task])
    env.reset(seed=1, options={"goal": GOALS[task]})
    env.step(draw_actions(env, 0, 1)[0])
    snapshot = json.loads(json.dumps(env.unwrapped.snapshot()))
    twin = copy.deepcopy(env.unwrapped)
    other.unwrapped.restore(snapshot)
    assert json.loads(json.dumps(other.unwrapped.snapshot())) == snapshot
    expected = continuation(env.unwrapped, 2)
    assert continuation(other.unwrapped, 2) == continuation(twin, 2) == expected
    # Later episodes know nothing of it.
    assert "goal" not in env.unwrapped.snapshot()
    for each in (env, other, twin):
        each.close()


@pytest.mark.parametrize("goal", [[0.0], [0.0, 9.0, 0.02], "up", None])
def test_a_snapshot_with_a_goal_that_is_none_changes_nothing(push, goal):
    push.reset(seed=1, options={"goal": GOALS["push"]})
    before = push.unwrapped.snapshot()
    with pytest.raises(ValueError, match="goal of Push"):
        push.unwrapped.restore({**before, "goal": goal})
    assert push.unwrapped.snapshot() == before


@pytest.mark.parametrize("broken", BROKEN)
def test_a_malformed_snapshot_of_a_goal_that_was_asked_for_is_refused(broken):
    breaking, message = BROKEN[broken]
    env = gym.make("bullet/Reach-v0")
    env.reset(seed=1, options={"goal": GOALS["reach"]})
    with pytest.raises(ValueError, match=message):
        env.unwrapped.restore(breaking(env.unwrapped.snapshot()))
    env.close()


class Own(envs.TASK_TYPES["reach"]):
    """A task that says nothing of goals that are asked for."""

    read_goal = envs.Task.read_goal

    def reset(self, generator):
        return super().reset(generator)


def test_a_task_that_takes_no_goals_says_so():
    env = envs.ManipulationEnv(envs.ROBOTS["panda"](), Own())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^Own draws its goals and takes none$"):
        env.reset(options={"goal": [0.1, 0.1, 0.1]})
    env.close()
