"""Connecting to PyBullet's servers, silencing them, and showing them in a window."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import platform
import sys
import threading
from collections.abc import Iterator


def _c_streams() -> list[ctypes.c_void_p]:
    """Returns C's variables `stdout` and `stderr` if they can be assigned to, else nothing."""
    if sys.platform == "darwin":
        names: tuple[str, ...] = ("__stdoutp", "__stderrp")
    else:
        names = ("stdout", "stderr") if platform.libc_ver()[0] == "glibc" else ()
    c = ctypes.CDLL(None)
    return [ctypes.c_void_p.in_dll(c, name) for name in names]


def _open_nowhere() -> int:
    """Opens a C stream to the null device, for the life of the process."""
    null = os.open(os.devnull, os.O_WRONLY)
    # A process may have been started without output, and its descriptors 1 and 2 must stay free.
    descriptor = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(null)
    open_stream = ctypes.CDLL(None).fdopen
    open_stream.restype = ctypes.c_void_p
    stream: int = open_stream(descriptor, b"w")
    return stream


_STREAMS, _NOWHERE = _c_streams(), _open_nowhere()
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
_TRIM_EVERY = 8
_disconnected = itertools.count(1)
_turn = threading.RLock()
# A forked process must not inherit streams that another thread has redirected at that moment.
os.register_at_fork(
    before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_turn.release
)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discards what C prints while the block runs.

    PyBullet prints from C (its build time, the links it merges), out of reach of Python's own
    redirection. The process's file descriptors must not change, because other threads and the
    processes that they start print to them meanwhile. So C gets other streams instead. Only what
    C prints in another thread meanwhile is lost too.
    """
    with _turn:
        before = [stream.value for stream in _STREAMS]
        for stream in _STREAMS:
            stream.value = _NOWHERE
        try:
            yield
        finally:
            for stream, was in zip(_STREAMS, before, strict=True):
                stream.value = was


# Import PyBullet from here only: its first import prints.
with silence():
    import pybullet
    import pybullet_data

__all__ = ["connect", "disconnect", "pybullet", "pybullet_data", "silence"]


_WINDOW_BACKGROUND = (
    "--background_color_red=0.9 --background_color_green=0.93 --background_color_blue=0.96"
)


def connect(window: tuple[int, int] | None) -> int:
    """Starts a server.

    Args:
        window: Width and height of PyBullet's window, in pixels; None opens none.

    Returns:
        The client, as every function of PyBullet takes it.

    Raises:
        RuntimeError: If no server can be started or no window opened.
    """
    try:
        if window is None:
            with silence():
                client: int = pybullet.connect(pybullet.DIRECT)
            return client
        width, height = window
        options = f"--width={width} --height={height} {_WINDOW_BACKGROUND}"
        with _display(), silence():
            client = pybullet.connect(pybullet.GUI, options=options)
    except pybullet.error as error:
        if "maximum number" in str(error):
            raise RuntimeError(
                "PyBullet allows a process no more simulations: close environments that are no "
                "longer needed"
            ) from None
        if window is None:
            raise RuntimeError(f"PyBullet cannot start a simulation: {error}") from None
        raise RuntimeError("a process can have one window, and this one has it already") from None
    if client < 0:
        raise RuntimeError("PyBullet could not open its window")
    return client


@contextlib.contextmanager
def _display() -> Iterator[None]:
    """Ensures that there is a display: without one, PyBullet ends the process.

    The connection is held while PyBullet makes its own, because some servers start anew when the
    last client leaves.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    name = os.environ.get("DISPLAY")
    display = None
    with contextlib.suppress(OSError):
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = x11.XOpenDisplay(None)
    if display is None:
        found = f"none answers at {name!r}" if name else "DISPLAY is not set"
        raise RuntimeError(f"render_mode='human' needs a display, and {found}")
    try:
        yield
    finally:
        x11.XCloseDisplay(ctypes.c_void_p(display))


def disconnect(client: int) -> None:
    """Frees a server; does nothing if it is already gone."""
    with contextlib.suppress(pybullet.error), silence():
        pybullet.disconnect(client)
    # glibc keeps memory that is freed in many small pieces: 2 MB a robot, 10 MB if rendered. Giving
    # it back and getting it again takes longer than all else in the life of a server.
    if _trim is not None and next(_disconnected) % _TRIM_EVERY == 0:
        _trim(0)
