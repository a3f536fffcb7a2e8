"""What watches a training: told of updates, episodes and snapshots, and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from agents.config import ConfigError
from agents.run_directory import RunDirectory
from agents.snapshots import Snapshot
from agents.state import kept_generators

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """One update of the networks.

    Attributes:
        step: Environment timesteps trained so far.
        phase: Index of the phase that holds.
        learning_rate: The rate as the optimizers have it.
        losses: What the algorithm recorded at this update, by the names in `metrics.csv`.
        return_mean: Mean return of the last training episodes; `None` before the first has ended.
        success_rate: Share of the last training episodes that reached their goals; likewise.
        elapsed_s: Seconds that the run has trained, in all its processes.
    """

    step: int
    phase: int
    learning_rate: float
    losses: Mapping[str, float]
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


class IsolatedObserver(Observer):
    """Keeps what an observer does from what is learned.

    Args:
        observer: The observer.
        name: What a warning calls it; an observer without a name may end the training by raising.
    """

    def __init__(self, observer: Observer, name: str | None = None) -> None:
        self._observer = observer
        self._name = name

    def on_update(self, update: Update) -> None:
        """Tells the observer of an update."""
        self._tell("on_update", update)

    def on_episode(self, episode: Episode) -> None:
        """Tells the observer of a training episode."""
        self._tell("on_episode", episode)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Tells the observer of a snapshot."""
        self._tell("on_snapshot", snapshot)

    def on_end(self) -> None:
        """Tells the observer that the training ends."""
        self._tell("on_end")

    def _tell(self, method: str, *what: Update | Episode | Snapshot) -> None:
        # One that does not listen costs nothing.
        if getattr(type(self._observer), method) is getattr(Observer, method):
            return
        with kept_generators():
            try:
                getattr(self._observer, method)(*what)
            except Exception as error:
                if self._name is None:
                    raise
                logger.warning(
                    "observer %s is left out from here on: %s: %s",
                    self._name,
                    type(error).__name__,
                    error,
                )
                self._observer = Observer()


def load_observer(name: str) -> Callable[[RunDirectory], Observer]:
    """Imports an observer's class by its name.

    Args:
        name: `module:Class`, as a config has it.

    Returns:
        The class, to be called with the run.

    Raises:
        ConfigError: If there is no such class, or it is no `Observer`.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # whatever the module raises when it is imported
        raise ConfigError(f"observer {name}: {type(error).__name__}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, Observer):
        raise ConfigError(f"observer {name} must be a class of agents.training.Observer")
    return found


def named_observers(run: RunDirectory) -> tuple[Observer, ...]:
    """Makes the observers that a run's config names.

    One that cannot be made here is left out with a warning: the run goes on without it as with it.

    Args:
        run: The run.
    """
    made = []
    for name in run.config.observers:
        try:
            made.append(IsolatedObserver(load_observer(name)(run), name))
        except Exception as error:
            logger.warning("observer %s is left out: %s", name, error)
    return tuple(made)
