"""Draws the pictures of an episode in other processes, while it is played in this one.

To draw a picture takes a hundred times as long as the step before it. An environment gives the same
episode to the same bits in any process, so each process has one of its own and only actions travel.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import envs
from agents import RunError

Frame = NDArray[np.uint8]
MOST_PROCESSES = 8
_ENDED = "a process that draws pictures has ended; is there too little memory?"


def default_processes() -> int:
    """How many processes draw a film: one a core, up to 8."""
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


class Painters:
    """Processes that go through the same episodes and take turns to draw.

    They end with this process, however it ends.

    Args:
        task: The task, a key of `envs.TASKS`.
        arguments: Keyword arguments of its environment, among them a `render_mode`.
        count: How many processes.
    """

    def __init__(self, task: str, arguments: Mapping[str, Any], count: int) -> None:
        self._lines: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        places = [place or str(Path.cwd()) for place in sys.path]
        for _ in range(count):
            mine, other = Pipe()
            # Not a process of multiprocessing: that would run the user's script again.
            script = (
                f"import sys; sys.path[:] = {places!r}; "
                f"from eval.drawing import paint; paint({other.fileno()})"
            )
            process = subprocess.Popen(
                [sys.executable, "-c", script],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
            )
            other.close()
            with suppress(ConnectionError):  # whoever has ended will never be ready
                mine.send((task, dict(arguments)))
            self._lines.append(mine)
            self._processes.append(process)
        self._waiting = list(self._lines)
        self._turns = cycle(self._lines)

    def ready(self) -> bool:
        """Whether all have their environment; never, if one cannot have it.

        A task that was registered by this process alone is unknown to others.
        """
        try:
            self._waiting = [line for line in self._waiting if not (line.poll() and line.recv())]
        except (EOFError, ConnectionError):
            return False
        return not self._waiting

    def reset(self, seed: int) -> None:
        """Begins an episode.

        Args:
            seed: Of the reset.
        """
        for line in self._lines:
            _send(line, seed)

    def step(self, action: NDArray[np.float32]) -> None:
        """Goes a step on.

        Args:
            action: As the environment takes it.
        """
        for line in self._lines:
            _send(line, action)

    def picture(self) -> Callable[[], Frame]:
        """Lets the next process draw the scene as it is now.

        Returns:
            What waits for the frame; to be called in the order in which pictures were asked for.
        """
        line = next(self._turns)
        _send(line, None)
        return partial(_receive, line)

    def close(self) -> None:
        """Ends the processes."""
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.kill()
            process.wait()


def _send(line: Connection, told: object) -> None:
    try:
        line.send(told)
    except ConnectionError:
        raise RunError(_ENDED) from None


def _receive(line: Connection) -> Frame:
    try:
        frame: Frame = line.recv()
    except (EOFError, ConnectionError):
        raise RunError(_ENDED) from None
    return frame


def paint(descriptor: int) -> None:
    """What a process does: until its parent hangs up, as it is told.

    Args:
        descriptor: File descriptor of its end of the line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = Connection(descriptor)
    task, arguments = line.recv()
    try:
        env = gym.make(envs.TASKS[task], **arguments)
    except Exception:
        line.send(False)
        return
    line.send(True)
    try:
        while True:
            told = line.recv()
            if told is None:
                line.send(np.asarray(env.render(), np.uint8))
            elif isinstance(told, int):
                env.reset(seed=told)
            else:
                env.step(told)
    except (EOFError, ConnectionError):
        env.close()
