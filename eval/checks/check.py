"""What a check of the constant-rate phase is: a function from evidence to a finding, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log10
from typing import Final

from eval.evidence import Evidence

CLASSES: Final = ("hyperparameters", "data", "architecture")
LEARNED: Final = 0.9
"""Success rate from which on what only slows learning is no suspect."""

_DECADES = 3.0


@dataclass(frozen=True)
class Suspicion:
    """What a check saw.

    Attributes:
        evidence: What was found, in words with numbers.
        threshold: What it was held against, and where that is from.
        strength: From 0, at the threshold, to 1.
        remedy: What to try, as a command where one can do it.
        values: The numbers by name.
        symptom: Whether other faults bring it about, too; then those that were found come first.
    """

    evidence: str
    threshold: str
    strength: float
    remedy: str
    values: Mapping[str, float]
    symptom: bool = False


@dataclass(frozen=True)
class Check:
    """A function that looks for one kind of fault.

    Attributes:
        kind: Name of the fault.
        cause: `"hyperparameters"`, `"data"` or `"architecture"`.
        needs: Columns of `metrics.csv` without which it says nothing.
        look: The function.
    """

    kind: str
    cause: str
    needs: tuple[str, ...]
    look: Callable[[Evidence], Suspicion | None]


CHECKS: dict[str, Check] = {}
"""All checks by kind; `check` adds to them."""


def check(
    kind: str, cause: str, *needs: str
) -> Callable[[Callable[[Evidence], Suspicion | None]], Callable[[Evidence], Suspicion | None]]:
    """Makes a check of a function.

    Args:
        kind: Name of the fault.
        cause: One of `CLASSES`.
        *needs: Columns of `metrics.csv` that it reads.

    Returns:
        A decorator.

    Raises:
        ValueError: If the kind is taken, or there is no such class.
    """
    if kind in CHECKS or cause not in CLASSES:
        raise ValueError(f"a check needs a kind of its own and a class of {CLASSES}, got {kind}")

    def register(
        look: Callable[[Evidence], Suspicion | None],
    ) -> Callable[[Evidence], Suspicion | None]:
        CHECKS[kind] = Check(kind, cause, needs, look)
        return look

    return register


def excess(value: float, threshold: float) -> float:
    """How far a value lies beyond its threshold: 0 there, 1 at a thousand times as much.

    Args:
        value: Positive; below the threshold the result is 0.
        threshold: Positive.
    """
    if value <= threshold:
        return 0.0
    return min(1.0, log10(value / threshold) / _DECADES) if value < float("inf") else 1.0


def retrain(evidence: Evidence, *flags: str) -> str:
    """The command that trains a run again with flags in the place of some of its values.

    Args:
        evidence: Of the run.
        *flags: Flags of `train.py`.
    """
    return " ".join(("python train.py --config", f"{evidence.run.path}/run.json", *flags))


def mend(evidence: Evidence, **changes: str) -> str:
    """The command that trains a run again with values of its config changed that have no flag.

    Args:
        evidence: Of the run.
        **changes: New values, in Python, by key; a key of `hyperparameters` is given as
            `hyperparameters__KEY`, and so on.
    """
    edits = "; ".join(
        "c" + "".join(f"['{part}']" for part in key.split("__")) + f" = {value}"
        for key, value in changes.items()
    )
    return (
        f"python -c \"import json; c = json.load(open('{evidence.run.path}/run.json'))['config']; "
        f"{edits}; json.dump(c, open('mended.json', 'w'))\" && "
        "python train.py --config mended.json"
    )
