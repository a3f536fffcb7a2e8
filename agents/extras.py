"""Packages that only some commands need, and that are installed as extras of this project."""

from __future__ import annotations

from importlib.util import find_spec

from agents.config import ConfigError


def require_extra(what: str, module: str, extra: str) -> None:
    """Checks that the package behind an extra is installed; it is not imported, which may be slow.

    Args:
        what: What needs it, for the message.
        module: Top-level module of the package.
        extra: The extra of this project that installs it.

    Raises:
        ConfigError: If it is not installed; the message has the command that installs it.
    """
    spec = find_spec(module)
    # A folder of that name, such as W&B's own `wandb/`, has a spec too, but no origin.
    if spec is None or spec.origin is None:
        raise ConfigError(f"{what} needs {module}: pip install 'staircase-lab[{extra}]'")
