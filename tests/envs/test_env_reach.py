"""Reach is panda-gym's PandaReach-v3, only cheaper."""

import gymnasium as gym
import numpy as np
import pybullet
import pytest

from tests.envs.env_cases import ARMS


def make(**kwargs):
    return gym.make("bullet/Reach-v0", **kwargs)


def seed_without_success(env, action, steps):
    for seed in range(100):
        env.reset(seed=seed)
        if not any(env.step(action)[2] for _ in range(steps)):
            return seed
    raise AssertionError("every goal lies in the way")


# Position of the end effector after 8 equal actions in panda-gym 3.0.7.
PEER = [
    ("ee", (1.0, 0.0, 0.0), (0.1882, 0.0, 0.1635)),
    ("ee", (0.0, -1.0, 0.0), (0.0126, -0.3232, 0.1947)),
    ("ee", (0.0, 0.0, 1.0), (0.0055, 0.0, 0.4622)),
    ("ee", (-0.5, 0.5, -1.0), (-0.0933, 0.1575, 0.0054)),
    ("joints", (1.0, 0.5, -0.5, 1.0, 0.0, -1.0, 0.0), (0.0583, 0.1142, 0.2145)),
]


@pytest.mark.parametrize(("control", "action", "expected"), PEER)
def test_the_arm_goes_where_it_goes_in_panda_gym(control, action, expected):
    env = make(control=control)
    action = np.array(action, np.float32)
    env.reset(seed=seed_without_success(env, action, 8))
    position = [env.step(action)[0]["achieved_goal"] for _ in range(8)][-1]
    assert np.linalg.norm(position - expected) < 0.012
    env.close()


def test_it_starts_in_the_rest_pose():
    env = make()
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        # Panda-gym's, to 0.1 mm.
        assert np.allclose(observation["observation"][:3], (0.0384, 0.0, 0.1974), atol=1e-3)
        assert np.array_equal(observation["observation"][3:], np.zeros(3))
        assert np.array_equal(observation["observation"][:3], observation["achieved_goal"])
        assert isinstance(info["is_success"], bool)
    env.close()


def test_goals_fill_their_box_and_follow_the_seed():
    env = make()
    goals = np.array([env.reset(seed=seed)[0]["desired_goal"] for seed in range(300)])
    low, high = np.array([-0.15, -0.15, 0.0]), np.array([0.15, 0.15, 0.3])
    assert np.all(goals >= low)
    assert np.all(goals <= high)
    assert np.all(goals.min(0) < low + 0.02)
    assert np.all(goals.max(0) > high - 0.02)
    # Panda-gym draws the same goal from the same seed.
    drawn = np.random.default_rng(17).uniform(low, high).astype(np.float32)
    assert np.array_equal(goals[17], drawn)
    env.close()


@pytest.mark.parametrize("reward", ["sparse", "dense"])
def test_a_controller_reaches_every_goal_and_ends_the_episode(reward):
    env = make(reward=reward)
    for seed in range(25):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            offset = observation["desired_goal"] - observation["achieved_goal"]
            observation, received, terminated, truncated, info = env.step(
                np.clip(10.0 * offset, -1.0, 1.0)
            )
            distance = np.linalg.norm(observation["desired_goal"] - observation["achieved_goal"])
            assert terminated == info["is_success"] == (distance < 0.05)
            expected = -distance if reward == "dense" else float(terminated) - 1.0
            assert received == pytest.approx(expected, abs=1e-6)
            over = terminated or truncated
        assert terminated
    env.close()


def test_velocity_points_where_the_hand_goes():
    env = make()
    action = np.array([0.0, -0.5, 0.5], np.float32)
    env.reset(seed=seed_without_success(env, action, 8))
    seen = np.array([env.step(action)[0]["observation"] for _ in range(8)])
    mean = np.diff(seen[:, :3], axis=0)[-1] / 0.04
    # The motors slow down towards the end of a step, where the velocity is read.
    velocity = seen[-1, 3:]
    assert mean @ velocity > 0.95 * np.linalg.norm(mean) * np.linalg.norm(velocity)
    assert 0.5 < np.linalg.norm(velocity) / np.linalg.norm(mean) < 1.0
    env.close()


def test_the_table_stops_the_hand():
    env = make()
    down = np.array([0.3, 0.0, -1.0], np.float32)
    env.reset(seed=seed_without_success(env, down, 20))
    lowest = [env.step(down)[0]["achieved_goal"][2] for _ in range(20)][-5:]
    assert -0.01 < min(lowest) < 0.02
    env.close()


@pytest.mark.parametrize("robot", ARMS)
def test_links_that_pass_through_everything_cannot_reach_the_table(robot):
    env = make(robot=robot)
    simulation, arm = env.unwrapped._simulation, env.unwrapped.robot
    client, body, joints = simulation._client, arm._body, arm.joints[:7]
    limits = np.array([pybullet.getJointInfo(body, joint, client)[8:10] for joint in joints])
    generator = np.random.default_rng(0)
    lowest = np.inf
    for _ in range(2000):
        angles = generator.uniform(*limits.T)
        at_stop = generator.random(7) < 0.3
        angles[at_stop] = limits[at_stop, generator.integers(0, 2)]
        simulation.place_joints(body, joints, angles)
        for link in arm.shoulder[1:]:
            lowest = min(lowest, pybullet.getAABB(body, link, client)[0][2])
    assert lowest > 0.05
    env.close()
