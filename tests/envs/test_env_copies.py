"""A copy is an environment of its own, and continues bit for bit as the original does."""

import copy
import pickle
import shutil
import subprocess
import sys
import threading

import cloudpickle
import gymnasium as gym
import numpy as np
import pybullet
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import envs
from envs.robots import Panda
from envs.tasks import Push, Reach
from tests.envs.env_cases import (
    DRAWN,
    EVERY_TASK,
    ROOT,
    act,
    draw_actions,
    in_new_process,
    make,
    trajectory,
)
from tests.envs.test_env_snapshots import advance, continuation, reach_the_goal

pytestmark = pytest.mark.slow

REACH = ("bullet/Reach-v0", "panda", "ee", "sparse")
WAYS = {
    "deepcopy": copy.deepcopy,
    "copy of the environment itself": lambda env: copy.copy(env.unwrapped),
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: pickle.loads(cloudpickle.dumps(env)),
}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("case", EVERY_TASK + DRAWN, ids="-".join)
def test_a_copy_continues_as_the_original_and_neither_moves_the_other(case):
    env = make(case)
    advance(env, 3, 1, 10)
    twin, idle = copy.deepcopy(env), copy.deepcopy(env)
    expected = continuation(env, 5)
    assert continuation(twin, 5) == expected
    # Only now: the others have gone on, been reset and ended episodes meanwhile.
    assert continuation(idle, 5) == expected
    for each in (env, twin, idle):
        each.close()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_copy_gives_another_simulation(way):
    env = make(REACH)
    advance(env, 3, 0, 8)
    twin = WAYS[way](env)
    assert type(twin.unwrapped) is type(env.unwrapped)
    assert twin.unwrapped._simulation._client != env.unwrapped._simulation._client
    assert continuation(twin.unwrapped, 5) == continuation(env.unwrapped, 5)
    env.close()
    twin.reset()
    twin.step(np.zeros(3, np.float32))
    twin.close()


def test_another_process_gets_a_copy():
    case = DRAWN[0]
    env = make(case)
    advance(env, 3, 1, 15)
    code = """
import pickle
from test_env_snapshots import continuation
answer = continuation(pickle.loads(bytes.fromhex(data)), 5)
"""
    assert in_new_process(code, pickle.dumps(env).hex()) == continuation(env, 5)
    env.close()


def test_a_time_limit_goes_on_counting():
    env = make(REACH)
    env.reset(seed=0)
    away = np.array([-1.0, 0.0, 0.0], np.float32)
    for _ in range(20):
        env.step(away)
    twin = copy.deepcopy(env)
    assert [twin.step(away)[3] for _ in range(30)] == [False] * 29 + [True]
    assert env.step(away)[3] is False
    env.close()
    twin.close()


def test_before_the_first_reset_a_copy_draws_what_the_original_does():
    env = make(REACH)
    twin = copy.deepcopy(env)
    with pytest.raises(RuntimeError, match="no episode was started"):
        twin.step(np.zeros(3, np.float32))
    assert same(env.reset()[0], twin.reset()[0])
    env.close()
    twin.close()


def test_after_the_end_of_an_episode_a_copy_wants_a_reset_too():
    env = make(REACH)
    reach_the_goal(env, 3)
    twin = copy.deepcopy(env)
    with pytest.raises(RuntimeError, match="over"):
        twin.step(np.zeros(3, np.float32))
    assert same(env.reset()[0], twin.reset()[0])
    env.close()
    twin.close()


@pytest.mark.parametrize("render_mode", ["rgb_array", "segmentation_array"])
def test_a_copy_shows_the_same(render_mode):
    env = gym.make(
        "bullet/Flip-v0",
        observation="both",
        pixels_size=40,
        render_mode=render_mode,
        render_width=96,
        render_height=64,
        camera=envs.Camera(distance=1.0),
    )
    env.reset(seed=2)
    act(env, draw_actions(env, 0, 6), [])
    # Set by hand, as one may.
    env.unwrapped.camera = envs.Camera(distance=0.8)
    twin = copy.deepcopy(env)
    assert np.array_equal(env.render(), twin.render())
    action = env.action_space.sample()
    assert same(env.step(action)[0], twin.step(action)[0])
    assert np.array_equal(env.render(), twin.render())
    env.close()
    twin.close()


def test_what_the_spaces_and_the_generator_draw_next_comes_along():
    env = make(REACH)
    env.reset(seed=4)
    env.unwrapped.np_random.random()
    twin = copy.deepcopy(env)
    assert np.array_equal(env.action_space.sample(), twin.action_space.sample())
    assert env.unwrapped.np_random.random() == twin.unwrapped.np_random.random()
    assert env.unwrapped.np_random_seed == twin.unwrapped.np_random_seed == 4
    assert twin.spec == env.spec
    env.close()
    twin.close()


class Walled(envs.ManipulationEnv):
    """With other arguments, and an attribute of its own."""

    def __init__(self, note):
        self._early = [note]
        super().__init__(Panda(), Reach(), reward="dense")
        self._notes = [note]


