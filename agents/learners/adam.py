"""Adam's step without torch's preparations, which take as long as the step itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer


class AdamStep:
    """The step of one of SB3's optimizers, on gradients in separate tensors.

    The moments and counters of the parameters stay in the optimizer's state, which is saved, loaded
    and replaced as usual; the counters are contiguous in memory. An optimizer other than plain Adam
    takes its own step.

    Args:
        optimizer: The optimizer; its parameters are in one group.
        gradients: A gradient for each of its parameters, in order.
    """

    def __init__(self, optimizer: Optimizer, gradients: Sequence[Tensor]) -> None:
        self._optimizer = optimizer
        self._parameters: list[Tensor] = optimizer.param_groups[0]["params"]
        self._gradients = list(gradients)
        self._bound: object = None

    def _bind(self, states: list[dict[str, Tensor]]) -> None:
        for parameter, state in zip(self._parameters, states, strict=True):
            if not state:
                # As Adam's own first step makes them.
                state["step"] = torch.tensor(0.0)
                for moment in ("exp_avg", "exp_avg_sq"):
                    state[moment] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        self._counters = torch.stack([state["step"] for state in states])
        self._steps = list(self._counters)
        for state, step in zip(states, self._steps, strict=True):
            state["step"] = step
        self._means = [state["exp_avg"] for state in states]
        self._squares = [state["exp_avg_sq"] for state in states]

    def __call__(self) -> None:
        """Takes a step at the optimizer's current rate."""
        parameters, gradients = self._parameters, self._gradients
        group, states = self._optimizer.param_groups[0], self._optimizer.state
        if type(self._optimizer) is not Adam or (
            group["amsgrad"]
            or group["maximize"]
            or group["capturable"]
            or group["differentiable"]
            or group["weight_decay"]
        ):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            self._optimizer.step()
            return
        # Loading puts another mapping in its place, starting again empties it.
        if states is not self._bound or len(states) != len(parameters):
            self._bind([states[parameter] for parameter in parameters])
            self._bound = states
        means, squares = self._means, self._squares
        rate, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        self._counters.add_(_ONE)
        if group["fused"]:
            torch._fused_adam_(
                parameters,
                gradients,
                means,
                squares,
                [],
                self._steps,
                lr=rate,
                beta1=beta1,
                beta2=beta2,
                weight_decay=0.0,
                eps=eps,
                amsgrad=False,
                maximize=False,
            )
            return
        # m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², θ ← θ - ηm̂ / (√v̂ + ε)
        count = self._steps[0].item()
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, torch.tensor(beta2))
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, torch.tensor((1 - beta2**count) ** 0.5))
        torch._foreach_add_(roots, torch.tensor(eps))
        torch._foreach_addcdiv_(parameters, means, roots, -(rate / (1 - beta1**count)))


# A tensor, because converting a number to one would take longer than the rest.
_ONE = torch.tensor(1.0)
