"""Keeping observers, those of a config and those of a caller, from influencing the training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module

from agents.config import TRACKERS, ConfigError, RunConfig
from agents.learners.training_state import kept_generators
from agents.runs.directory import RunDirectory
from agents.runs.manifest import Snapshot
from agents.training.observers import Episode, Observer, Update

logger = logging.getLogger(__name__)


class IsolatedObserver(Observer):
    """Keeps an observer from influencing what is learned.

    Args:
        observer: The observer.
        name: Its name in warnings; if an observer without a name raises, the training ends.
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
        # Skips saving the generators for events that the observer does not override.
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
        name: A key of `TRACKERS` or `module:Class`, as in a config.

    Returns:
        The class; its only argument is the run.

    Raises:
        ConfigError: If there is no such class, it is not an `Observer`, or what it needs is not
            installed.
    """
    module, _, attribute = TRACKERS.get(name, name).partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ConfigError:
        raise
    except Exception as error:  # whatever the module raises when it is imported
        raise ConfigError(f"observer {name}: {type(error).__name__}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, Observer):
        raise ConfigError(f"observer {name} must be a class of agents.training.loop.Observer")
    return found


def check_observers(config: RunConfig) -> None:
    """Checks that there are the observers that a config names.

    Args:
        config: The config of a run that is to be created.

    Raises:
        ConfigError: If one cannot be loaded.
    """
    for name in config.observers:
        load_observer(name)


def named_observers(run: RunDirectory) -> tuple[Observer, ...]:
    """Creates the observers that a run's config names.

    An observer that cannot be created is left out with a warning; the run is the same without it.

    Args:
        run: The run.
    """
    made = []
    for name in run.config.observers:
        try:
            # The generators are already seeded; an observer's constructor must not advance them.
            with kept_generators():
                made.append(IsolatedObserver(load_observer(name)(run), name))
        except Exception as error:
            logger.warning("observer %s is left out: %s", name, error)
    return tuple(made)
