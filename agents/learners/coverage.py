"""Which models can be updated without autograd, with the same bits, on this machine.

BLAS may add in another order on another machine. Updates are therefore tried on copies of a model
in both ways, from the same random numbers, and compared bit by bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from torch import Tensor, nn

from agents.learners.features import RotationExtractor
from agents.learners.update import act, train_without_autograd

_TRIAL_UPDATES = 2
_TRIAL_RATE = 1e-3


def why_not(model: Any, batch_size: int) -> str | None:  # noqa: ANN401 - of any algorithm
    """Explains why a model must be updated by SB3's own `train`.

    Args:
        model: A learner's model; it stays as it is, and so do the generators.
        batch_size: Transitions in a batch.

    Returns:
        The reason, or `None` if its update can be made without autograd, to the same bits.
    """
    return _uncovered(model) or fails_with(lambda: _differing(model, batch_size))


def fails_with(trial: Callable[[], str | None]) -> str | None:
    """Makes a trial update.

    Args:
        trial: Returns what differs in it.

    Returns:
        That, or why the trial cannot be made.
    """
    try:
        return trial()
    except ValueError as error:  # Torch's, of numbers that are not finite.
        return f"a trial update fails: {str(error).splitlines()[0]}"


def _uncovered(model: Any) -> str | None:  # noqa: ANN401 - of any algorithm
    """Names what in a model no update without autograd covers."""
    owners = (model.actor, model.critic)
    for module, known in zip(owners, model.update_class.covered, strict=True):
        if type(module) is not known:
            return f"the module {type(module).__name__} is not covered"
    if (what := uncovered_surroundings(model, owners)) is not None:
        return what
    actor = model.actor.latent_pi if hasattr(model.actor, "latent_pi") else model.actor.mu
    for network in (actor, *model.critic.q_networks):
        if (what := uncovered_layer(network)) is not None:
            return f"a network with {what} is not covered"
    return None


def uncovered_surroundings(model: Any, owners: Sequence[Any]) -> str | None:  # noqa: ANN401
    """Names what is not covered around a model's networks.

    Args:
        model: SB3's model, of any algorithm.
        owners: The modules that have an optimizer.
    """
    if model.device.type != "cpu":
        return f"the device {model.device.type} is not covered"
    if model.use_sde:
        return "gSDE is not covered"
    for module in owners:
        extractor = module.features_extractor
        if type(extractor) not in (FlattenExtractor, CombinedExtractor, RotationExtractor):
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
    return None


def uncovered_layer(network: Iterable[nn.Module]) -> str | None:
    """Names a layer that is not covered.

    Args:
        network: Layers in order.
    """
    layers = list(network)
    for before, layer in zip([None, *layers], layers, strict=False):
        follows = type(before) is nn.Linear and type(layer) in (nn.ReLU, nn.Tanh)
        if not (follows or (type(layer) is nn.Linear and layer.weight.dtype == torch.float32)):
            return f"a layer {type(layer).__name__}"
    return None if layers else "no hidden layer"


def _parts(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    return list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]


def _differing(model: Any, batch_size: int) -> str | None:  # noqa: ANN401 - of any algorithm
    """Names what differs on this machine between updates with and without autograd."""
    steps = max(_TRIAL_UPDATES, getattr(model, "policy_delay", 1))
    with_autograd, without = twin_of(model), twin_of(model)
    with torch.random.fork_rng(devices=[]):
        # In the second round, each continues from the other's state.
        for _ in range(2):
            seed = torch.get_rng_state()
            with_autograd.train_with_autograd(steps, batch_size)
            expected = state_of(with_autograd)
            torch.set_rng_state(seed)
            update = without.update_class(without, batch_size)
            train_without_autograd(without, update, steps)
            for what, value in state_of(without).items():
                if not same_bits(value, expected[what]):
                    return f"here, other {what} come of it"
            with_autograd, without = without, with_autograd
        observations = without.replay_buffer.observations(model.n_envs)
        seed = torch.get_rng_state()
        expected, _ = without.predict(observations)
        torch.set_rng_state(seed)
        if not same_bits(act(without, update, observations), expected):
            return "here, other actions come of it"
    return None


def random_observations(space: spaces.Space[Any], rows: int, generator: torch.Generator) -> Any:  # noqa: ANN401 - of the space's structure
    """Draws observations.

    Args:
        space: Their space, of which only the shapes matter.
        rows: How many.
        generator: Where they are drawn from.
    """
    if isinstance(space, spaces.Dict):
        return {key: random_observations(part, rows, generator) for key, part in space.items()}
    return torch.randn(rows, *space.shape or (), generator=generator)


class _Batches:
    """Batches of random numbers, as a replay buffer returns them."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - of any algorithm
        self._model = model
        self._generator = torch.Generator().manual_seed(0)

    def sample(self, batch_size: int, env: object = None) -> Any:  # noqa: ANN401 - a named tuple of SB3's
        def draw(space: spaces.Space[Any]) -> Any:  # noqa: ANN401 - of a space's structure
            return random_observations(space, batch_size, self._generator)

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


def twin_of(model: Any) -> Any:  # noqa: ANN401 - of any algorithm
    """Copies a model; the copy learns from random numbers and shares nothing that changes.

    Args:
        model: SB3's model; that of an on-policy algorithm needs a rollout besides.
    """
    twin: Any = copy.copy(model)
    # Together, since the optimizers refer to the parameters.
    names = ("policy", "log_ent_coef", "ent_coef_optimizer", "ent_coef_tensor")
    own = {name: vars(model)[name] for name in names if name in vars(model)}
    vars(twin).update(copy.deepcopy(own))
    if isinstance(model, OffPolicyAlgorithm):
        twin._create_aliases()
        twin.replay_buffer = _Batches(twin)
    # Not at the model's rate, which may be so high that nothing stays finite.
    twin.lr_schedule = lambda _: _TRIAL_RATE
    twin._vec_normalize_env = None
    twin.set_logger(Logger(folder=None, output_formats=[]))
    return twin


def state_of(model: Any) -> dict[str, Any]:  # noqa: ANN401 - of any algorithm
    """Copies all that an update changes.

    Args:
        model: SB3's model.
    """
    variables = model._get_torch_save_params()[1]
    return {
        "weights or moments": copy.deepcopy(model.get_parameters()),
        "coefficients": {name: getattr(model, name).detach().clone() for name in variables},
        "random numbers": torch.get_rng_state(),
        "losses": dict(model.logger.name_to_value),
    }


def same_bits(left: Any, right: Any) -> bool:  # noqa: ANN401 - trees of tensors
    """Tells whether two trees agree in every bit.

    Args:
        left: Mappings and sequences of tensors and arrays.
        right: Likewise.
    """
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same_bits(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same_bits, left, right))
    if isinstance(left, Tensor | np.ndarray):
        first, second = (np.asarray(value) for value in (left, right))
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return repr(left) == repr(right)
