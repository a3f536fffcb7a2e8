"""Training environments, with the wrappers that record a run and let it be continued."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import set_forkserver_preload
from typing import Any

import gymnasium as gym
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecNormalize,
    VecTransposeImage,
)

import envs
from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.hyperparameters import NORMALIZED_KEYS
from agents.runs.directory import RunError

# Processes of environments fork off a server, which has imported this beforehand.
if sys.platform == "linux":
    set_forkserver_preload(["__main__", __name__])


class SnapshotMonitor(Monitor):
    """SB3's episode recorder, which can also capture and restore the state of all it wraps."""

    def snapshot(self) -> dict[str, Any]:
        """Captures task, time limit and this recorder as JSON data."""
        limit = self._time_limit()
        return {
            "task": self.unwrapped.snapshot(),  # type: ignore[attr-defined]
            "elapsed_steps": limit._elapsed_steps,
            "rewards": list(self.rewards),
            "needs_reset": self.needs_reset,
            "total_steps": self.total_steps,
        }

    def restore(self, state: dict[str, Any]) -> str | None:
        """Restores a state from `snapshot`, in this process or another.

        Args:
            state: The return value of `snapshot`.

        Returns:
            Why the episode cannot be continued here bit for bit, or `None` if it can. Raising this
            would end a worker process, and its trainer would not learn the reason.
        """
        try:
            self.unwrapped.restore(state["task"])  # type: ignore[attr-defined]
        except RuntimeError as error:
            return str(error)
        self._time_limit()._elapsed_steps = state["elapsed_steps"]
        self.rewards = list(state["rewards"])
        self.needs_reset = state["needs_reset"]
        self.total_steps = state["total_steps"]
        return None

    def reseed(self, seed: int) -> None:
        """Draws the next episodes from another generator; the running one keeps its goal.

        Args:
            seed: Seed of the generator.
        """
        self.unwrapped.reseed(seed)  # type: ignore[attr-defined]

    def _time_limit(self) -> gym.wrappers.TimeLimit[Any, Any]:
        wrapper: gym.Env[Any, Any] = self.env
        while not isinstance(wrapper, gym.wrappers.TimeLimit):
            if not isinstance(wrapper, gym.Wrapper):
                raise ConfigError(f"{self.unwrapped} has no time limit, so its episodes never end")
            wrapper = wrapper.env
        return wrapper


def env_arguments(config: RunConfig, *, training: bool) -> dict[str, Any]:
    """Returns the arguments that a run's environments are made with, besides their id.

    Args:
        config: The run.
        training: Whether they are to train in, or to evaluate in.

    Returns:
        Keyword arguments of `gymnasium.make`.
    """
    return {
        "robot": config.robot,
        "reward": config.reward,
        "control": config.control,
        "observation": config.observation,
        **config.env_kwargs,
        **(config.training_env_kwargs if training else {}),
    }


def make_env(config: RunConfig, *, training: bool = False, **render: Any) -> SnapshotMonitor:  # noqa: ANN401
    """Makes one environment of a run, for training or for evaluation.

    Args:
        config: The run.
        training: Whether it is to train in.
        **render: Rendering arguments of the task, such as `render_mode="rgb_array"`.

    Returns:
        The task with its time limit and an episode recorder around it.

    Raises:
        ConfigError: If the robot cannot do the task.
    """
    try:
        env = gym.make(
            envs.TASKS[config.env],
            **env_arguments(config, training=training),
            **render,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    return SnapshotMonitor(env)


def _make_worker_env(config: RunConfig) -> SnapshotMonitor:
    # Ctrl-C and a job's end reach the whole process group, but the trainer still needs its
    # environments for the last snapshot and ends them itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return make_env(config, training=True)


def make_training_envs(config: RunConfig) -> VecEnv:
    """Makes the vectorised training environments of a run.

    Args:
        config: The run; `n_envs`, `vec_env` and `normalize` shape the result.

    Returns:
        `n_envs` environments, inside `VecNormalize` where the config asks for it.

    Raises:
        ConfigError: If `normalize` is not what `VecNormalize` takes.
    """
    venv: VecEnv
    if config.vec_env == "subproc":
        venv = SubprocVecEnv([partial(_make_worker_env, config)] * config.n_envs)
    else:
        venv = DummyVecEnv([partial(make_env, config, training=True)] * config.n_envs)
    if config.normalize is None:
        return venv
    # Returns are discounted by the algorithm's gamma, unless the config sets another.
    gamma = ALGORITHMS[config.algo].value("gamma", config.hyperparameters)
    normalize = {"gamma": gamma, **config.normalize}
    if config.observation != "state":
        # SB3 transposes too, but outside of VecNormalize, which then hands replay buffers pictures
        # of the wrong shape.
        venv = VecTransposeImage(venv)
        if normalize.get("norm_obs_keys") is None:
            normalize["norm_obs_keys"] = list(NORMALIZED_KEYS)
    try:
        return VecNormalize(venv, **normalize)
    except (TypeError, ValueError) as error:
        venv.close()
        raise ConfigError(f"normalize: {error}") from error


def restore_envs(venv: VecEnv, states: list[dict[str, Any]]) -> None:
    """Continues the episodes of vectorised environments.

    Args:
        venv: What `make_training_envs` makes.
        states: What `SnapshotMonitor.snapshot` gave, of each environment.

    Raises:
        RunError: If an episode cannot be continued here bit for bit.
    """
    for index, state in enumerate(states):
        (refusal,) = venv.env_method("restore", state, indices=[index])
        if refusal is not None:
            raise RunError(f"the run cannot go on here: {refusal}")


@contextmanager
def training_envs(config: RunConfig) -> Iterator[VecEnv]:
    """Makes the training environments of a run and closes them at the end of the block.

    Args:
        config: The run.

    Yields:
        What `make_training_envs` makes.

    Raises:
        ConfigError: If `normalize` is not what `VecNormalize` takes.
    """
    venv = make_training_envs(config)
    try:
        yield venv
    finally:
        try:
            venv.close()
        except (EOFError, ConnectionError):
            # One worker is dead, so SB3 did not stop the others, which ignore SIGINT and SIGTERM.
            for process in getattr(venv.unwrapped, "processes", ()):
                process.kill()
