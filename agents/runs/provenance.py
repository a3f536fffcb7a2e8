"""The packages, code and processor that made a run; all of them affect its bits."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

_PACKAGES = (
    *("gymnasium", "numpy", "pybullet", "sb3-contrib", "stable-baselines3", "torch"),
    "staircase-lab",
)
_FORK = "pybullet-arm64"
"""Has the module of pybullet for Pythons for which that has no wheels."""


def installed_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that affect a run's outcome."""
    return dict(_installed_versions())


@lru_cache(maxsize=1)  # a study asks for every segment, and a process keeps what it imported
def _installed_versions() -> Mapping[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    if versions["pybullet"] == "unknown":
        with suppress(PackageNotFoundError):
            versions["pybullet"] = f"{version(_FORK)} ({_FORK})"
    return versions


def version_changes(versions: Mapping[str, str]) -> tuple[str, ...]:
    """Lists packages whose installed version differs from the recorded one.

    Args:
        versions: The recorded result of `installed_versions`.

    Returns:
        `"name old -> new"` for each difference; empty if exactness can be promised.
    """
    installed = installed_versions()
    return tuple(
        f"{name} {versions.get(name)} -> {installed.get(name)}"
        for name in sorted(versions.keys() | installed.keys())
        if versions.get(name) != installed.get(name)
    )


def git_revision() -> str | None:
    """Returns the commit of the code, or `None` outside a git checkout.

    `+changes` is appended if there are uncommitted changes to code that affects a run.
    """
    root = Path(__file__).resolve().parents[2]
    try:
        revision, changes = (
            subprocess.run(
                ["git", *command],
                cwd=root,
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for command in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--", "agents", "envs", "schedules"],
            )
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{revision}+changes" if changes else revision


@lru_cache(maxsize=1)
def processor() -> Mapping[str, str]:
    """Describes the processor that this process runs on.

    Returns:
        Its `model`, and the `instruction_set` extensions that NumPy detected.
    """
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "model": _model(),
        "instruction_set": " ".join(simd.get("baseline", []) + simd.get("found", [])),
    }


def processor_changes(noted: Mapping[str, str]) -> tuple[str, ...]:
    """Lists how this processor differs from the recorded one.

    Args:
        noted: The recorded result of `processor`; empty if nothing was recorded.

    Returns:
        A phrase for each difference; empty if exactness can be promised.
    """
    if not noted:
        return ()
    here = processor()
    changes = []
    if here["model"] != noted.get("model"):
        changes.append(f"{noted.get('model')} -> {here['model']}")
    before, now = (set(p.get("instruction_set", "").split()) for p in (noted, here))
    if before - now:
        changes.append(f"without {' '.join(sorted(before - now))}")
    if now - before:
        changes.append(f"with {' '.join(sorted(now - before))}")
    return tuple(changes)


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
