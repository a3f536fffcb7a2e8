"""Pixel observations: what the agent is shown, to the bit, and that it changes nothing else."""

import hashlib

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.env_checker import check_env as check_sb3

import envs
from tests.envs.env_cases import (
    DEFAULT,
    EVERY_TASK,
    draw_actions,
    fresh_trajectory,
    has_object,
    in_new_process,
    make,
    move_to_object,
    trajectory,
    with_able_robots,
)

pytestmark = pytest.mark.slow

PUSH = ("bullet/Push-v0", DEFAULT, "ee", "sparse")


@pytest.fixture(params=with_able_robots(*envs.TASKS))
def case(request):
    task, robot = request.param
    return (envs.TASKS[task], robot, "ee", "sparse")


def shown(case, seed, steps, **kwargs):
    """Bytes of the pictures of an episode that is spent near the object."""
    env, guide = make(case, observation="pixels", **kwargs), make(case)
    state, _ = guide.reset(seed=seed)
    pictures = [env.reset(seed=seed)[0]["pixels"].tobytes()]
    for action in draw_actions(env, seed, steps):
        action = move_to_object(guide, state, action) if has_object(guide) else action
        pictures.append(env.step(action)[0]["pixels"].tobytes())
        if guide.step(action)[2]:
            break
    env.close()
    guide.close()
    return pictures


def test_spaces_are_what_gymnasium_and_sb3_expect(case):
    # Two robots, two kinds: each robot takes one.
    observation = "pixels" if case[1] == DEFAULT else "both"
    env = make(case, observation=observation).unwrapped
    check_gymnasium(env, skip_render_check=True)
    check_sb3(env)
    robot, task = env.robot.observation_size, env.task.observation_size
    assert env.observation_space["pixels"] == gym.spaces.Box(0, 255, (84, 84, 3), np.uint8)
    size = robot if observation == "pixels" else robot + task
    assert env.observation_space["observation"].shape == (size,)
    env.close()


@pytest.mark.parametrize("observation", ["pixels", "both"])
def test_nothing_but_the_picture_and_the_objects_entries_differ(case, observation):
    env, other = make(case, observation=observation), make(case)
    size = env.observation_space["observation"].shape[0]
    steps = [env.reset(seed=5), *map(env.step, draw_actions(env, 5, 8))]
    others = [other.reset(seed=5), *map(other.step, draw_actions(env, 5, 8))]
    for (seen, *rest), (state, *expected) in zip(steps, others, strict=True):
        assert rest == expected
        assert seen.keys() == {*state, "pixels"}
        assert np.array_equal(seen["observation"], state["observation"][:size])
        for key in ("achieved_goal", "desired_goal"):
            assert np.array_equal(seen[key], state[key])
        if rest[1:2] == [True]:
            break
    env.close()
    other.close()


def test_the_past_leaves_no_trace_in_pictures(case):
    env = make(case, observation="both")
    trajectory(env, 1, 12)
    again = [env.reset(seed=2)[0], env.step(draw_actions(env, 2, 1)[0])[0]]
    env.close()
    env = make(case, observation="pixels")
    fresh = [env.reset(seed=2)[0], env.step(draw_actions(env, 2, 1)[0])[0]]
    env.close()
    for one, other in zip(again, fresh, strict=True):
        assert np.array_equal(one["pixels"], other["pixels"])


def test_another_process_sees_the_same():
    code = """
import hashlib
from tests.envs.test_env_pixels import shown
answer = [hashlib.sha256(b"".join(shown(tuple(case), 3, 12))).hexdigest() for case in data]
"""
    here = [hashlib.sha256(b"".join(shown(case, 3, 12))).hexdigest() for case in EVERY_TASK]
    assert in_new_process(code, EVERY_TASK) == here


@pytest.mark.parametrize("render_mode", ["rgb_array", "segmentation_array"])
def test_frames_beside_them_leave_pictures_as_they_are(render_mode):
    assert shown(PUSH, 3, 6) == shown(PUSH, 3, 6, render_mode=render_mode)


def test_the_picture_shows_what_moves(case):
    pictures = [np.frombuffer(data, np.uint8).astype(int) for data in shown(case, 4, 10)]
    assert np.mean(np.abs(pictures[0] - pictures[-1]) > 30) > 0.005


