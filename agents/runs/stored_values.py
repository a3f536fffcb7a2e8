"""Reading values from JSON that may be damaged; errors name the key."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any


class StoredValueError(ValueError):
    """A value that is missing or wrong; the message is one line that names its key."""


def stored(data: Mapping[str, Any], key: str, within: str = "") -> Any:  # noqa: ANN401 - JSON
    """Returns a required value.

    Args:
        data: JSON data.
        key: The key.
        within: Name of the data, ending in a dot, unless it is the whole file.

    Raises:
        StoredValueError: If it is missing.
    """
    if key not in data:
        raise StoredValueError(f"{within}{key} is missing")
    return data[key]


def stored_mapping(value: object, name: str) -> Mapping[str, Any]:
    """Checks that a value is a JSON object.

    Args:
        value: The value.
        name: What it is called in the file.

    Raises:
        StoredValueError: If it is something else.
    """
    if not isinstance(value, Mapping):
        raise StoredValueError(f"{name} must have keys and values, got {_shown(value)}")
    return value


def stored_text(value: object, name: str) -> str:
    """Checks that a value is text that can be printed and can be part of a path.

    Args:
        value: The value.
        name: What it is called in the file.

    Raises:
        StoredValueError: If it is something else.
    """
    if not isinstance(value, str) or not value.isprintable():
        raise StoredValueError(f"{name} must be text of one line, got {_shown(value)}")
    return value


def stored_integer(value: object, name: str, minimum: int) -> int:
    """Checks that a value is an integer.

    Args:
        value: The value.
        name: What it is called in the file.
        minimum: The least that it may be.

    Raises:
        StoredValueError: If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise StoredValueError(f"{name} must be an integer >= {minimum}, got {_shown(value)}")
    return value


def require_equal(value: object, expected: object, name: str) -> None:
    """Checks that a value agrees with what follows from others.

    Args:
        value: The value.
        expected: JSON data; floats may differ in their last digits, as powers do between machines.
        name: What the value is called in the file.

    Raises:
        StoredValueError: If they differ; the message names the first value that does.
    """
    if isinstance(expected, Mapping):
        found = stored_mapping(value, name)
        for key, wanted in expected.items():
            require_equal(stored(found, key, f"{name}."), wanted, f"{name}.{key}")
        for key in found.keys() - expected.keys():
            raise StoredValueError(f"{name}.{_shown(key)} is unknown")
    elif isinstance(expected, list):
        if not isinstance(value, list):
            raise StoredValueError(f"{name} must be a list, got {_shown(value)}")
        for index, (item, wanted) in enumerate(zip(value, expected, strict=False)):
            require_equal(item, wanted, f"{name}[{index}]")
        if len(value) != len(expected):
            raise StoredValueError(
                f"{name} must have {len(expected)} entries, as the config and the other keys say, "
                f"got {len(value)}"
            )
    elif not _is_equal(value, expected):
        raise StoredValueError(
            f"{name} must be {expected!r}, as the config and the other keys say, "
            f"got {_shown(value)}"
        )


def _is_equal(value: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(value, float):
        return math.isclose(value, expected, rel_tol=1e-9)
    return type(value) is type(expected) and value == expected


def _shown(value: object) -> str:
    return reprlib.repr(value)
