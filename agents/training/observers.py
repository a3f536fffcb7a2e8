"""What watches a training: told of updates, episodes and snapshots, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.runs.manifest import Snapshot


@dataclass(frozen=True)
class Update:
    """One update of the networks.

    Attributes:
        step: Environment timesteps trained so far.
        phase: Index of the phase that holds.
        learning_rate: The rate as the optimizers have it.
        losses: What the algorithm recorded at this update, by the names in `metrics.csv`.
        signals: How the training fares, by the names in `agents.learners.signals`; taken now and
            then, and empty at most updates.
        return_mean: Mean return of the last training episodes; `None` before the first has ended.
        success_rate: Share of the last training episodes that reached their goals; likewise.
        elapsed_s: Seconds that the run has trained, in all its processes.
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
        env: Which of the parallel environments.
        episode_return: Sum of its rewards.
        length: Its actions.
        success: Whether it ended at the goal.
        elapsed_s: Seconds that the run has trained, in all its processes.
    """

    step: int
    phase: int
    env: int
    episode_return: float
    length: int
    success: bool
    elapsed_s: float


class Observer:
    """Watches the training of a run; every method may be left out.

    One that is named in a config, `observers: ["my_package.module:Class"]`, is made with the run as
    its only argument, in the process that trains. A run that is resumed tells it what happens from
    the last snapshot on, which can be what it was told before.

    Nothing that an observer does is seen by the training: it gets plain values, and the generators
    of Python, NumPy and torch are put back after each call. One that is named in a config and
    raises is left out from then on, with a warning; one that was given to `train_run` ends the
    training.
    """

    def on_update(self, update: Update) -> None:
        """Is told of each update.

        Args:
            update: The update.
        """

    def on_episode(self, episode: Episode) -> None:
        """Is told of each training episode when it ends.

        Args:
            episode: The episode.
        """

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Is told of each snapshot once it is on the disk.

        Args:
            snapshot: The snapshot.
        """

    def on_end(self) -> None:
        """Is told that the training ends in this process: complete, stopped or failed."""


class Observers(Observer):
    """Tells several observers, in order.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def on_update(self, update: Update) -> None:
        """Tells each of an update."""
        for observer in self._observers:
            observer.on_update(update)

    def on_episode(self, episode: Episode) -> None:
        """Tells each of a training episode."""
        for observer in self._observers:
            observer.on_episode(episode)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Tells each of a snapshot."""
        for observer in self._observers:
            observer.on_snapshot(snapshot)

    def on_end(self) -> None:
        """Tells each that the training ends."""
        for observer in self._observers:
            observer.on_end()
