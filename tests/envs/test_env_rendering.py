"""Frames need no display and show the scene; nothing else is ever printed."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import envs
from tests.envs.env_cases import ROOT


@pytest.fixture
def env():
    env = gym.make("bullet/Reach-v0", render_mode="rgb_array")
    yield env
    env.close()


def greenish(frame):
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return (green > red + 40) & (green > blue + 40)


def test_frames_have_the_default_size(env):
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (480, 720, 3)
    assert frame.dtype == np.uint8


def test_frames_have_the_size_asked_for():
    env = gym.make("bullet/Reach-v0", render_mode="rgb_array", render_width=96, render_height=64)
    env.reset(seed=0)
    assert env.render().shape == (64, 96, 3)
    env.close()


def test_the_arm_is_seen_to_move(env):
    env.reset(seed=0)
    before = env.render()
    for _ in range(5):
        env.step(np.array([0.0, 1.0, 1.0], np.float32))
    changed = np.abs(env.render().astype(int) - before).max(-1) > 30
    assert changed.mean() > 0.02


def test_the_goal_is_seen_where_it_is(env):
    centres = {}
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        rows, _ = np.nonzero(greenish(env.render()))
        if len(rows):
            centres[float(observation["desired_goal"][2])] = rows.mean()
    # Seen in most episodes, though faint behind the arm, and higher goals higher up.
    assert len(centres) > 8
    heights = sorted(centres)
    assert np.corrcoef(heights, [centres[height] for height in heights])[0, 1] < -0.8


def test_another_camera_sees_another_picture():
    frames = []
    for camera in (envs.Camera(), envs.Camera(yaw=90.0)):
        env = gym.make("bullet/Reach-v0", render_mode="rgb_array", camera=camera)
        env.reset(seed=0)
        frames.append(env.render().astype(int))
        env.close()
    assert (np.abs(frames[0] - frames[1]).max(-1) > 30).mean() > 0.1


def test_a_camera_survives_a_spec_written_as_json():
    env = gym.make("bullet/Reach-v0", render_mode="rgb_array", camera=envs.Camera(yaw=90.0))
    other = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    frames = []
    for each in (env, other):
        each.reset(seed=0)
        frames.append(each.render())
        each.close()
    assert np.array_equal(*frames)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ({"zoom": 2.0}, "a mapping of its fields target, distance"),
        (2.0, "a mapping of its fields target, distance"),
        ({"target": (0.0, 0.0)}, "target is three finite numbers of metres, got"),
        ({"target": 1.0}, "target is three finite numbers of metres, got 1.0"),
        ({"distance": 0.0}, "distance is a positive number of metres, got 0.0"),
        ({"distance": "far"}, "distance is a positive number of metres, got 'far'"),
        ({"yaw": float("nan")}, "yaw is a finite number of degrees, got nan"),
        ({"pitch": None}, "pitch is a finite number of degrees, got None"),
    ],
)
def test_what_is_no_camera_is_refused(camera, message):
    with pytest.raises(ValueError, match=message):
        gym.make("bullet/Reach-v0", camera=camera)


def test_without_a_render_mode_there_are_no_frames():
    env = gym.make("bullet/Reach-v0")
    env.reset(seed=0)
    assert env.unwrapped.render() is None
    env.close()


@pytest.mark.parametrize("closed", [(), (1,), (2,), (1, 2)])
def test_nothing_is_printed_wherever_it_would_go(closed):
    script = """
import gymnasium, envs
for _ in range(2):
    env = gymnasium.make("bullet/Reach-v0", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.render()
    env.unwrapped.restore(env.unwrapped.snapshot())
    env.close()
left_open = gymnasium.make("bullet/Reach-v0")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_program_prints_is_kept():
    script = """
print("before")
import envs, gymnasium
print("after", flush=True)
gymnasium.make("bullet/Reach-v0").close()
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["before", "after", "end"]


THREADS = """
import os, subprocess, sys, threading
import envs, gymnasium

sys.setswitchinterval(1e-6)
counts, made = {"word": 0, "started": 0, "forked": 0}, threading.Event()


def make_some():
    for _ in range(5):
        gymnasium.make("bullet/Reach-v0").close()


def talk():
    os.write(1, b"word\\n")
    os.write(2, b"word\\n")


def start():
    subprocess.run(["echo", "started"])


def fork():
    child = os.fork()
    if not child:
        gymnasium.make("bullet/Reach-v0").close()
        os.write(1, b"forked\\n")
        os._exit(0)
    os.waitpid(child, 0)


def go_on(what, name):
    while not made.is_set() or not counts[name]:
        what()
        counts[name] += 1


makers = [threading.Thread(target=make_some) for _ in range(2)]
others = [
    threading.Thread(target=go_on, args=pair) for pair in zip((talk, start, fork), counts)
]
for thread in makers + others:
    thread.start()
for thread in makers:
    thread.join()
made.set()
for thread in others:
    thread.join()
print("end", *counts.values())
print("end", file=sys.stderr)
"""


def test_whatever_is_printed_while_threads_make_environments_arrives():
    done = subprocess.run(
        [sys.executable, "-c", THREADS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    out, err = done.stdout.split(), done.stderr.split()
    words, started, forked = map(int, out[-3:])
    assert out.count("word") == err.count("word") == words
    assert (out.count("started"), out.count("forked")) == (started, forked)
    # And nothing of PyBullet's.
    assert (len(out), len(err)) == (words + started + forked + 4, words + 1)
