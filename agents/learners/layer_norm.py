"""Layer normalisation in SB3's networks, which have no place for it but their activations."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class _LayerNormActivation(nn.Module):
    """Normalises the units of each example and applies an activation.

    Ba et al., "Layer Normalization" (2016), without gain and bias of their own: the linear layer
    that follows has both.
    """

    kind: ClassVar[type[nn.Module]]

    def __init__(self) -> None:
        super().__init__()
        self.activation = self.kind()

    def forward(self, x: Tensor) -> Tensor:
        """Computes the outputs of a layer.

        Args:
            x: What its units sum up, shape (batch, units).
        """
        y: Tensor = self.activation(torch.layer_norm(x, x.shape[-1:]))
        return y


class LayerNormReLU(_LayerNormActivation):
    """Layer normalisation, then ReLU."""

    kind = nn.ReLU


class LayerNormTanh(_LayerNormActivation):
    """Layer normalisation, then Tanh."""

    kind = nn.Tanh
