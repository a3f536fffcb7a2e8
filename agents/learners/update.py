"""The base class of updates without autograd, and acting between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.learners.networks import MLP, extract


class Update(ABC):
    """The update of an algorithm, for one batch size.

    Args:
        model: SB3's model.
        batch_size: Transitions in a batch.
    """

    covered: ClassVar[tuple[type[nn.Module], type[nn.Module]]]
    networks: tuple[MLP, ...]
    averaged: list[Tensor]
    averages: list[Tensor]
    optimizers: list[torch.optim.Optimizer]

    def __init__(self, model: Any, batch_size: int) -> None:  # noqa: ANN401 - of any algorithm
        self.model, self.batch_size = model, batch_size
        self.extractor = model.actor.features_extractor
        self.states = torch.empty(2 * batch_size, self.extractor.features_dim)
        self.present_states, self.next_states = self.states[:batch_size], self.states[batch_size:]
        self.action_size = int(np.prod(model.action_space.shape))
        self._critic_input = torch.empty(batch_size, self.extractor.features_dim + self.action_size)
        self._pointers: list[Callable[[], int]] | None = None
        # The derivative of a mean over the batch.
        self.share = torch.full((batch_size, 1), 1.0 / batch_size)

    @abstractmethod
    def train(self, gradient_steps: int) -> None:
        """Takes gradient steps and logs them as SB3's `train` does.

        Args:
            gradient_steps: How many.
        """

    @abstractmethod
    def explore(self, features: Tensor) -> Tensor:
        """Returns the actions of a step, in [-1, 1].

        Args:
            features: Of shape `(environments, features)`.
        """

    def load(self, batch: Any) -> None:  # noqa: ANN401 - a named tuple of SB3's
        """Copies the states of a batch into this update's tensors.

        Args:
            batch: The transitions.
        """
        extract(self.extractor, batch.observations, self.present_states)
        extract(self.extractor, batch.next_observations, self.next_states)

    def discounts(self, batch: Any) -> Tensor:  # noqa: ANN401 - a named tuple of SB3's
        """Returns γ where an episode goes on, else 0; of shape `(batch_size, 1)`.

        Args:
            batch: The transitions.
        """
        # Several steps have each their own discount.
        gamma = getattr(batch, "discounts", None)
        going_on: Tensor = 1 - batch.dones
        return going_on.mul_(self.model.gamma if gamma is None else gamma)

    def critic_input(self, states: Tensor, actions: Tensor) -> Tensor:
        """Returns the critics' input, valid until the next call.

        Args:
            states: Of shape `(batch_size, features)`.
            actions: Of shape `(batch_size, actions)`.
        """
        return torch.cat([states, actions], 1, out=self._critic_input)

    def action_gradient(self, deltas: list[Tensor]) -> Tensor:
        """Sums derivatives with respect to the critics' input, last critic first as autograd does.

        Args:
            deltas: One for each critic.

        Returns:
            The columns of the actions.
        """
        total = deltas[-1]
        for delta in deltas[-2::-1]:
            total = total.add_(delta)
        return total[:, self.states.shape[1] :]

    def addresses(self) -> list[int]:
        """Returns the addresses of its tensors and of their owners, to detect replaced ones."""
        if self._pointers is None:
            self._pointers = [p.data_ptr for net in self.networks for p in net.parameters]
        model = self.model
        owners = (
            model.actor.optimizer,
            model.critic.optimizer,
            vars(model).get("ent_coef_optimizer"),
        )
        return [*(pointer() for pointer in self._pointers), *map(id, owners)]

    def average_targets(self) -> None:
        """Computes θ' ← (1-τ)θ' + τθ, rounding twice as SB3's `polyak_update` does."""
        torch._foreach_mul_(self.averages, torch.tensor(1 - self.model.tau))
        torch._foreach_add_(self.averages, self.averaged, alpha=self.model.tau)


def mean(values: Sequence[float]) -> Any:  # noqa: ANN401 - NumPy's
    """Computes `np.mean`, which is slow for a single value and turns -0.0 into 0.0.

    Args:
        values: At least one.
    """
    return np.mean(values) if len(values) > 1 else np.float64(values[0] + 0.0)


def act(model: Any, update: Update, observations: Any) -> NDArray[Any]:  # noqa: ANN401 - SB3's
    """Computes the result of `model.predict(observations)`.

    Args:
        model: SB3's model.
        update: Its update.
        observations: Of all environments.
    """
    unscaled: NDArray[Any]
    with torch.no_grad():
        tensors = (
            {key: torch.as_tensor(part) for key, part in observations.items()}
            if isinstance(observations, Mapping)
            else torch.as_tensor(np.array(observations))
        )
        actions = update.explore(extract(update.extractor, tensors)).numpy()
    if not np.isfinite(actions).all():
        unscaled, _ = model.predict(observations)  # SB3 says what is wrong.
        return unscaled
    unscaled = model.policy.unscale_action(actions.reshape(-1, *model.action_space.shape))
    return unscaled


def train_without_autograd(model: Any, update: Update, gradient_steps: int) -> None:  # noqa: ANN401
    """Makes an update to SB3's bits.

    Args:
        model: A learner's model.
        update: Its update.
        gradient_steps: Batches to draw and learn from.
    """
    # The training mode is not set: it does not affect these layers, and setting it is slow.
    model._update_learning_rate(update.optimizers)
    with torch.no_grad():
        update.train(gradient_steps)
