"""A snapshot, written as JSON, continues bit for bit in another environment and process."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.envs.env_cases import CASES, act, draw_actions, in_new_process, make, record

SEEDS = st.integers(0, 2**31 - 1)
EXAMPLES = settings(
    max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
LATER = 12


def advance(env, seed, episodes, steps):
    """Leave the environment `steps` into an episode that follows a few others."""
    env.reset(seed=seed)
    for episode in range(episodes):
        act(env, draw_actions(env, seed + episode, 15), [])
        env.reset()
    act(env, draw_actions(env, seed + episodes, steps), [])


def continuation(env, seed):
    """What follows: the rest of this episode and the start of the next two."""
    trace = act(env, draw_actions(env, seed, LATER), [])
    for _ in range(2):
        observation, info = env.reset()
        record(trace, observation, 0.0, False, info)
        act(env, draw_actions(env, seed, 5), trace)
    return trace


def through_json(data):
    return json.loads(json.dumps(data))


@EXAMPLES
@given(
    seed=SEEDS,
    episodes=st.integers(0, 2),
    steps=st.integers(0, 25),
    other_seed=SEEDS,
)
def test_continues_in_an_environment_with_another_past(
    case, env, seed, episodes, steps, other_seed
):
    advance(env, seed, episodes, steps)
    snapshot = through_json(env.unwrapped.snapshot())
    expected = continuation(env, other_seed)
    other = make(case)
    advance(other, other_seed, 1, 10)
    other.reset()
    other.unwrapped.restore(snapshot)
    assert continuation(other, other_seed) == expected
    other.close()


@pytest.mark.slow
def test_continues_in_another_process():
    snapshots, expected = [], []
    for case in CASES:
        env = make(case)
        advance(env, 3, 1, 22)
        snapshots.append([case, env.unwrapped.snapshot()])
        expected.append(continuation(env, 5))
        env.close()
    code = """
from tests.envs.env_cases import make
from test_env_snapshots import continuation
answer = []
for case, snapshot in data:
    env = make(tuple(case))
    env.reset()
    env.unwrapped.restore(snapshot)
    answer.append(continuation(env, 5))
    env.close()
