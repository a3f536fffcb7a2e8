"""One way to refuse a name: say what was given, what is valid, and what is nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def check_choice(name: str, value: object, choices: Iterable[str | None]) -> None:
    """Refuse a value that is none of the choices.

    Args:
        name: Of the argument.
        value: Of the argument.
        choices: Its valid values.

    Raises:
        ValueError: `value` is none of them. The message lists them and asks for the nearest.
    """
    choices = tuple(choices)
    # What is no name, such as an array, need not be comparable with one.
    if (value is None or isinstance(value, str)) and value in choices:
        return
    listed = ", ".join(repr(choice) for choice in choices)
    hint = nearest_choice(value, choices)
    raise ValueError(f"{name} must be one of {listed}, got {value!r}{hint}")


def check_keywords(owner: str, given: Iterable[str], keywords: Iterable[str]) -> None:
    """Refuse keyword arguments that their owner does not take.

    Args:
        owner: Who takes them, for the message.
        given: The keywords that were given.
        keywords: Those that it takes.

    Raises:
        TypeError: A keyword is none of them, in words that those look for who can do without it.
    """
    keywords = tuple(keywords)
    for name in given:
        if name not in keywords:
            listed = ", ".join(keywords) or "no keywords"
            raise TypeError(
                f"{owner} takes {listed}, got an unexpected keyword argument {name!r}"
                f"{nearest_choice(name, keywords)}"
            )


def nearest_choice(value: object, choices: Iterable[str | None]) -> str:
    """The end of a refusal that asks for the choice nearest to a value; empty if none is near.

    Args:
        value: What was given.
        choices: What is valid.
    """
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
