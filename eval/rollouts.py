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
from agents.learners.environments import env_arguments, make_env
from agents.runs.manifest import Snapshot
from agents.snapshots.agent import Agent
from eval.drawing import Painters

ENOUGH_FOR_ONE = 40
"""Pictures that take about as long as other processes to get ready to draw."""


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
        run: The run whose agents play, or an agent; its task, reward, control and observation are
            used.
        wrapped: Wraps the environment, such as to record what happens.
        drawing: How many other processes draw the pictures, once there are many; none if 0.
        **render: Rendering arguments of the task, such as `render_mode="rgb_array"`.
    """

    def __init__(
        self,
        run: RunDirectory | Agent,
        wrapped: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] = lambda env: env,
        *,
        drawing: int = 0,
        **render: Any,  # noqa: ANN401 - see make_env
    ) -> None:
        self._config = run.config
        self._agent = run if isinstance(run, Agent) else Agent(run.config)
        self._render = render
        self._env = wrapped(make_env(run.config, **render))
        self._drawing, self._drawn = drawing, 0
        self._started: Painters | None = None
        self._painters: Painters | None = None

    def __enter__(self) -> Rollouts:
        """Returns itself; the end of the block closes the simulation."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the simulation, and those of other processes."""
        self._env.close()
        if self._started is not None:
            self._started.close()

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
        self._painters = self._painters_at_hand()
        if self._painters is not None:
            self._painters.reset(seed)
        observation, info = self._env.reset(seed=seed)
        progress = EpisodeProgress(seed, 0, 0.0, bool(info["is_success"]), over=False)
        yield progress
        while not progress.over:
            action, _ = self._agent.predict(observation, deterministic=True)
            if self._painters is not None:
                self._painters.step(action)
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

    def picture(self) -> Callable[[], NDArray[np.uint8]]:
        """Draws the scene; the task must have been made with `render_mode="rgb_array"`.

        Returns:
            What gives the frame, of shape (height, width, 3), when it is drawn; to be called in the
            order of the pictures.
        """
        if self._painters is not None:
            return self._painters.picture()
        self._drawn += 1
        frame = np.asarray(self._env.render(), dtype=np.uint8)
        return lambda: frame

    def _painters_at_hand(self) -> Painters | None:
        """Those who draw the next episode; they begin to get ready when it is worth while."""
        if self._started is None and self._drawing and self._drawn >= ENOUGH_FOR_ONE:
            arguments = {**env_arguments(self._config, training=False), **self._render}
            self._started = Painters(self._config.env, arguments, self._drawing)
        return self._started if self._started is not None and self._started.ready() else None

    @property
    def frames_per_second(self) -> int:
        """Frames a second at which a video plays in real time: the control rate of the task."""
        return int(self._env.metadata["render_fps"])
