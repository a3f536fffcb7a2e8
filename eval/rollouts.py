"""Plays episodes with the agent of a snapshot; the same seed gives the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents import RunDirectory
from agents.learners.environments import make_env
from agents.runs.manifest import Snapshot
from agents.snapshots.agent import Agent


@dataclass(frozen=True)
class EpisodeProgress:
    """How far an episode has got.

    Attributes:
        seed: Seed of the reset.
        length: Actions so far.
        episode_return: Sum of the rewards so far.
        success: Whether the goal is reached now.
        over: Whether the episode has ended.
    """

    seed: int
    length: int
    episode_return: float
    success: bool
    over: bool


class Rollouts:
    """Plays episodes with the agent of any snapshot of a run.

    The agent acts on the CPU, one observation at a time: another device or batch size would add
    floating-point numbers in another order and so change the bits.

    Args:
        run: The run whose agents play; its task, reward, control and observation are used.
        wrapped: Wraps the environment, such as to record what happens.
        **render: Rendering arguments of the task, such as `render_mode="rgb_array"`.
    """

    def __init__(
        self,
        run: RunDirectory,
        wrapped: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] = lambda env: env,
        **render: Any,  # noqa: ANN401 - see make_env
    ) -> None:
        self._agent = Agent(run)
        self._env = wrapped(make_env(run.config, **render))

    def __enter__(self) -> Rollouts:
        """Returns itself; the end of the block closes the simulation."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the simulation."""
        self._env.close()

    def load(self, snapshot: Snapshot) -> None:
        """Lets the agent of a snapshot play: its networks and observation statistics.

        Args:
            snapshot: A snapshot of the run.

        Raises:
            RunError: If one of its files was altered.
        """
        self._agent.load(snapshot)

    def steps(self, seed: int) -> Iterator[EpisodeProgress]:
        """Plays an episode with the deterministic policy, one step at a time.

        Args:
            seed: Seed of the reset, which alone decides the episode.

        Yields:
            The episode after the reset and after each action.
        """
        observation, info = self._env.reset(seed=seed)
        progress = EpisodeProgress(seed, 0, 0.0, bool(info["is_success"]), over=False)
        yield progress
        while not progress.over:
            action, _ = self._agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, info = self._env.step(action)
            progress = EpisodeProgress(
                seed,
                progress.length + 1,
                progress.episode_return + float(reward),
                bool(info["is_success"]),
                over=terminated or truncated,
            )
            yield progress

    def play(self, seed: int) -> EpisodeProgress:
        """Plays an episode to its end.

        Args:
            seed: Seed of the reset.

        Returns:
            The episode at its end.
        """
        *_, last = self.steps(seed)
        return last

    def render(self) -> NDArray[np.uint8]:
        """Draws the scene; the task must have been made with `render_mode="rgb_array"`.

        Returns:
            Frame of shape (height, width, 3).
        """
        return np.asarray(self._env.render(), dtype=np.uint8)

    @property
    def frames_per_second(self) -> int:
        """Frames a second at which a video plays in real time: the control rate of the task."""
        return int(self._env.metadata["render_fps"])
