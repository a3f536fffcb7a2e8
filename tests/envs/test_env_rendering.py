"""Frames need no display and show the scene; nothing else is ever printed."""

import dataclasses
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import envs
from envs.picture import Segment
from envs.simulation import Simulation
from envs.tasks.table import add_table
from tests.envs.env_cases import ROOT

pytestmark = pytest.mark.slow


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


def test_the_goal_is_seen_where_it_is():
    level = envs.Camera((-0.1, 0.0, 0.2), distance=1.2, pitch=0.0)
    env = gym.make("bullet/Reach-v0", render_mode="rgb_array", camera=level)
    centres = {}
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        rows, _ = np.nonzero(greenish(env.render()))
        if len(rows):
            centres[float(observation["desired_goal"][2])] = rows.mean()
    # Seen in most episodes, though faint behind the arm, and higher goals higher up.
    assert len(centres) > 8
    heights = sorted(centres)
    assert np.corrcoef(heights, [centres[height] for height in heights])[0, 1] < -0.95
    env.close()


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


RAISED = {
    "ee, straight up": ("ee", (0.0, 0.0, 1.0), 25),
    "ee, up and back": ("ee", (-1.0, 0.0, 1.0), 50),
    "ee, up and aside": ("ee", (0.0, 1.0, 1.0), 50),
    "joints, the elbow up": ("joints", (0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 12),
    "joints, aside": ("joints", (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 30),
    "joints, folded": ("joints", (0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0), 40),
}


@pytest.mark.parametrize("pose", RAISED)
@pytest.mark.parametrize("robot", ["panda", "iiwa"])
@pytest.mark.parametrize("task", ["push", "slide"])
def test_a_raised_arm_stays_in_the_frame(task, robot, pose):
    control, action, steps = RAISED[pose]
    env = gym.make(
        envs.TASKS[task],
        robot=robot,
        control=control,
        render_mode="segmentation_array",
        render_width=144,
        render_height=96,
    )
    env.reset(seed=0)
    for _ in range(steps):
        env.step(np.array(action, np.float32))
    arm = env.render() == Segment.ROBOT
    assert arm.sum() > 200
    assert not np.concatenate([arm[0], arm[-1], arm[:, 0], arm[:, -1]]).any()
    env.close()


@pytest.fixture
def scene():
    """A table, and above it a box from the side of which light comes."""
    scene = Simulation(visuals=True)
    add_table(scene)
    scene.box = scene.add_box((0.05, 0.05, 0.05), (0.0, 0.0, 0.0), (0.2, 0.3, 0.8, 1.0), mass=1.0)
    scene.place(scene.box, (5.0, 5.0, 5.0))
    yield scene
    scene.close()


FROM_ABOVE = envs.Camera((-0.25, 0.0, 0.0), distance=1.2, yaw=0.0, pitch=-89.9)


def darkness(scene, camera, size=240):
    """How much of each pixel's light is kept off, shape (size, size)."""
    picture = scene.picture(camera, size, size)
    lit = dataclasses.replace(picture, light=None).frame().astype(float)
    return 1.0 - picture.frame().sum(-1) / lit.sum(-1)


@pytest.mark.parametrize("height", [0.1, 0.3])
def test_a_shadow_lies_where_the_light_leaves_it(scene, height):
    scene.place(scene.box, (-0.2, 0.1, height))
    dark = darkness(scene, FROM_ABOVE)
    # Light comes from (1, -0.6, 2.2), 8 m away: it is hardly wider than the box.
    x, y = -0.2 - height / 2.2, 0.1 + 0.6 * height / 2.2
    row, column = np.argwhere(dark > 0.1).mean(0)
    pixel = 240 / (2 * 1.2 * np.tan(np.radians(22.5)))
    # The camera hides a part of it behind the box.
    assert (column - 120) / pixel - 0.25 == pytest.approx(x, abs=0.05)
    assert (120 - row) / pixel == pytest.approx(y, abs=0.05)
    assert dark.max() == pytest.approx(0.2, abs=0.02)


def test_a_shadow_has_a_soft_edge(scene):
    scene.place(scene.box, (-0.2, 0.0, 0.3))
    dark = darkness(scene, FROM_ABOVE)
    half = (dark > 0.03) & (dark < 0.17)
    assert 0.02 < half.sum() / (dark > 0.17).sum() < 0.5


@pytest.mark.parametrize("yaw", [40.0, 48.0, 60.0])
def test_what_nothing_is_above_has_no_shadow(scene, yaw):
    # A surface must not be in its own shadow, however much the light grazes it: from here one sees
    # the sides of the table that the light sees.
    dark = darkness(scene, envs.Camera((-0.3, 0.0, -0.1), 1.8, yaw, -30.0))
    assert np.mean(dark > 0.01) < 0.001


@pytest.mark.parametrize("size", [0.03, (0.05, 0.02, 0.03)])
@pytest.mark.parametrize("place", [(0.0, 0.0, 0.1), (-0.25, -1.0, 0.3), (0.6, -0.5, 0.6)])
def test_a_marker_is_looked_for_wherever_it_can_be_seen(scene, size, place, monkeypatch):
    colours = [(1.0, 0.0, 0.0, 0.8)]
    add = scene.add_marker if isinstance(size, float) else scene.add_box_marker
    scene.move_marker(add(size, colours[0] if isinstance(size, float) else colours), place)
    for camera in (envs.Camera(), envs.Camera((0.0, 0.0, 0.1), distance=0.12), FROM_ABOVE):
        picture = scene.picture(camera, 90, 60, shadow=False)
        near = picture.frame()
        with monkeypatch.context() as patch:
            patch.setattr("envs.picture._surroundings", lambda *_: (slice(0, 60), slice(0, 90)))
            assert np.array_equal(near, picture.frame())
