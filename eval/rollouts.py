"""Playing episodes with the agent of a snapshot, so that the same seed gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import RunDirectory
from agents.learners.environments import make_env
from agents.runs.manifest import Snapshot
from agents.snapshots.agent import Agent


@dataclass(frozen=True)
class Moment:
    """An episode as far as it has got.

    Attributes:
        seed: What the environment was reset with.
        length: Actions so far.
        total_reward: Sum of the rewards so far; the return, when the episode is over.
        success: Whether the goal is reached at this moment.
        over: Whether this is the last moment of the episode.
    """

    seed: int
    length: int
    total_reward: float
    success: bool
    over: bool


class Rollouts:
    """One environment and one acting model of a run; the agent of any snapshot can be put in.

    Everything happens on the CPU, one observation at a time: batches of another size, or another
    device, would add floating-point numbers in another order.

    Args:
        run: The run whose agents play; its task, reward, control and observation
            are used.
        **render: Rendering arguments of the task, such as `render_mode="rgb_array"`.
    """

    def __init__(self, run: RunDirectory, **render: Any) -> None:  # noqa: ANN401 - see make_env
        self._agent = Agent(run)
        self._env = make_env(run.config, **render)

    def __enter__(self) -> Rollouts:
        """Gives the rollouts themselves, which are closed at the end of the block."""
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
        """Puts in the agent of a snapshot: its networks and observation statistics.

        Args:
            snapshot: A snapshot of the run.

        Raises:
            RunError: If a file of it was altered.
        """
        self._agent.load(snapshot)

    def moments(self, seed: int) -> Iterator[Moment]:
        """Plays an episode with the deterministic policy, a step at a time.

        Args:
            seed: What the environment is reset with; it alone decides the episode.

        Yields:
            The episode after the reset and after each action.
        """
        observation, info = self._env.reset(seed=seed)
        moment = Moment(seed, 0, 0.0, bool(info["is_success"]), over=False)
        yield moment
        while not moment.over:
            action, _ = self._agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, info = self._env.step(action)
            moment = Moment(
                seed,
                moment.length + 1,
                moment.total_reward + float(reward),
                bool(info["is_success"]),
                over=terminated or truncated,
            )
            yield moment

    def play(self, seed: int) -> Moment:
        """Plays an episode to its end.

        Args:
            seed: What the environment is reset with.

        Returns:
            The last moment.
        """
        *_, last = self.moments(seed)
        return last

    def render(self) -> NDArray[np.uint8]:
        """Draws the present moment; the task must have been made with `render_mode="rgb_array"`.

        Returns:
            Frame of shape (height, width, 3).
        """
        return np.asarray(self._env.render(), dtype=np.uint8)

    @property
    def frames_per_second(self) -> int:
        """Frames a second at which a video plays in real time: the control rate of the task."""
        return int(self._env.metadata["render_fps"])
