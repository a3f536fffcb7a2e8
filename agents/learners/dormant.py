"""Gives dormant units another start: ReDo of Sokar et al. (2023)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor, nn

from agents.learners.measures import dormant_units

_BATCH = 256


@dataclass(frozen=True)
class _Hidden:
    """A hidden layer: what makes its units, where they come out, and what reads them."""

    layer: nn.Linear
    activation: nn.Module
    readers: list[nn.Linear]


def reset_dormant_units(model: OffPolicyAlgorithm) -> None:
    """Draws the incoming weights of dormant units anew and sets their outgoing ones to 0.

    Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (2023), algorithm
    1. What the optimizers remember of these weights is forgotten, and target networks get the same
    weights. Dormancy is judged on a batch from the replay buffer; like the new weights, it is drawn
    from the generators of the process.

    Args:
        model: The model, between an update and the next step.
    """
    acting: Any = model
    assert model.replay_buffer is not None
    batch: Any = model.replay_buffer.sample(_BATCH, env=acting._vec_normalize_env)
    inputs = {"actor": (batch.observations,), "critic": (batch.observations, batch.actions)}
    for name, arguments in inputs.items():
        network = getattr(acting, name)
        target = getattr(acting, f"{name}_target", None)
        hidden = list(_hidden_layers(network))
        outputs = _outputs(network, hidden, arguments)
        mirrors: list[_Hidden | None] = (
            [None] * len(hidden) if target is None else [*_hidden_layers(target)]
        )
        for one, units, mirror in zip(hidden, outputs, mirrors, strict=True):
            _reset(one, dormant_units(units), network.optimizer, mirror)


def _hidden_layers(network: Any) -> Iterator[_Hidden]:  # noqa: ANN401 - an actor or critic of SB3
    heads = [
        head
        for name in ("mu", "log_std")
        if isinstance(head := getattr(network, name, None), nn.Linear)
    ]
    for part in network.modules():
        if not isinstance(part, nn.Sequential):
            continue
        modules = list(part)
        linear = [(k, module) for k, module in enumerate(modules) if isinstance(module, nn.Linear)]
        for (place, layer), (_, reader) in pairwise(linear):
            yield _Hidden(layer, modules[place + 1], [reader])
        if linear and heads and linear[-1][0] + 1 < len(modules):
            place, layer = linear[-1]
            yield _Hidden(layer, modules[place + 1], heads)


@torch.no_grad()
def _outputs(network: nn.Module, hidden: list[_Hidden], arguments: tuple[Any, ...]) -> list[Tensor]:
    """Activations of each hidden layer for a batch, of shape (batch, units)."""
    kept: dict[int, Tensor] = {}
    handles = [
        one.activation.register_forward_hook(
            lambda _module, _inputs, output, place=place: kept.__setitem__(place, output)
        )
        for place, one in enumerate(hidden)
    ]
    training = network.training
    network.train(False)
    try:
        network(*arguments)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return [kept[place] for place in range(len(hidden))]


@torch.no_grad()
def _reset(
    hidden: _Hidden, dormant: Tensor, optimizer: torch.optim.Optimizer, mirror: _Hidden | None
) -> None:
    fresh = copy.deepcopy(hidden.layer)
    fresh.reset_parameters()
    for own, new in zip(hidden.layer.parameters(), fresh.parameters(), strict=True):
        own[dormant] = new[dormant]
        _forget(optimizer, own, dormant)
    for reader in hidden.readers:
        reader.weight[:, dormant] = 0.0
        _forget(optimizer, reader.weight, (slice(None), dormant))
    if mirror is not None:
        for theirs, own in zip(mirror.layer.parameters(), hidden.layer.parameters(), strict=True):
            theirs[dormant] = own[dormant]
        for reader in mirror.readers:
            reader.weight[:, dormant] = 0.0


def _forget(optimizer: torch.optim.Optimizer, weights: Tensor, where: Any) -> None:  # noqa: ANN401
    for moment in optimizer.state.get(weights, {}).values():
        if isinstance(moment, Tensor) and moment.shape == weights.shape:
            moment[where] = 0.0