"""
    assert in_new_process(code, snapshots) == expected


def test_continues_where_frames_are_drawn(case, env):
    advance(env, 1, 0, 20)
    snapshot = env.unwrapped.snapshot()
    expected = continuation(env, 2)
    drawn = make(case, render_mode="rgb_array", render_width=32, render_height=24)
    drawn.reset()
    drawn.unwrapped.restore(snapshot)
    drawn.render()
    assert continuation(drawn, 2) == expected
    drawn.close()


def test_taking_a_snapshot_changes_nothing(case, env):
    advance(env, 4, 0, 10)
    expected = continuation(env, 6)
    advance(env, 4, 0, 10)
    env.unwrapped.snapshot()
    assert continuation(env, 6) == expected


def test_a_snapshot_of_a_restored_environment_is_the_same(case, env):
    advance(env, 8, 1, 9)
    snapshot = through_json(env.unwrapped.snapshot())
    other = make(case)
    other.reset()
    other.unwrapped.restore(snapshot)
    assert through_json(other.unwrapped.snapshot()) == snapshot
    other.close()


def test_before_the_first_reset(case, env):
    snapshot = through_json(env.unwrapped.snapshot())
    expected, _ = env.reset()
    other = make(case)
    advance(other, 1, 0, 2)
    assert other.unwrapped.restore(snapshot) is None
    assert through_json(other.unwrapped.snapshot()) == snapshot
    with pytest.raises(RuntimeError, match="reset"):
        other.step(np.zeros(other.action_space.shape, np.float32))
    observation, _ = other.reset()
    assert all(np.array_equal(observation[key], expected[key]) for key in expected)
    other.close()


def reach_the_goal(env, seed):
    observation, _ = env.reset(seed=seed)
    terminated = False
    while not terminated:
        offset = observation["desired_goal"] - observation["achieved_goal"]
        observation, _, terminated, truncated, _ = env.step(np.clip(10 * offset, -1, 1))
        assert not truncated
    return observation


def test_after_the_end_of_the_episode():
    case = ("bullet/Reach-v0", "panda", "ee", "sparse")
    env, other = make(case), make(case)
    last = reach_the_goal(env, 3)
    snapshot = through_json(env.unwrapped.snapshot())
    other.reset()
    observation = other.unwrapped.restore(snapshot)
    assert all(np.array_equal(observation[key], last[key]) for key in last)
    with pytest.raises(RuntimeError, match="over"):
        other.step(np.zeros(3, np.float32))
    assert np.array_equal(other.reset()[0]["desired_goal"], env.reset()[0]["desired_goal"])
    env.close()
    other.close()


def test_restore_returns_the_observation():
    env = make(CASES[0])
    env.reset(seed=2)
    observation = env.step(np.ones(3, np.float32))[0]
    snapshot = env.unwrapped.snapshot()
    env.reset()
    restored = env.unwrapped.restore(snapshot)
    assert all(np.array_equal(observation[key], restored[key]) for key in observation)
    env.close()


def changed(**changes):
    return lambda snapshot: {**snapshot, **changes}


def without(key):
    return lambda snapshot: {name: snapshot[name] for name in snapshot if name != key}


BROKEN = {
    "no mapping": (lambda snapshot: [snapshot], "mapping"),
    "another version": (changed(version=99), "version 1 .* 99"),
    "a key missing": (without("actions"), "actions"),
    "a key too many": (changed(surplus=1), "surplus"),
    "another task": (
        lambda snapshot: {**snapshot, "environment": {**snapshot["environment"], "task": "Fly"}},
        "Fly",
    ),
    "no generator": (changed(generator=None), "generator"),
    "another generator": (changed(generator={"bit_generator": "MT19937"}), "generator"),
    "half a generator": (changed(generator={"bit_generator": "PCG64"}), "generator"),
    "actions that are none": (changed(actions="up"), "actions"),
    "an action too short": (changed(actions=[[0.0]]), "shape"),
    "an action that is not finite": (changed(actions=[[0.0, 0.0, float("nan")]]), "nan"),
    "an action of words": (changed(actions=[["a", "b", "c"]]), "type"),
    "a ragged action": (changed(actions=[[[0.0], 0.0, 0.0]]), "action"),
    "no truth value": (changed(running=1), "running"),
    "no digest": (changed(digest=3), "digest"),
    "an episode before the first": (changed(started=False), "before the first reset"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_malformed_snapshot_changes_nothing(broken):
    breaking, message = BROKEN[broken]
    env = make(CASES[0])
    advance(env, 5, 0, 6)
    before = copy.deepcopy(env.unwrapped.snapshot())
    with pytest.raises(ValueError, match=message):
        env.unwrapped.restore(breaking(env.unwrapped.snapshot()))
    assert env.unwrapped.snapshot() == before
    env.step(np.zeros(3, np.float32))
    env.close()


@pytest.mark.slow
def test_a_snapshot_of_another_environment_is_refused():
    sides = [make(case) for case in CASES]
    snapshots = []
    for env in sides:
        env.reset(seed=0)
        snapshots.append(env.unwrapped.snapshot())
    for env, own in zip(sides, snapshots, strict=True):
        for snapshot in snapshots:
            if snapshot is own:
                env.unwrapped.restore(snapshot)
            else:
                with pytest.raises(ValueError, match="the snapshot is of"):
                    env.unwrapped.restore(snapshot)
    for env in sides:
        env.close()


def test_a_replay_that_leads_elsewhere_is_refused():
    env = make(CASES[0])
    advance(env, 5, 0, 6)
    snapshot = env.unwrapped.snapshot()
    snapshot["actions"][2][0] = 0.5
    env.reset()
    with pytest.raises(RuntimeError, match="another state"):
        env.unwrapped.restore(snapshot)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(3, np.float32))
    env.reset()
    env.step(np.zeros(3, np.float32))
    env.close()


def test_a_new_generator_changes_the_next_episodes_alone_and_is_part_of_a_snapshot(case, env):
    advance(env, 3, 1, 10)
    start = through_json(env.unwrapped.snapshot())
    seen = act(env, draw_actions(env, 5, LATER), [])
    env.reset()
    next_goal = env.unwrapped.snapshot()["generator"]

    env.unwrapped.restore(start)
    env.unwrapped.reseed(9)
    reseeded = through_json(env.unwrapped.snapshot())
    assert act(env, draw_actions(env, 5, LATER), []) == seen
    env.reset()
    assert env.unwrapped.snapshot()["generator"] != next_goal
    expected = continuation(env, 7)

    other = make(case)
    other.reset()
    other.unwrapped.restore(reseeded)
    act(other, draw_actions(other, 5, LATER), [])
    other.reset()
    assert continuation(other, 7) == expected
    assert "next_generator" not in other.unwrapped.snapshot()
    other.close()
