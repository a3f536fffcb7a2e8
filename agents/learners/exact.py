"""Learners that make SB3's very updates without autograd, where they can, and else as SB3 does.

A learner is a class of SB3's with another `train`. What it does not cover it leaves to SB3, and
whether it covers the rest on this machine, it tries: BLAS may add in another order elsewhere. The
trial makes updates of a copy of the model with both, from the same random numbers, and compares
every bit.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from torch import Tensor, nn

from agents.learners.networks import MLP, join

_TRIAL_UPDATES = 2
_TRIAL_RATE = 1e-3


class Update(ABC):
    """The update of an algorithm, for one size of the batch.

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
        extractor = model.actor.features_extractor
        self.keys = list(getattr(extractor, "extractors", ()))
        self.states = torch.empty(2 * batch_size, extractor.features_dim)
        self.present_states, self.next_states = self.states[:batch_size], self.states[batch_size:]
        self.action_size = int(np.prod(model.action_space.shape))
        self._beside = torch.empty(batch_size, extractor.features_dim + self.action_size)
        self._pointers: list[Callable[[], int]] | None = None
        self._where: list[int] | None = None
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
        """The actions of a step, in [-1, 1].

        Args:
            features: Of shape `(environments, features)`.
        """

    def load(self, batch: Any) -> None:  # noqa: ANN401 - a named tuple of SB3's
        """Puts the states of a batch in place.

        Args:
            batch: The transitions.
        """
        join(batch.observations, self.keys, self.present_states)
        join(batch.next_observations, self.keys, self.next_states)

    def discounts(self, batch: Any) -> Tensor:  # noqa: ANN401 - a named tuple of SB3's
        """γ where an episode goes on, else 0; of shape `(batch_size, 1)`.

        Args:
            batch: The transitions.
        """
        # Several steps have each their own discount.
        gamma = getattr(batch, "discounts", None)
        going_on: Tensor = 1 - batch.dones
        return going_on.mul_(self.model.gamma if gamma is None else gamma)

    def beside(self, states: Tensor, actions: Tensor) -> Tensor:
        """The critics' input, until the next call.

        Args:
            states: Of shape `(batch_size, features)`.
            actions: Of shape `(batch_size, actions)`.
        """
        return torch.cat([states, actions], 1, out=self._beside)

    def of_actions(self, deltas: list[Tensor]) -> Tensor:
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

    def is_current(self) -> bool:
        """Whether weights and optimizers are where they were at the last call, or the first."""
        model = self.model
        if self._pointers is None:
            self._pointers = [p.data_ptr for net in self.networks for p in net.parameters]
        where = [pointer() for pointer in self._pointers]
        where += [id(model.actor.optimizer), id(model.critic.optimizer)]
        was, self._where = self._where, where
        return was is None or was == where

    def average_targets(self) -> None:
        """θ' ← (1-τ)θ' + τθ, in two roundings as in SB3's `polyak_update`."""
        torch._foreach_mul_(self.averages, torch.tensor(1 - self.model.tau))
        torch._foreach_add_(self.averages, self.averaged, alpha=self.model.tau)


def mean(values: Sequence[float]) -> Any:  # noqa: ANN401 - NumPy's
    """`np.mean`, which takes long for a single value and makes 0.0 of -0.0.

    Args:
        values: At least one.
    """
    return np.mean(values) if len(values) > 1 else np.float64(values[0] + 0.0)


