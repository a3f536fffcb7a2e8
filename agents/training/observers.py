"""Observers of a training, which are told of updates, episodes and snapshots and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.runs.manifest import Snapshot


@dataclass(frozen=True)
class Update:
    """One update of the networks.

    Attributes:
        step: Environment timesteps trained so far.
        phase: Index of the current phase.
        learning_rate: The rate read from the optimizers.
        losses: What the algorithm recorded at this update, by the names in `metrics.csv`.
        signals: How the training fares, by the names in `agents.learners.signals`; taken now and
            then, and empty at most updates.
        return_mean: Mean return of the last training episodes; `None` before the first has ended.
        success_rate: Share of the last training episodes that reached their goals, or `None` as
            above.
        elapsed_s: Seconds that the run has trained, summed over all its processes.
    """

    step: int
    phase: int
    learning_rate: float
    losses: Mapping[str, float]
    signals: Mapping[str, float]
    return_mean: float | None
    success_rate: float | None
    elapsed_s: float


@dataclass(frozen=True)
class Episode:
    """One training episode that has ended.

    Attributes:
        step: Environment timesteps trained so far.
        phase: Index of the phase in which its last action was taken.
        env: Index of the parallel environment.
        episode_return: Sum of rewards.
        length: Number of actions.
        success: Whether it ended at the goal.
        elapsed_s: Seconds that the run has trained, summed over all its processes.
    """

    step: int
    phase: int
    env: int
    episode_return: float
    length: int
    success: bool
    elapsed_s: float


class Observer:
    """Watches the training of a run; subclasses override the methods they need.

    An observer named in a config, `observers: ["my_package.module:Class"]`, is created with the run
    as its only argument, in the process that trains. A resumed run reports everything since its
    last snapshot, so an observer may be told the same thing twice.

    Observers cannot influence the training: they receive plain values, and the generators of
    Python, NumPy and torch are restored after each call. If an observer named in a config raises,
    a warning says so and it is not called again; one passed to `train_run` ends the training.
    """

    def on_update(self, update: Update) -> None:
        """Reacts to an update.

        Args:
            update: The update.
        """

    def on_episode(self, episode: Episode) -> None:
        """Reacts to the end of a training episode.

        Args:
            episode: The episode.
        """

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Reacts to a snapshot once it is on disk.

        Args:
            snapshot: The snapshot.
        """

    def on_end(self) -> None:
        """Reacts to the end of training in this process: complete, stopped or failed."""


class Observers(Observer):
    """Forwards each event to several observers, in order.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def on_update(self, update: Update) -> None:
        """Forwards an update."""
        for observer in self._observers:
            observer.on_update(update)

    def on_episode(self, episode: Episode) -> None:
        """Forwards a training episode."""
        for observer in self._observers:
            observer.on_episode(episode)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Forwards a snapshot."""
        for observer in self._observers:
            observer.on_snapshot(snapshot)

    def on_end(self) -> None:
        """Forwards the end of training."""
        for observer in self._observers:
            observer.on_end()
