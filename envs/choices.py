"""One way to refuse a name: say what was given, what is nearest, and what is valid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def unknown_choice(kind: str, given: object, choices: Iterable[str | None]) -> str:
    """Describes why a name is not among the choices.

    Args:
        kind: What the name stands for, such as `"env"`.
        given: The value that was given.
        choices: The valid names.

    Returns:
        One line, with the nearest choice when one is close.
    """
    names = sorted(map(str, choices))
    hint = f"{asked} " if (asked := _did_you_mean(given, names)) else ""
    return f"unknown {kind} {given!r}: {hint}valid: {', '.join(names)}"


def check_choice(name: str, value: object, choices: Iterable[str | None]) -> None:
    """Refuses a value that is not one of the choices.

    Args:
        name: Of the argument.
        value: Of the argument.
        choices: Its valid values.

    Raises:
        ValueError: If `value` is none of them.
    """
    choices = tuple(choices)
    # What is no name, such as an array, need not be comparable with one.
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(unknown_choice(name, value, choices))


def check_keywords(owner: str, given: Iterable[str], keywords: Iterable[str]) -> None:
    """Refuses keyword arguments that their owner does not take.

    Args:
        owner: Who takes them, for the message.
        given: The keywords that were given.
        keywords: Those that it takes.

    Raises:
        TypeError: If a keyword is unknown. The wording is that of Python's own error, because
            callers look for it to retry without the keyword.
    """
    keywords = tuple(keywords)
    for name in given:
        if name not in keywords:
            listed = ", ".join(keywords) or "no keywords"
            hint = f"; {asked}" if (asked := _did_you_mean(name, keywords)) else ""
            raise TypeError(
                f"{owner} takes {listed}, got an unexpected keyword argument {name!r}{hint}"
            )


def _did_you_mean(given: object, names: Sequence[str]) -> str:
    """Suggests the nearest name; empty if none is near."""
    nearest = get_close_matches(str(given).lower(), names, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else ""