@pytest.mark.parametrize(("task", "robot"), with_able_robots("push", "slide", "stack", "flip"))
def test_objects_are_seen_wherever_they_may_start(task, robot):
    # Without the object the picture is another: it is neither hidden by the arm nor out of sight.
    env = make((envs.TASKS[task], robot, "ee", "sparse"), observation="pixels").unwrapped
    for seed in range(15):
        seen = env.reset(seed=seed)[0]["pixels"].astype(int)
        env._simulation.clear_contacts()
        without = env._simulation.sketch(env.pixels_camera, 84)
        assert np.sum(np.abs(seen - without).max(-1) > 30) >= 12
    env.close()


def test_the_goal_is_not_seen_so_that_hindsight_may_change_it():
    env = make(PUSH, observation="pixels").unwrapped
    before = env.reset(seed=0)[0]["pixels"]
    env._simulation.move_marker(env.task._marker, (0.0, 0.1, 0.02))
    assert np.array_equal(before, env._simulation.sketch(env.pixels_camera, 84))
    env.close()


def test_size_and_camera_are_those_asked_for():
    front, above = envs.Camera((0.0, 0.0, 0.0), 0.7, 90.0, -30.0), envs.Camera(pitch=-89.0)
    env = make(PUSH, observation="pixels", pixels_size=40, pixels_camera=front)
    other = make(PUSH, observation="pixels", pixels_size=40, pixels_camera=above)
    pictures = [e.reset(seed=0)[0]["pixels"] for e in (env, other)]
    assert [picture.shape for picture in pictures] == [(40, 40, 3)] * 2
    assert not np.array_equal(*pictures)
    env.close()
    other.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation": "pixel"}, "did you mean 'pixels'.* valid: both, pixels, state"),
        ({"observation": None}, "unknown observation None: valid"),
        ({"observation": "pixels", "pixels_size": 0}, "pixels_size.*at least 1, got 0"),
        ({"observation": "pixels", "pixels_size": 84.0}, "pixels_size.*got 84.0"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gym.make("bullet/Reach-v0", **arguments)


def test_a_snapshot_brings_back_the_picture_and_fits_every_kind_of_observation():
    env = make(PUSH, observation="pixels")
    env.reset(seed=1)
    for action in draw_actions(env, 1, 6):
        observation = env.step(action)[0]
    snapshot = env.unwrapped.snapshot()
    env.close()
    for kind in ("pixels", "both", "state"):
        other = make(PUSH, observation=kind)
        other.reset(seed=9)
        restored = other.unwrapped.restore(snapshot)
        for key in restored.keys() & observation.keys():
            size = len(observation[key])
            assert np.array_equal(restored[key][:size], observation[key])
        assert other.unwrapped.snapshot() == snapshot
        other.close()


def test_restoring_draws_one_picture(monkeypatch):
    # A picture a simulated step would take a hundred times as long as the step.
    env = make(PUSH, observation="pixels").unwrapped
    env.reset(seed=1)
    for action in draw_actions(env, 1, 6):
        env.step(action)
    snapshot, drawn = env.snapshot(), []
    sketch = env._simulation.sketch
    monkeypatch.setattr(
        env._simulation, "sketch", lambda *where: drawn.append(where) or sketch(*where)
    )
    env.restore(snapshot)
    assert len(drawn) == 1
    env.close()


def test_a_state_environment_is_as_it_was():
    # The layout that earlier runs and agents know.
    env = make(PUSH)
    assert list(env.observation_space) == ["achieved_goal", "desired_goal", "observation"]
    assert fresh_trajectory(PUSH, 3, 5) == trajectory(env, 3, 5)
    env.close()


def test_sb3_trains_on_pictures():
    torch.set_num_threads(1)
    env = make(PUSH, observation="both", pixels_size=36)
    small = {"net_arch": [8], "features_extractor_kwargs": {"cnn_output_dim": 8}}
    sac = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        learning_starts=55,
        buffer_size=100,
        batch_size=8,
        policy_kwargs=dict(small),
        device="cpu",
    )
    sac.learn(60)
    assert sac.observation_space["pixels"].shape == (3, 36, 36)
    assert sac.replay_buffer.observations["pixels"].dtype == np.uint8
    ppo = PPO(
        "MultiInputPolicy", env, n_steps=16, batch_size=8, policy_kwargs=dict(small), device="cpu"
    )
    ppo.learn(16)
    assert ppo.predict(env.reset(seed=0)[0])[0].shape == env.action_space.shape
    env.close()
