"""Numbers that tell how a network or a batch fares: pure functions of tensors and arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DORMANT_BELOW = 0.025
RANK_LEFT_OUT = 0.01
_NEAREST_AMONG = 256


def norm(tensors: Sequence[Tensor]) -> float:
    """The Euclidean length of several tensors laid end to end.

    Args:
        tensors: Of any shapes.
    """
    return float(torch.stack([t.norm() for t in tensors]).norm()) if tensors else 0.0


def gradient_noise_scale(one: Sequence[Tensor], other: Sequence[Tensor], size: int) -> float:
    """B = tr Σ / |G|²: the batch size at which a gradient is as much noise as signal.

    McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), eq. 2.8. With gradients
    g₁, g₂ of two disjoint halves of n examples, g₁·g₂ estimates |G|² and n |g₁ - g₂|² / 4 estimates
    tr Σ, both without bias.

    Args:
        one: Gradient of the mean loss of one half, by parameter.
        other: That of the other half.
        size: n.

    Returns:
        The scale in examples; infinite where the halves disagree altogether (g₁·g₂ <= 0).
    """
    signal = sum(float((a * b).sum()) for a, b in zip(one, other, strict=True))
    apart = sum(float((a - b).square().sum()) for a, b in zip(one, other, strict=True))
    return size * apart / 4 / signal if signal > 0 else float("inf")


def weight_gain(weights: Sequence[Tensor]) -> float:
    """The largest of √n RMS(W) over the layers, n the inputs of a unit.

    It is how much a layer amplifies independent inputs; torch begins at 0.58 (1 / √3), and He et
    al., "Delving Deep into Rectifiers" (2015), at 1.41, which keeps their size through ReLUs.

    Args:
        weights: Of each layer, shape (units, inputs, ...); vectors are passed over.
    """
    matrices = [w.flatten(1) for w in weights if w.dim() > 1]
    return max((float(w.square().sum(1).mean().sqrt()) for w in matrices), default=float("nan"))


def dormant_share(layers: Sequence[Tensor], below: float = DORMANT_BELOW) -> float:
    """Share of the hidden units that are τ-dormant.

    Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (2023), def. 3.1:
    a unit is, if its mean absolute activation is at most τ times the mean of its layer's.

    Args:
        layers: Activations of each hidden layer, of shape (batch, units) or (batch, channels, ...).
        below: τ.

    Returns:
        A share in [0, 1].
    """
    asleep = [dormant_units(layer, below) for layer in layers]
    units = sum(map(len, asleep))
    return sum(int(a.sum()) for a in asleep) / units if units else float("nan")


def dormant_units(layer: Tensor, below: float = DORMANT_BELOW) -> Tensor:
    """Which units of a hidden layer are τ-dormant, as `dormant_share` says.

    Args:
        layer: Activations, of shape (batch, units) or (batch, channels, ...).
        below: τ.

    Returns:
        Truth values of shape (units,).
    """
    sizes = layer.abs().flatten(2).mean(2) if layer.dim() > 2 else layer.abs()
    score = sizes.mean(0)
    return score <= below * score.mean()


def effective_rank(features: Tensor, left_out: float = RANK_LEFT_OUT) -> int:
    """srank_δ: the fewest singular values that make up 1 - δ of the sum of all of them.

    Kumar et al., "Implicit Under-Parameterization Inhibits Data-Efficient Deep Reinforcement
    Learning" (2021), section 3.

    Args:
        features: Shape (batch, units).
        left_out: δ.

    Returns:
        From 0, for features that are all 0, to the number of units.
    """
    rows, columns = features.shape
    # The roots of a Gram matrix's eigenvalues, in double precision, cost a tenth of an SVD.
    wide = features.double()
    gram = wide.T @ wide if columns <= rows else wide @ wide.T
    values = torch.linalg.eigvalsh(gram).clamp_(min=0).sqrt_().flip(0)
    total = float(values.sum())
    if total <= 0:
        return 0
    return int((values.cumsum(0) < (1 - left_out) * total).sum()) + 1


def unpredictable_share(
    before: NDArray[np.float64], actions: NDArray[np.float64], after: NDArray[np.float64]
) -> float:
    """How much of an observation no linear model of the one before and the action explains.

    Least squares of after on (1, before, actions), by entry: 1 - R². The lowest decile over the
    entries that vary is taken. Where a thing is follows from where it was, so some entries are
    always predictable, while contacts make others hard to predict in any case; noise falls on all.

    Args:
        before: Observations, shape (transitions, entries).
        actions: Shape (transitions, actions).
        after: The observations that followed.

    Returns:
        A share in [0, 1]; NaN if there are too few transitions or nothing varies.
    """
    varying = (after.std(0) > 1e-9) & ((after - before).std(0) > 1e-9)
    if not varying.any() or len(before) < 4 * (before.shape[1] + actions.shape[1] + 1):
        return float("nan")
    following = after[:, varying] / after[:, varying].std(0)
    scaled = (before - before.mean(0)) / np.maximum(before.std(0), 1e-9)
    inputs = np.concatenate([np.ones((len(before), 1)), scaled, actions], 1)
    # A trace of ridge keeps entries that repeat each other harmless.
    gram = inputs.T @ inputs + 1e-6 * len(inputs) * np.eye(inputs.shape[1])
    rest = following - inputs @ np.linalg.solve(gram, inputs.T @ following)
    return float(np.quantile(rest.var(0), 0.1))


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's correlation of two quantities.

    Args:
        one: Shape (n,).
        other: Likewise.

    Returns:
        From -1 to 1; NaN where one of them does not vary.
    """
    apart, beside = (part - part.mean() if len(part) else part for part in (one, other))
    size = float(np.linalg.norm(apart) * np.linalg.norm(beside))
    return float(apart @ beside) / size if size > 1e-12 else float("nan")


def mean_distance_to_nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Mean over points of the distance to the nearest of other points.

    Args:
        points: Shape (n, dimensions); of more than 256, some are taken, evenly spread.
        others: Shape (m, dimensions); likewise.
    """
    points, others = (p[:: -(-len(p) // _NEAREST_AMONG)] for p in (points, others))
    # |a - b|² - |a|² = |b|² - 2ab tells which is nearest in a tenth of the time of differences.
    nearest = ((others**2).sum(1) - 2.0 * points @ others.T).argmin(1)
    return float(np.linalg.norm(points - others[nearest], axis=1).mean())


def input_shape(inputs: NDArray[np.float64], clip: float | None) -> tuple[float, float, float]:
    """What the networks' inputs look like.

    Args:
        inputs: Shape (batch, entries), as the networks get them.
        clip: Where a normaliser clips them; `None` without one.

    Returns:
        The share of entries that are constant, the share of numbers at the clip (NaN without one),
        and the decimal logarithm of the largest deviation over the median of the rest. The smallest
        would not do: how a thing turns that is seldom touched hardly varies in a batch.
    """
    deviation = inputs.std(0)
    varying = deviation > 1e-6 * np.maximum(1e-3, np.abs(inputs).max(0))
    clipped = float("nan") if clip is None else float((np.abs(inputs) >= clip - 1e-6).mean())
    spread = (
        float(np.log10(deviation[varying].max() / np.median(deviation[varying])))
        if varying.any()
        else float("nan")
    )
    return 1 - float(varying.mean()), clipped, spread
