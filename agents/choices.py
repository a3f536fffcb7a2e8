"""One way to refuse a name: say what was given, what is nearest, and what is valid."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown_choice(kind: str, given: object, choices: Iterable[str]) -> str:
    """Words the refusal of a name that is not among the choices.

    Args:
        kind: What the name stands for, such as `"env"`.
        given: The value that was given.
        choices: The valid names.

    Returns:
        One line, with the nearest choice when one is close.
    """
    names = sorted(choices)
    nearest = get_close_matches(str(given).lower(), names, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"unknown {kind} {given!r}: {hint}valid: {', '.join(names)}"
