"""Every environment that the exactness tests hold for, and what they do with it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np

import envs
from envs.manipulation import REWARDS
from envs.registry import ROBOTS, able_robots
from envs.robots.arm import Arm
from envs.robots.robot import CONTROLS
from tests.envs.stacked_cubes import StackedCubes

DEFAULT = next(iter(ROBOTS))
# What is said of their numbers need not be true of another kind of robot.
ARMS = [name for name, robot in ROBOTS.items() if issubclass(robot, Arm)]
ROOT = Path(envs.__file__).parents[1]

# Whatever is registered is found here, so new tasks are held to the same promises.
EVERY_COMBINATION = [
    (name, robot, control, reward)
    for task, name in envs.TASKS.items()
    for robot in able_robots(task)
    for control in CONTROLS
    for reward in REWARDS
]
# Rewards know nothing of the robot: every robot but the first takes them in turn.
REGISTERED = [
    case
    for case in EVERY_COMBINATION
    if case[1] == DEFAULT or (case[2] == "ee") == (case[3] == "sparse")
]
CUBES = [("cubes", robot, control, "sparse") for robot in ROBOTS for control in CONTROLS]
# What is drawn anew in every episode must leave no trace either.
RANDOMISED = {
    "any cube": (
        "bullet/Push-v0",
        {
            "object_size": (0.03, 0.06),
            "object_mass": (0.3, 3.0),
            "object_friction": (0.2, 1.0),
            "action_noise": 0.1,
            "action_latency": (0, 3),
            "observation_noise": (0.0, 0.02),
        },
    ),
    "any cubes": (
        "bullet/Stack-v0",
        {"object_size": (0.03, 0.05), "object_mass": (0.5, 2.0), "goal_x": 0.1},
    ),
    "any puck": (
        "bullet/Slide-v0",
        {"object_mass": (0.3, 3.0), "object_friction": (0.02, 0.2), "action_latency": 1},
    ),
    "a cube in the hand": ("bullet/PickAndPlace-v0", {"grasped": 0.7, "object_size": (0.03, 0.05)}),
    "a cube to turn in the hand": ("bullet/Flip-v0", {"grasped": 0.7}),
    "a cube of two in the hand": (
        "bullet/Stack-v0",
        {"placed": 0.5, "grasped": 0.5, "object_size": (0.03, 0.05)},
    ),
}
DRAWN = [
    ("any cube", "panda", "ee", "sparse"),
    ("any cubes", "iiwa", "ee", "sparse"),
    ("any puck", "panda", "ee", "dense"),
    ("a cube in the hand", "panda", "joints", "sparse"),
    ("a cube in the hand", "iiwa", "ee", "sparse"),
    ("a cube to turn in the hand", "panda", "ee", "sparse"),
    ("a cube of two in the hand", "panda", "ee", "sparse"),
    ("a cube of two in the hand", "iiwa", "joints", "sparse"),
]
CASES = REGISTERED + CUBES + DRAWN
EVERY_TASK = [case for case in REGISTERED if case[1:] == (DEFAULT, "ee", "sparse")]


def with_able_robots(*tasks):
    """Each task with each robot that can do it, by their short names."""
    return [(task, robot) for task in tasks for robot in able_robots(task)]


def make(case, **kwargs):
    name, robot, control, reward = case
    if name == "cubes":
        return envs.ManipulationEnv(ROBOTS[robot](control), StackedCubes(), reward=reward, **kwargs)
    name, ranges = RANDOMISED.get(name, (name, {}))
    kwargs = {**ranges, **kwargs}
    return gym.make(name, robot=robot, control=control, reward=reward, **kwargs)


def draw_actions(env, seed, steps):
    """Actions that keep a direction for four steps, often straight down onto what lies there."""
    generator = np.random.default_rng(seed)
    size = env.action_space.shape[0]
    actions = generator.uniform(-1.0, 1.0, (steps // 4 + 1, size))
    down = (0.0, 0.0, -1.0) if size < 7 else (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    actions[::2, : len(down)] = down
    return np.repeat(actions, 4, axis=0)[:steps].astype(np.float32)


def has_object(env):
    return env.unwrapped.task.observation_size > 0


def move_to_object(env, observation, action):
    """The action with its arm's part replaced: down onto the object and through it."""
    seen, size = observation["observation"], env.unwrapped.robot.observation_size
    x, y, z = seen[size : size + 3] - seen[:3]
    action = action.copy()
    if env.unwrapped.robot.control == "ee":
        action[:3] = np.clip(20.0 * np.array([x, y, z]), -1.0, 1.0)
        return action
    # Good enough near the rest pose: the first joint turns the arm, the second bows it, the fourth
    # stretches it.
    reach = seen[0] + 0.6
    forward, sideways = x, y / reach
    bow, stretch = np.linalg.solve([[-0.14, 0.39], [-0.64, 0.44]], [forward, z])
    action[:7] = np.clip(np.array([sideways, bow, 0.0, stretch, 0.0, 0.0, 0.0]) * 20.0, -1.0, 1.0)
    return action


def act(env, actions, trace, between=lambda: None):
    """Step, resetting where an episode ends, and hash everything that comes back.

    Where there is an object, most actions go after it, so that episodes are spent in contact.
    """
    observation = None
    for step, action in enumerate(actions):
        if observation is not None and step % 8 < 6 and has_object(env):
            action = move_to_object(env, observation, action)
        observation, reward, terminated, truncated, info = env.step(action)
        record(trace, observation, reward, terminated, info)
        between()
        if terminated or truncated:
            observation, info = env.reset()
            record(trace, observation, 0.0, False, info)
    return trace


def record(trace, observation, reward, terminated, info):
    digest = hashlib.sha256(json.dumps([reward, terminated, info["is_success"]]).encode())
    for key in sorted(observation):
        digest.update(observation[key].tobytes())
    trace.append(digest.hexdigest())


def trajectory(env, seed, steps, between=lambda: None):
    """Hashes of a seeded reset and of the steps after it."""
    trace = []
    observation, info = env.reset(seed=seed)
    record(trace, observation, 0.0, False, info)
    return act(env, draw_actions(env, seed, steps), trace, between)


def fresh_trajectory(case, seed, steps):
    env = make(case)
    try:
        return trajectory(env, seed, steps)
    finally:
        env.close()


def in_new_process(code, data):
    """Run code in a fresh interpreter; it finds `data` and returns what it puts into `answer`."""
    script = (
        "import json, sys\n"
        "data = json.loads(sys.stdin.read())\n"
        f"{code}\n"
        "sys.stdout.write(json.dumps(answer))\n"
    )
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
