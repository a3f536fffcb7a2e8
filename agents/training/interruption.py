"""Stopping a training on Ctrl-C or SIGTERM, at a point from which it can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | signal.Handlers


class TrainingInterrupted(Exception):
    """The training was asked to stop and has taken its last snapshot.

    Attributes:
        signal_number: The signal that asked.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopRequest:
    """Remembers the first signal; a second one of the same kind has its usual effect."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal.

        Args:
            number: The signal.
            frame: Where it arrived; unused.
        """
        self.signal_number = number
        signal.signal(
            number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        )


@contextmanager
def catch_stop_requests() -> Iterator[StopRequest]:
    """Catches SIGINT and SIGTERM while the block runs.

    Does nothing outside the main thread, because only the main thread can install handlers.

    Yields:
        The request, which tells whether a signal has come.
    """
    request = StopRequest()
    with handled_signals(request.receive, signal.SIGINT, signal.SIGTERM):
        yield request


@contextmanager
def handled_signals(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Installs a signal handler while the block runs; does nothing outside the main thread.

    Args:
        handler: A handler as for `signal.signal`.
        *numbers: The signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)
