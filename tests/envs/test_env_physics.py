"""What is left alone stays, what is held stays in the hand, and the table gives no way."""

import gymnasium as gym
import numpy as np
import pybullet
import pytest

import envs
from benchmarks import grasps
from envs import controllers
from envs.registry import ROBOTS, able_robots
from envs.robots.robot import CONTROLS
from envs.tasks.loose_body import GRIPPED_MASS, GRIPPED_SIZE
from tests.envs.env_cases import ARMS

pytestmark = pytest.mark.slow

MILLIMETRE = 0.001
ARM_CASES = [
    (task, robot, control)
    for task in envs.TASKS
    for robot in able_robots(task)
    for control in CONTROLS
]
CUBES = [case for case in ARM_CASES if case[0] in ("push", "pick_and_place", "stack", "flip")]


def make(task, robot="panda", control="ee", **kwargs):
    """An environment whose episodes do not end."""
    env = gym.make(envs.TASKS[task], robot=robot, control=control, **kwargs).unwrapped
    env.task.threshold = -1.0
    return env


def wait(env, steps):
    """The observation after so many zero actions."""
    still = np.zeros(env.action_space.shape, np.float32)
    for _ in range(steps):
        observation = env.step(still)[0]["observation"]
    return observation.astype(float)


def move(env, seed):
    """Twelve random actions, but for none that pushes the hand down."""
    for action in np.random.default_rng(seed).uniform(-1.0, 1.0, (12, *env.action_space.shape)):
        if env.robot.control == "ee":
            action[2] = abs(action[2])
        env.step(action)


def way(start, end):
    return np.linalg.norm(end - start)


@pytest.mark.parametrize(("task", "robot", "control"), ARM_CASES)
def test_an_idle_hand_stays_where_it_is(task, robot, control):
    env = make(task, robot, control)
    start = env.reset(seed=0)[0]["observation"][:3]
    assert way(start, wait(env, 50)[:3]) < 1.5 * MILLIMETRE
    assert way(start, wait(env, 950)[:3]) < 3.0 * MILLIMETRE
    env.close()


@pytest.mark.parametrize(("task", "robot", "control"), ARM_CASES)
def test_a_hand_that_comes_to_rest_stays_there(task, robot, control):
    env = make(task, robot, control)
    for seed in range(3):
        env.reset(seed=seed)
        move(env, seed)
        # The last action takes the hand a while.
        start = wait(env, 12)[:3]
        assert way(start, wait(env, 50)[:3]) < 1.5 * MILLIMETRE
    env.close()


@pytest.mark.parametrize("robot", ARMS)
def test_a_hand_that_is_sent_to_a_point_comes_to_it(robot):
    env, controller = make("reach", robot), controllers.reach(10.0)
    for seed in range(5):
        observation = env.reset(seed=seed)[0]
        for _ in range(40):
            observation = env.step(controller(observation))[0]
        assert way(observation["desired_goal"], observation["achieved_goal"]) < 2.0 * MILLIMETRE
        assert way(observation["desired_goal"], wait(env, 50)[:3]) < 2.0 * MILLIMETRE
    env.close()


@pytest.mark.parametrize(("task", "robot", "control"), CUBES)
def test_cubes_at_rest_do_not_creep(task, robot, control):
    env = make(task, robot, control)
    env.reset(seed=0)
    size, entries = env.robot.observation_size, env.task.observation_size
    objects = [slice(at, at + 3) for at in range(size, size + entries, 12)][: 1 + entries // 24]
    # Stack's second cube falls first.
    start = wait(env, 25)
    end = wait(env, 200)
    for place in objects:
        assert way(start[place], end[place]) < 0.1 * MILLIMETRE
    env.close()


def test_a_stack_stands():
    env = make("stack")
    goal = env.reset(seed=0)[0]["desired_goal"].tolist()
    for body, place in zip(env._simulation._movable, (goal[:3], goal[3:]), strict=True):
        env._simulation.place(body, place)
    start, end = wait(env, 10), wait(env, 300)
    assert np.abs(end[7:10] - start[7:10]).max() < 0.3 * MILLIMETRE
    assert np.abs(end[19:22] - start[19:22]).max() < 0.3 * MILLIMETRE
    env.close()


def test_a_puck_slides_as_far_in_every_direction():
    env = make("slide", object_x=-0.1, object_y=0.0)
    ways = []
    for angle in np.radians([0.0, 20.0, 45.0, 90.0, 225.0]):
        env.reset(seed=0)
        for _ in range(6):
            start = env.step(np.array([0.0, 0.0, 0.5], np.float32))[0]["achieved_goal"]
        velocity = (0.3 * np.cos(angle), 0.3 * np.sin(angle), 0.0)
        puck = env._simulation._movable[0]
        pybullet.resetBaseVelocity(puck, velocity, (0.0, 0.0, 0.0), env._simulation._client)
        ways.append(way(start, wait(env, 20)[6:9]))
    assert np.ptp(ways) < 2.0 * MILLIMETRE
    env.close()


def grasping(robot, size, mass):
    return gym.make(
        envs.TASKS["pick_and_place"], robot=robot, grasped=1, object_size=size, object_mass=mass
    )


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("mass", [GRIPPED_MASS.valid[0], 1.0, GRIPPED_MASS.valid[1]])
@pytest.mark.parametrize("size", [GRIPPED_SIZE.valid[0], 0.04, GRIPPED_SIZE.valid[1]])
def test_what_may_be_asked_for_is_held(robot, size, mass):
    # All of the table: python -m benchmarks.grasps
    env = grasping(robot, size, mass)
    assert all(grasps.is_held(env, seed) for seed in range(4))
    env.close()


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_shaken_hand_holds_a_cube(robot, axis):
    env = grasping(robot, 0.04, 0.5)
    assert all(grasps.is_held(env, seed, axis) for seed in range(4))
    env.close()


@pytest.mark.parametrize("mass", [1.0, 10.0])
@pytest.mark.parametrize("robot", ROBOTS)
def test_a_hand_does_not_press_a_cube_into_the_table(robot, mass):
    env = make("push", robot, object_x=0.0, object_y=0.0, object_mass=mass)
    seen = env.reset(seed=0, options={"goal": [0.15, 0.15, 0.02]})[0]["observation"]
    depths = []
    for step in range(60):
        x, y, _ = np.clip(15.0 * (seen[6:9] - seen[:3]), -1.0, 1.0)
        seen = env.step(np.array([x, y, -1.0 if step > 10 else 0.0], np.float32))[0]["observation"]
        depths.append(0.02 - seen[8])
    # Otherwise nothing would press on it.
    assert way(seen[:2], seen[6:8]) < 0.06
    assert max(depths) < 1.5 * MILLIMETRE
    env.close()


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("size", [0.03, 0.04, 0.06])
def test_what_is_held_stays_where_it_is_in_the_hand(robot, size):
    env = grasping(robot, size, 1.0)
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(8):
            seen = env.step(np.array([0.0, 0.0, 0.3, -1.0], np.float32))[0]["observation"]
        assert way(seen[:3], seen[7:10]) < 5.0 * MILLIMETRE
    env.close()
