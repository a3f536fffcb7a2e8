"""The checks of a constant-rate phase: what is imported here has put itself into `CHECKS`.

A new check is a function with the decorator `check`, in a file of its own or one of these.
"""

from eval.checks import architecture, data, hyperparameters
from eval.checks.check import CHECKS, Check, Suspicion, check

__all__ = [
    "CHECKS",
    "Check",
    "Suspicion",
    "architecture",
    "check",
    "data",
    "hyperparameters",
]
