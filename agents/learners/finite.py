"""Detecting numbers that are not finite in a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.learners.model import optimizers
from agents.learners.training_state import moments

# Undefined where all returns of a rollout are equal.
_UNDEFINED_AT_TIMES = "explained_variance"


class UpdateWatch:
    """Checks the result of each update, at a small part of the update's cost.

    Args:
        model: The model; its parameters stay where they are in memory.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._parameters = {
            name: [p.detach().view(-1) for group in o.param_groups for p in group["params"]]
            for name, o in optimizers(model).items()
        }
        self._all = [parameter for owned in self._parameters.values() for parameter in owned]
        self._moments = moments(model)

    def non_finite(self, losses: Mapping[str, float]) -> str | None:
        """Checks the losses, the parameters and the running statistics.

        Args:
            losses: What the update recorded, by name.

        Returns:
            What is not finite, or `None`.
        """
        for name, loss in losses.items():
            if not math.isfinite(loss) and name != _UNDEFINED_AT_TIMES:
                return f"{name} is {loss}"
        # A sum is much cheaper than checking each entry, but it may overflow if all are finite.
        if not math.isfinite(torch.cat(self._all).sum().item()):
            for name, parameters in self._parameters.items():
                if not _is_finite(parameters):
                    return f"a parameter of {name} is not finite"
        for name, statistic in self._moments.items():
            # A mean that is not finite makes the variance so, too.
            if not math.isfinite(statistic.var.sum()):
                return f"a running statistic, {name}, is not finite"
        return None


def non_finite_state(model: BaseAlgorithm) -> str | None:
    """Checks everything that is trained, and that it gives an action for the last observation.

    Args:
        model: The model; its generators are not drawn from.

    Returns:
        What is not finite, or `None`. Target networks, optimizers and the action are checked too.
    """
    if (what := UpdateWatch(model).non_finite({})) is not None:
        return what
    for name, state in model.get_parameters().items():
        if not _is_finite(state):
            return f"the state of {name} is not finite"
    if model._last_obs is None:
        return None
    # Finite parameters may be so large that the action is not finite.
    try:
        action, _ = model.policy.predict(model._last_obs, deterministic=True)
    except ValueError:
        return "the distribution of actions is not finite"
    return None if np.isfinite(action).all() else "an action is not finite"


def non_finite_cause(model: BaseAlgorithm, error: Exception) -> str | None:
    """Checks whether numbers that are not finite have made a training fail.

    Args:
        model: The model, wherever its training stopped.
        error: The error that stopped it.

    Returns:
        What is not finite, or `None` if the error must have another cause.
    """
    if (what := non_finite_state(model)) is not None:
        return what
    # Torch's words where it was asked for a distribution of other observations than the last.
    if isinstance(error, ValueError) and "found invalid values" in str(error):
        return "the distribution of actions is not finite"
    return None


def _is_finite(tree: object) -> bool:
    if isinstance(tree, torch.Tensor):
        return bool(torch.isfinite(tree).all())
    if isinstance(tree, Mapping):
        return all(map(_is_finite, tree.values()))
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return all(map(_is_finite, tree))
    return True