def test_what_was_set_and_what_a_subclass_adds_comes_along():
    env = Walled("first")
    env.reset(seed=0)
    env.task.threshold = 1.5
    env.reward = "sparse"
    env.label = self_reference = {"env": env}
    twin = copy.deepcopy(env)
    assert (twin._early, twin._notes) == (["first"], ["first"])
    env._notes.append("second")
    assert twin._notes == ["first"]
    assert twin.label["env"] is twin
    assert self_reference["env"] is env
    _, reward, terminated, _, _ = twin.step(np.zeros(3, np.float32))
    assert (reward, terminated) == (0.0, True)
    env.close()
    twin.close()


def test_a_copied_vector_of_sb3_continues_as_the_original():
    vector = DummyVecEnv([lambda: Monitor(make(REACH))] * 2)
    vector.seed(3)
    vector.reset()
    vector.step(np.ones((2, 3), np.float32))
    twin = copy.deepcopy(vector)
    for action in np.linspace(-1.0, 1.0, 60 * 6).reshape(60, 2, 3).astype(np.float32):
        one, other = vector.step(action), twin.step(action)
        assert same(one[0], other[0])
        assert np.array_equal(one[1], other[1])
        assert np.array_equal(one[2], other[2])
    vector.close()
    twin.close()


def test_a_copied_vector_of_gymnasium_continues_as_the_original():
    vector = SyncVectorEnv([lambda: make(REACH)] * 2)
    vector.reset(seed=3)
    twin = copy.deepcopy(vector)
    for action in np.linspace(-1.0, 1.0, 60 * 6).reshape(60, 2, 3).astype(np.float32):
        one, other = vector.step(action), twin.step(action)
        assert same(one[0], other[0])
        assert all(np.array_equal(a, b) for a, b in zip(one[1:4], other[1:4], strict=True))
    vector.close()
    twin.close()


def test_processes_may_be_given_an_environment_that_is_made():
    env = make(REACH)
    advance(env, 3, 1, 4)
    vector = SubprocVecEnv([lambda: env])
    observation = vector.reset()
    assert same({key: part[0] for key, part in observation.items()}, env.reset()[0])
    vector.close()
    env.close()


def test_who_closes_an_environment_before_processes_get_it_is_told():
    env = make(REACH)
    # It closes what the first function gives, once it knows its spaces.
    with pytest.raises(RuntimeError, match=r"^this environment is closed: make a new one$"):
        AsyncVectorEnv([lambda: env], context="spawn")


def test_a_closed_environment_is_not_copied():
    env = make(REACH)
    env.close()
    for way in WAYS.values():
        with pytest.raises(RuntimeError, match=r"^this environment is closed: make a new one$"):
            way(env)


@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="needs xvfb-run")
def test_an_environment_with_a_window_is_not_copied_and_prints_nothing():
    script = """
import copy, pickle
import envs, gymnasium
env = gymnasium.make("bullet/Reach-v0", render_mode="human")
env.reset(seed=0)
env.step(env.action_space.sample())
for way in (copy.deepcopy, pickle.dumps):
    try:
        way(env)
    except TypeError as error:
        assert str(error) == "an environment with a window cannot be copied or pickled", error
    else:
        raise AssertionError("it was copied")
env.close()
"""
    done = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_in_a_simulation_is_not_copied_by_itself():
    env = make(REACH).unwrapped
    for part in (env.task, env.robot, env._simulation):
        for way in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"^a simulation, and what.*copy its environment$"):
                way(part)
    with pytest.raises(TypeError, match="copy its environment"):
        copy.copy(env._simulation)
    env.close()


def test_a_robot_and_a_task_are_not_put_into_two_environments():
    env = envs.ManipulationEnv(Panda(), Reach())
    before = trajectory(env, 3, 10)
    for robot, task in ((env.robot, Reach()), (Panda(), env.task)):
        with pytest.raises(ValueError, match=r"^a robot and a task belong to one env"):
            envs.ManipulationEnv(robot, task)
    assert trajectory(env, 3, 10) == before
    env.close()


class Guarded(Push):
    """With something that cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def test_a_task_that_cannot_be_copied_can_be_used():
    env = envs.ManipulationEnv(Panda(), Guarded())
    env.reset(seed=0)
    env.step(np.zeros(3, np.float32))
    for way in (copy.deepcopy, pickle.dumps):
        with pytest.raises(
            TypeError, match=r"^Panda and Guarded cannot be copied or pickled: cannot pickle.*lock"
        ):
            way(env)
    env.close()


class Moody(Reach):
    """Draws its goals from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(0)

    def reset(self, generator):
        return super().reset(self.generator)


def test_a_copy_that_would_differ_is_refused():
    env = envs.ManipulationEnv(Panda(), Moody())
    env.reset(seed=0)
    env.reset()
    with pytest.raises(RuntimeError, match=r"led to another state.* another source of chance"):
        copy.deepcopy(env)
    env.close()


def test_a_dropped_copy_frees_its_simulation():
    env = make(REACH)
    twin = copy.deepcopy(env)
    client = twin.unwrapped._simulation._client
    del twin
    assert not pybullet.isConnected(client)
    env.close()
