"""Same seed and actions, same bits: whatever came before, beside, or in which process."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.envs.env_cases import (
    CASES,
    DEFAULT,
    act,
    draw_actions,
    fresh_trajectory,
    has_object,
    in_new_process,
    make,
    trajectory,
)

pytestmark = pytest.mark.slow

SEEDS = st.integers(0, 2**31 - 1)
HISTORIES = st.lists(st.tuples(SEEDS, st.integers(0, 40)), min_size=1, max_size=3)
SPARSE = [case for case in CASES if case[3] == "sparse"]
EXAMPLES = settings(
    max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@EXAMPLES
@given(seed=SEEDS, history=HISTORIES)
def test_the_past_leaves_no_trace(case, env, seed, history):
    for past_seed, steps in history:
        trajectory(env, past_seed, steps)
    assert trajectory(env, seed, 30) == fresh_trajectory(case, seed, 30)


@EXAMPLES
@given(seed=SEEDS, other_seed=SEEDS)
def test_environments_beside_it_do_not_disturb(case, env, seed, other_seed):
    other = make(case)
    other.reset(seed=other_seed)
    actions = iter(draw_actions(other, other_seed, 60))

    def step_the_other():
        if sum(other.step(next(actions))[2:4]):
            other.reset()

    assert trajectory(env, seed, 20, step_the_other) == fresh_trajectory(case, seed, 20)
    other.close()


def test_rendering_changes_nothing(case):
    env = make(case, render_mode="rgb_array", render_width=32, render_height=24)
    assert trajectory(env, 7, 15, env.render) == fresh_trajectory(case, 7, 15)
    env.close()


def test_another_process_computes_the_same():
    code = """
from tests.envs.env_cases import fresh_trajectory
answer = [fresh_trajectory(tuple(case), 11, 40) for case in data]
"""
    assert in_new_process(code, CASES) == [fresh_trajectory(case, 11, 40) for case in CASES]


def test_seeds_differ(env):
    assert trajectory(env, 1, 5) != trajectory(env, 2, 5)


def test_going_on_without_a_seed_draws_new_goals(env):
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    assert not np.array_equal(first["desired_goal"], second["desired_goal"])


@pytest.mark.parametrize("case", SPARSE, ids="-".join)
def test_objects_are_knocked_about(case):
    # Guards the tests above: without contact they would promise little.
    env = make(case)
    if has_object(env):
        size, moved = env.unwrapped.robot.observation_size, []
        for seed in range(6):
            start = env.reset(seed=seed)[0]["observation"]
            act(env, draw_actions(env, seed, 30), [])
            end = env.unwrapped.task.observe()[:2]
            moved.append(np.linalg.norm(end - start[size : size + 2]))
        assert np.sum(np.array(moved) > 0.005) >= 3
    env.close()


def test_boxes_that_pybullet_keeps_around_links_leave_no_trace():
    # They tie bodies together that are only near each other: seen after long histories.
    case = ("cubes", DEFAULT, "joints", "sparse")
    env = make(case)
    for seed in range(25):
        assert trajectory(env, seed, 60)[:3] == fresh_trajectory(case, seed, 2)
    env.close()
