"""The processor, which is part of exactness: another one may round, or add, in another order."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np


@lru_cache(maxsize=1)
def processor() -> Mapping[str, str]:
    """Describes the processor that this process runs on.

    Returns:
        Its `model`, and the `instruction_set` that NumPy found at hand, as words.
    """
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "model": _model(),
        "instruction_set": " ".join(simd.get("baseline", []) + simd.get("found", [])),
    }


def processor_changes(noted: Mapping[str, str]) -> tuple[str, ...]:
    """In what this processor is not the one that was noted.

    Args:
        noted: What `processor` gave at the time; empty if nothing was noted.

    Returns:
        One phrase for each difference; empty where exactness can be promised.
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
