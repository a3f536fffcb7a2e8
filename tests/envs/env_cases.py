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
from envs.robots import ROBOTS
from tests.envs.stacked_cubes import StackedCubes

ROOT = Path(envs.__file__).parents[1]

# Whatever is registered is found here, so new tasks are held to the same promises.
REGISTERED = [
    (name, robot, control, reward)
    for name in sorted(gym.registry)
    if name.startswith("bullet/")
    for robot in ROBOTS
    for control in ("ee", "joints")
    for reward in ("sparse", "dense")
]
CUBES = [("cubes", robot, control, "sparse") for robot in ROBOTS for control in ("ee", "joints")]
CASES = REGISTERED + CUBES


def make(case, **kwargs):
    name, robot, control, reward = case
    if name == "cubes":
        return envs.ManipulationEnv(ROBOTS[robot](control), StackedCubes(), reward=reward, **kwargs)
    return gym.make(
        name, robot=robot, control=control, reward=reward, disable_env_checker=True, **kwargs
    )


def draw_actions(env, seed, steps):
    """Actions that keep a direction for four steps, often straight down onto what lies there."""
    generator = np.random.default_rng(seed)
    size = env.action_space.shape[0]
    actions = generator.uniform(-1.0, 1.0, (steps // 4 + 1, size))
    down = (0.0, 0.0, -1.0) if size == 3 else (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    actions[::2] = down
    return np.repeat(actions, 4, axis=0)[:steps].astype(np.float32)


def act(env, actions, trace, between=lambda: None):
    """Step, resetting where an episode ends, and hash everything that comes back."""
    for action in actions:
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