class ExactLearner(OffPolicyAlgorithm):
    """Puts an update without autograd before that of one of SB3's classes.

    Attributes:
        fallback: Why SB3's own `train` is used, in words; `None` where the update is made without
            autograd, and before the first one.
    """

    update_class: ClassVar[type[Update]]
    fallback: str | None = None
    _update: Update | None = None
    _tried: int | None = None

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Makes an update, to SB3's bits.

        Args:
            gradient_steps: Batches to draw and learn from.
            batch_size: Transitions in a batch.
        """
        update = self._current_update(batch_size)
        if update is None:
            super().train(gradient_steps, batch_size)
        else:
            train_without_autograd(self, update, gradient_steps)

    def train_with_autograd(self, gradient_steps: int, batch_size: int) -> None:
        """Makes an update as SB3 does.

        Args:
            gradient_steps: Batches to draw and learn from.
            batch_size: Transitions in a batch.
        """
        super().train(gradient_steps, batch_size)

    def _current_update(self, batch_size: int) -> Update | None:
        update = self._update
        if update is not None and update.batch_size == batch_size and update.is_current():
            return update
        if update is not None or self._tried != batch_size:
            self.fallback, self._tried = why_not(self, batch_size), batch_size
            self._update = None if self.fallback else self.update_class(self, batch_size)
        return self._update

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        update = self._update
        if update is None or self.num_timesteps < learning_starts:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        assert self._last_obs is not None
        scaled = self.policy.scale_action(act(self, update, self._last_obs))
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1, 1)
        return self.policy.unscale_action(scaled), scaled

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_update", "_tried", "fallback"]


def act(model: Any, update: Update, observations: Any) -> NDArray[Any]:  # noqa: ANN401 - SB3's
    """What `model.predict(observations)` gives.

    Args:
        model: SB3's model.
        update: Its update.
        observations: Of all environments.
    """
    unscaled: NDArray[Any]
    with torch.no_grad():
        if isinstance(observations, Mapping):
            parts = [torch.as_tensor(observations[key]).float().flatten(1) for key in update.keys]
            features = torch.cat(parts, 1)
        else:
            features = torch.as_tensor(np.array(observations)).float().flatten(1)
        actions = update.explore(features).numpy()
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
    # The policy's mode means nothing to the layers that are covered, and to set it takes long.
    model._update_learning_rate(update.optimizers)
    with torch.no_grad():
        update.train(gradient_steps)


def why_not(model: Any, batch_size: int) -> str | None:  # noqa: ANN401 - of any algorithm
    """Why a model is updated by SB3's own `train`.

    Args:
        model: A learner's model; it stays as it is, and so do the generators.
        batch_size: Transitions in a batch.

    Returns:
        The reason, or `None` if its update can be made without autograd, to the same bits.
    """
    if (what := _uncovered(model)) is not None:
        return what
    try:
        return _differing(model, batch_size)
    except ValueError as error:  # Torch's, of numbers that are not finite.
        return f"a trial update fails: {str(error).splitlines()[0]}"


def _uncovered(model: Any) -> str | None:  # noqa: ANN401 - of any algorithm
    """What of a model no update without autograd was written for."""
    if model.device.type != "cpu":
        return f"the device {model.device.type} is not covered"
    if model.use_sde:
        return "gSDE is not covered"
    for module, known in zip((model.actor, model.critic), model.update_class.covered, strict=True):
        if type(module) is not known:
            return f"the module {type(module).__name__} is not covered"
        extractor = module.features_extractor
        if type(extractor) not in (FlattenExtractor, CombinedExtractor):
            return f"the features extractor {type(extractor).__name__} is not covered"
        owned = module.optimizer.param_groups
        if len(owned) > 1 or [*map(id, owned[0]["params"])] != [*map(id, module.parameters())]:
            return "an optimizer of groups, or of a part of a module, is not covered"
    for space in _parts(model.observation_space):
        if not isinstance(space, spaces.Box) or is_image_space(space):
            return f"observations in {type(space).__name__}{space.shape} are not covered"
    for module in model.policy.modules():
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            return "modules with hooks are not covered"
    actor = model.actor.latent_pi if hasattr(model.actor, "latent_pi") else model.actor.mu
    for network in (actor, *model.critic.q_networks):
        if (what := _odd_layer(network)) is not None:
            return f"a network with {what} is not covered"
    return None


def _odd_layer(network: nn.Sequential) -> str | None:
    layers = list(network)
    for before, layer in zip([None, *layers], layers, strict=False):
        follows = type(before) is nn.Linear and type(layer) in (nn.ReLU, nn.Tanh)
        if not (follows or (type(layer) is nn.Linear and layer.weight.dtype == torch.float32)):
            return f"a layer {type(layer).__name__}"
    return None if layers else "no hidden layer"


def _parts(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    return list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]


def _differing(model: Any, batch_size: int) -> str | None:  # noqa: ANN401 - of any algorithm
    """In what updates with and without autograd differ, on this machine."""
    steps = max(_TRIAL_UPDATES, getattr(model, "policy_delay", 1))
    with_autograd, without = _twin(model), _twin(model)
    with torch.random.fork_rng(devices=[]):
        # The second time each goes on from the other's state.
        for _ in range(2):
            seed = torch.get_rng_state()
            with_autograd.train_with_autograd(steps, batch_size)
            expected = _state(with_autograd)
            torch.set_rng_state(seed)
            update = without.update_class(without, batch_size)
            train_without_autograd(without, update, steps)
            for what, value in _state(without).items():
                if not _same(value, expected[what]):
                    return f"here, other {what} come of it"
            with_autograd, without = without, with_autograd
        observations = without.replay_buffer.observations(model.n_envs)
        seed = torch.get_rng_state()
        expected, _ = without.predict(observations)
        torch.set_rng_state(seed)
        if not _same(act(without, update, observations), expected):
            return "here, other actions come of it"
    return None


class _Batches:
    """Batches of random numbers in the place of a replay buffer."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - of any algorithm
        self._model = model
        self._generator = torch.Generator().manual_seed(0)

    def sample(self, batch_size: int, env: object = None) -> Any:  # noqa: ANN401 - a named tuple of SB3's
        def draw(space: spaces.Space[Any]) -> Any:  # noqa: ANN401 - of a space's structure
            if isinstance(space, spaces.Dict):
                return {key: draw(part) for key, part in space.items()}
            return torch.randn(batch_size, *space.shape or (), generator=self._generator)

        observed, acting = self._model.observation_space, self._model.action_space
        column = torch.rand(batch_size, 4, generator=self._generator)
        kind = DictReplayBufferSamples if isinstance(observed, spaces.Dict) else ReplayBufferSamples
        several = getattr(self._model, "n_steps", 1) > 1
        return kind(
            observations=draw(observed),
            actions=draw(acting).flatten(1).tanh_(),
            next_observations=draw(observed),
            dones=(column[:, :1] < 0.1).float(),
            rewards=-column[:, 1:2],
            **({"discounts": column[:, 2:3].contiguous()} if several else {}),
        )

    def observations(self, rows: int) -> Any:  # noqa: ANN401 - of a space's structure
        drawn = self.sample(rows).observations
        if isinstance(drawn, Tensor):
            return drawn.numpy()
        return {key: value.numpy() for key, value in drawn.items()}


