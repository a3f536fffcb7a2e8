"""Command lines from dataclasses, with one-line errors."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import tyro

from agents.config import ConfigError
from agents.runs.directory import RunError

ArgumentsT = TypeVar("ArgumentsT")


def parse_arguments(
    arguments: type[ArgumentsT], prog: str, args: Sequence[str] | None = None
) -> ArgumentsT:
    """Fills a dataclass from the command line; its docstrings are the help.

    Args:
        arguments: The dataclass, or a union of such with `tyro` subcommand annotations.
        prog: How the program is called.
        args: The words of the command line, without the program; those of the process if `None`.

    Returns:
        The filled dataclass.

    Raises:
        SystemExit: With code 0 after `--help`; with code 2 after one line on standard error for
            words that do not fit.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                arguments,
                prog=prog,
                args=args,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as stop:
        if stop.code:
            print(f"{prog}: {_one_line(complaint.getvalue())}", file=sys.stderr)  # noqa: T201
        raise


def called_as(script: str, otherwise: str) -> str:
    """How the user called the program, which help, completions and complaints repeat.

    Args:
        script: Name of the installed script.
        otherwise: What to say if that was not it.
    """
    return script if Path(sys.argv[0]).stem == script else otherwise


def _one_line(explanation: str) -> str:
    """Reduces tyro's explanation, framed or in plain ASCII, to its message and suggestion."""
    framed = "╭" in explanation
    rows = [row.strip(" │") for row in explanation.splitlines() if not row.startswith(("╭", "╰"))]
    parts = re.split(r"\s*[─-]{10,}\s*", " ".join(row for row in rows if row))
    message, *rest = parts if framed else parts[1:]
    message = re.sub(r" Got errors:.*", "", message).strip()
    suggestion = re.search(r"Perhaps you meant:\s*(--[\w-]+)", " ".join(rest))
    return f"{message} (did you mean {suggestion[1]}?)" if suggestion else message


@contextlib.contextmanager
def user_errors(prog: str) -> Iterator[None]:
    """Turns errors that the user can fix into one line and an exit code.

    Args:
        prog: How the program is called.

    Raises:
        SystemExit: With code 2 for an invalid config, 1 for a run that cannot be used.
    """
    try:
        yield
    except (ConfigError, RunError) as error:
        print(f"{prog}: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from error
