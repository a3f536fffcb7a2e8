"""The interface between a run and its learner: all that training and snapshots know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from agents.learners.replay_rows import ReplayRows
from agents.learners.update_logger import UpdateLogger

Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class LearnerState:
    """Everything that later steps depend on, except the rows of the replay buffer.

    Attributes:
        data: Counters, generators and environments, as JSON data.
        arrays: Generators, last observations and running statistics.
        files: The agent as the learner's own library saves it, by file name.
    """

    data: dict[str, Any]
    arrays: Arrays
    files: Mapping[str, bytes]


class LearningCallbacks(Protocol):
    """What `Learner.learn` calls while it trains."""

    def on_training_start(self) -> None:
        """Is called once, before the first rollout and after the learner's own set-up."""

    def on_rollout_start(self) -> None:
        """Is called after the last update and before the environments move.

        This is the one point at which state can be captured and restored.
        """

    def on_episode_end(self, env: int, episode_return: float, length: int, success: bool) -> None:
        """Is called at the end of a training episode.

        Args:
            env: Index of the parallel environment.
            episode_return: Sum of its rewards.
            length: Number of its actions.
            success: Whether it ended at the goal.
        """

    def on_training_end(self) -> None:
        """Is called once, after the last update."""


class Learner(Protocol):
    """What turns transitions into updates of an agent.

    A learner belongs to one set of training environments; `build_learner` makes it from a config.

    Attributes:
        steps_per_update: Environment timesteps between two readings of the learning rate.
    """

    steps_per_update: int

    @property
    def step(self) -> int:
        """Environment timesteps trained so far, summed over the parallel environments."""

    @property
    def updates(self) -> int:
        """Gradient updates made so far, as the algorithm counts them."""

    @property
    def replay(self) -> ReplayRows | None:
        """The rows of the replay buffer; `None` if there is none.

        Raises:
            ConfigError: If the buffer is too small to be logged.
        """

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """Every optimizer, by name; all of them follow the run's schedule."""

    @property
    def learning_rate(self) -> float:
        """The rate read from the optimizers.

        Raises:
            RuntimeError: If they do not all have the same rate.
        """

    @property
    def return_mean(self) -> float | None:
        """Mean return of the last training episodes; `None` before the first has ended."""

    @property
    def success_rate(self) -> float | None:
        """Share of the last training episodes that ended at the goal; `None` likewise."""

    def learn(
        self, total_timesteps: int, callbacks: LearningCallbacks, logger: UpdateLogger
    ) -> None:
        """Trains, from step 0 or from the state that a callback restores.

        Args:
            total_timesteps: Environment timesteps of the whole run.
            callbacks: What is called on the way; it may end the training by raising.
            logger: Receives what the updates record.
        """

    def capture(self) -> LearnerState:
        """Captures the learner, its environments and the process's generators."""

    def parameters(self) -> Mapping[str, Any]:
        """Returns networks, optimizers and loose tensors, as nested mappings and lists."""

    def restore(self, state: LearnerState) -> None:
        """Restores a state from `capture`, in this process or another.

        Args:
            state: State of a learner with the same config; called from `on_rollout_start`.

        Raises:
            RunError: If an episode cannot be continued here bit for bit.
            ValueError: If the state belongs to another kind of learner.
        """

    def reseed(self, seed: int) -> None:
        """Gives every generator a new seed, those of the environments included.

        Episodes under way keep their goals; later ones are drawn from the new generators.

        Args:
            seed: The seed.
        """

    def restore_experience(self, state: LearnerState) -> None:
        """Restores where another learner was, and nothing that this one's agent had learned.

        Args:
            state: State of a learner with the same environments, whose replay buffer this one's
                already holds; called from `on_rollout_start`.

        Raises:
            RunError: If an episode cannot be continued here bit for bit.
        """

    def recompute_rewards(self) -> None:
        """Gives what the replay buffer holds the rewards of this learner's environments."""

    def reset_dormant_units(self) -> None:
        """Gives the hidden units that do nothing new weights, from the generators."""

    def restore_acting(self, state: LearnerState) -> None:
        """Restores only what is needed to act: networks and observation statistics.

        Args:
            state: State of a learner with the same config.
        """

    def policy(self) -> Arrays:
        """Returns what is needed to act, alone: the actor's networks and observation statistics."""

    def load_policy(self, arrays: Arrays) -> None:
        """Loads what `policy` gave.

        Args:
            arrays: Of a learner with the same config.

        Raises:
            ValueError: If they are those of another.
        """

    def predict(
        self,
        observation: Any,  # noqa: ANN401 - SB3 names no type for dictionaries
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Chooses actions from raw observations, as `predict` of SB3 does from its own.

        Args:
            observation: Dictionary of one observation, or of a batch with the batch first.
            state: Returned unchanged; only recurrent policies, which are not used here, have one.
            episode_start: Ignored, likewise.
            deterministic: Whether to take the most likely action instead of a random one.

        Returns:
            Actions, and `state`.
        """

    def signals(self, updates_before: int) -> dict[str, float]:
        """Takes signals of how the training fares, where they are due, and changes nothing.

        Args:
            updates_before: What `updates` was before the last update.

        Returns:
            Finite numbers by the names in `agents.learners.signals`; empty where none are due.
        """

    def non_finite_update(self, losses: Mapping[str, float]) -> str | None:
        """Checks the result of an update, at a small part of the update's cost.

        Args:
            losses: What the update recorded, by name.

        Returns:
            What is not finite, or `None`.
        """

    def non_finite_state(self) -> str | None:
        """Checks everything that is trained, and that it gives an action.

        Returns:
            What is not finite, or `None`.
        """

    def non_finite_cause(self, error: Exception) -> str | None:
        """Checks whether numbers that are not finite have made the training fail.

        Args:
            error: The error that stopped it.

        Returns:
            What is not finite, or `None` if the error must have another cause.
        """

    def example_state(self) -> LearnerState:
        """Returns a state as large as that of a trained learner, which must not train then."""
