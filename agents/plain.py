"""Plain data, which JSON can hold, so that a config survives a round trip unchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

_DEEPEST = 20


def plain(path: str, value: object, depth: int = 0) -> Any:  # noqa: ANN401 - the caller knows the kind
    """Converts a value to plain data: tuples and arrays to lists, NumPy numbers to Python's.

    Args:
        path: Place of the value in the config, for the message: keys separated by dots.
        value: Text, a number, true, false, `None`, or lists and mappings of these.
        depth: How deeply the value is already nested.

    Returns:
        A converted copy.

    Raises:
        ValueError: If it holds anything else, or a number that is not finite.
    """
    if depth > _DEEPEST:
        raise ValueError(f"{path[:60]}... is nested too deeply")
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            raise ValueError(f"{path} must be finite, got {float(value)!r}")
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"keys of {path} must be text, got {shown(key)}")
        return {
            str.__str__(key): plain(f"{path}.{key}", entry, depth + 1)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple | np.ndarray):
        entries = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(entries, list | tuple):
            return plain(path, entries, depth + 1)
        return [plain(f"{path}[{i}]", entry, depth + 1) for i, entry in enumerate(entries)]
    raise ValueError(
        f"{path} must be plain data: text, a number, true, false, null, or lists and mappings of "
        f"such, got {shown(value)}"
    )


def shown(value: object) -> str:
    """Shortens a value to one line for a message.

    Args:
        value: Anything.
    """
    try:
        line = " ".join(repr(value).split())
    except ValueError:  # an integer of so many digits that Python does not write them
        line = f"an {type(value).__name__} too long to be shown"
    return line if len(line) <= 120 else f"{line[:117]}..."
