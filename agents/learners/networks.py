"""Multilayer perceptrons forward and backward, in the order in which autograd computes.

Every product and sum is the one that autograd would compute, with tensors in the same memory
layout, so the results have the same bits. What is saved is the graph and unused gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.torch_layers import CombinedExtractor
from torch import Tensor, nn

_relu_backward: Any = torch.ops.aten.threshold_backward.grad_input
_tanh_backward: Any = torch.ops.aten.tanh_backward.grad_input


def layers_of(modules: nn.Module) -> list[nn.Module]:
    """Returns the layers of one of SB3's networks, in order.

    Args:
        modules: An `nn.Sequential`, or a layer by itself.
    """
    return list(modules.children()) or [modules]


class MLP:
    """Linear layers followed by ReLU or Tanh, on a batch of fixed size.

    It reads the weights of SB3's modules in place. Its outputs and gradients are in its own
    tensors, which the next pass overwrites.

    Args:
        modules: `nn.Linear`, `nn.ReLU` and `nn.Tanh` in order; each activation follows a linear
            layer.
        rows: Size of the batch in a forward pass.
        rows_back: How many of its first rows a backward pass is made for; all of them by default.

    Attributes:
        parameters: Weights and biases in SB3's order.
        gradients: Of the loss with respect to `parameters`, since the last `backward`.
    """

    def __init__(
        self, modules: Sequence[nn.Module], rows: int, rows_back: int | None = None
    ) -> None:
        linear = [module for module in modules if isinstance(module, nn.Linear)]
        self.parameters = [p for layer in linear for p in (layer.weight, layer.bias)]
        self.gradients = [torch.empty_like(parameter) for parameter in self.parameters]
        self._weights = [layer.weight.detach() for layer in linear]
        self._transposed = [weight.T for weight in self._weights]
        self._biases = [layer.bias.detach() for layer in linear]
        followers = [*modules[1:], None]
        self._activations = [
            type(follower)
            for module, follower in zip(modules, followers, strict=True)
            if isinstance(module, nn.Linear)
        ]
        self._outputs = [torch.empty(rows, layer.out_features) for layer in linear]
        rows_back = rows if rows_back is None else rows_back
        self._kept = [output[:rows_back] for output in self._outputs]
        self._deltas = [torch.empty(rows_back, layer.in_features) for layer in linear]
        self._input: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Computes the outputs, of shape `(rows, outputs)`.

        Args:
            x: Inputs of shape `(rows, inputs)`.
        """
        self._input = x
        for bias, weight, activation, out in zip(
            self._biases, self._transposed, self._activations, self._outputs, strict=True
        ):
            if activation is nn.ReLU:
                x = torch._addmm_activation(bias, x, weight, out=out)
            else:
                x = torch.addmm(bias, x, weight, out=out)
                if activation is nn.Tanh:
                    x.tanh_()
        return x

    def backward(self, delta: Tensor, *, weights: bool = True, inputs: bool = False) -> Tensor:
        """Carries the gradient of a loss from the outputs of the last `forward` backwards.

        Args:
            delta: The gradient with respect to the outputs, of shape `(rows_back, outputs)`; it may
                be overwritten.
            weights: Whether `gradients` are wanted.
            inputs: Whether the gradient with respect to the inputs is wanted.

        Returns:
            The gradient with respect to the inputs, of shape `(rows_back, inputs)`, if wanted.
        """
        assert self._input is not None
        for k in range(len(self._weights) - 1, -1, -1):
            if self._activations[k] is nn.ReLU:
                delta = _relu_backward(delta, self._kept[k], 0, grad_input=delta)
            elif self._activations[k] is nn.Tanh:
                delta = _tanh_backward(delta, self._kept[k], grad_input=delta)
            if weights:
                below = self._kept[k - 1] if k else self._input[: len(delta)]
                torch.mm(delta.T, below, out=self.gradients[2 * k])
                torch.sum(delta, 0, out=self.gradients[2 * k + 1])
            if k or inputs:
                # With a single output, a sum of one product: no need of BLAS.
                product = torch.mul if delta.shape[1] == 1 else torch.mm
                delta = product(delta, self._weights[k], out=self._deltas[k])
        return delta


def through(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Computes the outputs of layers for a batch of any size.

    Args:
        modules: `nn.Linear`, `nn.ReLU` and `nn.Tanh`.
        x: Their inputs.
    """
    for module in modules:
        if isinstance(module, nn.Linear):
            x = torch.addmm(module.bias, x, module.weight.T)
        else:
            x = x.relu_() if isinstance(module, nn.ReLU) else x.tanh_()
    return x


def extract(extractor: nn.Module, observations: Any, out: Tensor | None = None) -> Tensor:  # noqa: ANN401
    """Computes the features of observations, as SB3's policies do.

    Args:
        extractor: One without parameters.
        observations: A batch, as a tensor or by key.
        out: Where they go, of shape `(batch, features)`.

    Returns:
        The features.
    """
    if isinstance(observations, Tensor):
        features = observations.float().flatten(1)
    elif isinstance(extractor, CombinedExtractor):
        parts = [observations[key].float().flatten(1) for key in extractor.extractors]
        return torch.cat(parts, 1, out=out)
    else:
        features = extractor({key: part.float() for key, part in observations.items()})
    return features if out is None else out.copy_(features)