def _twin(model: Any) -> Any:  # noqa: ANN401 - of any algorithm
    """A copy of a model that learns from random numbers and shares nothing that changes."""
    twin = copy.copy(model)
    # Together, since the optimizers refer to the parameters.
    names = ("policy", "log_ent_coef", "ent_coef_optimizer", "ent_coef_tensor")
    own = {name: vars(model)[name] for name in names if name in vars(model)}
    vars(twin).update(copy.deepcopy(own))
    twin._create_aliases()
    # At a rate of its own: the model's may be one at which nothing stays finite.
    twin.lr_schedule = lambda _: _TRIAL_RATE
    twin.replay_buffer = _Batches(twin)
    twin._vec_normalize_env = None
    twin.set_logger(Logger(folder=None, output_formats=[]))
    return twin


def _state(model: Any) -> dict[str, Any]:  # noqa: ANN401 - of any algorithm
    variables = model._get_torch_save_params()[1]
    return {
        "weights or moments": copy.deepcopy(model.get_parameters()),
        "coefficients": {name: getattr(model, name).detach().clone() for name in variables},
        "random numbers": torch.get_rng_state(),
        "losses": dict(model.logger.name_to_value),
    }


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401 - trees of tensors
    """Whether two trees agree in every bit."""
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Tensor | np.ndarray):
        first, second = (np.asarray(value) for value in (left, right))
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return repr(left) == repr(right)
