"""Stopping a training on Ctrl-C or a termination request, at a point where it can go on later."""

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
    """Remembers the first signal; the second one of the same kind takes its usual effect."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Signal handler.

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
    """Catches SIGINT and SIGTERM for as long as the block runs.

    Off the main thread nothing is caught: Python delivers signals to the main thread, and whoever
    holds that decides what they do.

    Yields:
        What tells whether a signal has come.
    """
    request = StopRequest()
    with handled_signals(request.receive, signal.SIGINT, signal.SIGTERM):
        yield request


@contextmanager
def handled_signals(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Sets a handler for signals while the block runs, on the main thread; does nothing on others.

    Args:
        handler: What `signal.signal` takes.
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
