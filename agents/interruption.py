"""Stopping a training on Ctrl-C or a termination request, at a point where it can go on later."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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

    Yields:
        What tells whether a signal has come.
    """
    request = StopRequest()
    previous = {n: signal.signal(n, request.receive) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
