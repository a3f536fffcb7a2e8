"""Valid values for the keys of `hyperparameters`, `her`, `action_noise` and `normalize`.

SB3 checks few of them itself, and some only when they are used. What is not listed here is left to
SB3 and to the trial that precedes every run (`agents.learners.trial`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agents.plain import shown
from envs.choices import unknown_choice

NORMALIZED_KEYS = ("observation", "achieved_goal", "desired_goal")
"""Entries of an observation that are numbers, not pictures."""

_ACTIVATIONS = (
    *("ELU", "GELU", "Identity", "Mish", "ReLU"),
    *("SELU", "Sigmoid", "SiLU", "Softplus", "Tanh"),
)
_OPTIMIZERS = ("Adagrad", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD")
CLASSES: dict[str, dict[str, str]] = {
    "activation_fn": {name.lower(): f"torch.nn.{name}" for name in _ACTIVATIONS}
    | {
        "leaky_relu": "torch.nn.LeakyReLU",
        "layer_norm_relu": "agents.learners.layer_norm.LayerNormReLU",
        "layer_norm_tanh": "agents.learners.layer_norm.LayerNormTanh",
    },
    "features_extractor_class": {"rotation": "agents.learners.features.RotationExtractor"},
    "optimizer_class": {name.lower(): f"torch.optim.{name}" for name in _OPTIMIZERS},
}
"""For each key of `policy_kwargs` that takes a class: the class's full name by its short one."""

RESERVED = {
    "action_noise": "the config key action_noise",
    "device": "the config key device",
    "env": "the config key env",
    "learning_rate": "the config key schedule",
    "replay_buffer_class": "the config key her",
    "replay_buffer_kwargs": "the config key her",
    "seed": "the config key seed",
    "tensorboard_log": "the run directory",
    "verbose": "--quiet",
}
"""Arguments of the SB3 classes that the config says elsewhere, and where."""


@dataclass(frozen=True)
class _Domain:
    """The valid values of a key, in words and as a test of a plain value."""

    words: str
    holds: Callable[[Any], bool]

    def __or__(self, other: _Domain) -> _Domain:
        return _Domain(f"{self.words} or {other.words}", lambda x: self.holds(x) or other.holds(x))


def _real(x: object) -> bool:
    """Tells whether a value is a number that fits a float."""
    return type(x) in (int, float) and abs(x) <= sys.float_info.max  # type: ignore[arg-type]


def _integer(minimum: int, maximum: int | None = None) -> _Domain:
    if maximum is None:
        return _Domain(f"an integer >= {minimum}", lambda x: type(x) is int and x >= minimum)
    return _Domain(
        f"an integer from {minimum} to {maximum}",
        lambda x: type(x) is int and minimum <= x <= maximum,
    )


def _number(minimum: float, maximum: float = math.inf) -> _Domain:
    words = f">= {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"
    return _Domain(f"a number {words}", lambda x: _real(x) and minimum <= x <= maximum)


def _above(minimum: float) -> _Domain:
    return _Domain(f"a number > {minimum}", lambda x: _real(x) and x > minimum)


def _exactly(value: object, words: str) -> _Domain:
    return _Domain(words, lambda x: type(x) is type(value) and x == value)


def _name(names: Collection[str]) -> _Domain:
    *most, last = sorted(names)
    words = f"{', '.join(most)} or {last}" if most else last
    return _Domain(words, lambda x: type(x) is str and x in names)


def _automatic(x: object) -> bool:
    """Tells whether SB3 reads a value as a learned entropy coefficient."""
    if not isinstance(x, str):
        return False
    word, _, start = x.partition("_")
    try:
        return x == "auto" or (word == "auto" and 0 < float(start) < math.inf)
    except ValueError:
        return False


def _layers(x: object) -> bool:
    return isinstance(x, list) and all(type(size) is int and size >= 1 for size in x)


def _networks(*keys: str) -> _Domain:
    first, second = keys
    return _Domain(
        f"a list of layers' sizes, integers >= 1, or a mapping of {first} and {second} to such",
        lambda x: (
            _layers(x)
            or (isinstance(x, dict) and x.keys() == set(keys) and all(map(_layers, x.values())))
        ),
    )


_FLAG = _Domain("true or false", lambda x: type(x) is bool)
_FRACTION = _number(0, 1)
_NULL = _Domain("null", lambda x: x is None)
_MAPPING = _Domain("a mapping", lambda x: isinstance(x, dict))
_STEPS = _Domain(
    "the steps from one update to the next, an integer n >= 1 or [n, step]",
    lambda x: (
        _integer(1).holds(x)
        or (isinstance(x, list) and len(x) == 2 and _integer(1).holds(x[0]) and x[1] == "step")
    ),
)
_BATCH = _integer(1, 10**6)

_HYPERPARAMETERS = {
    "batch_size": _BATCH,
    "buffer_size": _integer(1),
    "cg_damping": _number(0),
    "cg_max_steps": _integer(1),
    "clip_range": _above(0),
    "clip_range_vf": _above(0) | _NULL,
    "gae_lambda": _FRACTION,
    "gamma": _FRACTION,
    "gradient_steps": _integer(1) | _exactly(-1, "-1 (as many as steps)"),
    "learning_starts": _integer(0),
    "line_search_max_iter": _integer(1),
    "line_search_shrinking_factor": _FRACTION,
    "max_grad_norm": _above(0),
    "n_critic_updates": _integer(1),
    "n_epochs": _integer(1),
    "normalize_advantage": _FLAG,
    "policy_delay": _integer(1),
    "policy": _exactly("MultiInputPolicy", "MultiInputPolicy, as observations come by key"),
    "policy_kwargs": _MAPPING | _NULL,
    "rms_prop_eps": _above(0),
    "sde_sample_freq": _integer(1) | _exactly(-1, "-1 (once a rollout)"),
    "stats_window_size": _integer(1, 10**6),
    "sub_sampling_factor": _exactly(1, "1, as observations by key cannot be sub-sampled"),
    "target_entropy": _Domain("a number", _real) | _exactly("auto", "auto"),
    "target_noise_clip": _number(0),
    "target_policy_noise": _number(0),
    "target_update_interval": _integer(1),
    "tau": _FRACTION,
    "top_quantiles_to_drop_per_net": _integer(0),
    "train_freq": _STEPS,
    "use_rms_prop": _FLAG,
    "use_sde": _FLAG,
    "use_sde_at_warmup": _FLAG,
    "vf_coef": _number(0),
}
_OFF_POLICY = {
    "ent_coef": _number(0) | _Domain("auto or auto_START", _automatic),
    "n_steps": _exactly(1, "1, as hindsight and observations by key know no n-step returns"),
    "optimize_memory_usage": _exactly(False, "false, as observations by key do not allow it"),
}
_ON_POLICY = {
    "ent_coef": _number(0),
    "n_steps": _integer(1),
    "target_kl": _above(0) | _NULL,
}

_POLICY_KWARGS = {
    "activation_fn": _name(CLASSES["activation_fn"]),
    "batch_norm": _FLAG,
    "batch_norm_eps": _above(0),
    "batch_norm_momentum": _FRACTION,
    "clip_mean": _number(0),
    "features_extractor_class": _name(CLASSES["features_extractor_class"]),
    "features_extractor_kwargs": _MAPPING | _NULL,
    "full_std": _FLAG,
    "log_std_init": _number(-20, 20),
    "n_critics": _integer(1),
    "n_quantiles": _integer(1),
    "normalize_images": _FLAG,
    "optimizer_class": _name(CLASSES["optimizer_class"]),
    "optimizer_kwargs": _MAPPING | _NULL,
    "ortho_init": _FLAG,
    "renorm_warmup_steps": _integer(0),
    "share_features_extractor": _FLAG,
    "squash_output": _FLAG,
    "use_expln": _FLAG,
}

_HER = {
    "copy_info_dict": _exactly(False, "false, as infos are not part of a snapshot"),
    "goal_selection_strategy": _name(("episode", "final", "future")),
    "handle_timeout_termination": _FLAG,
    "n_sampled_goal": _integer(0),
    "skip_lost": _FLAG,
    "skip_reached": _FLAG,
}

HINDSIGHT_ARGUMENTS = ("goal_selection_strategy", "n_sampled_goal", "skip_lost", "skip_reached")
"""Arguments of hindsight replay that a fork may change: they say how batches are drawn."""

SURVIVED_HYPERPARAMETERS = frozenset(
    {
        *("batch_size", "gamma", "gradient_steps", "max_grad_norm", "n_epochs", "tau"),
        *("ent_coef", "target_entropy", "policy_delay", "target_policy_noise"),
        *("target_noise_clip", "target_update_interval", "top_quantiles_to_drop_per_net"),
        *("clip_range", "clip_range_vf", "gae_lambda", "normalize_advantage", "target_kl"),
        *("vf_coef", "n_critic_updates", "cg_damping", "cg_max_steps", "line_search_max_iter"),
        "line_search_shrinking_factor",
    }
)
"""Hyperparameters that a fork may change: no part of a snapshot's state has their shape."""

_ACTION_NOISE = {"kind": _name(("normal", "ornstein-uhlenbeck")), "sigma": _above(0)}

_NORMALIZE = {
    "clip_obs": _above(0),
    "clip_reward": _above(0),
    "epsilon": _above(0),
    "gamma": _FRACTION,
    "norm_obs": _FLAG,
    "norm_obs_keys": _Domain(
        f"a list of {', '.join(NORMALIZED_KEYS)} (SB3 scales pixels itself)",
        lambda x: isinstance(x, list) and all(key in NORMALIZED_KEYS for key in x),
    )
    | _NULL,
    "norm_reward": _FLAG,
    "training": _FLAG,
}


def check_hyperparameters(values: Mapping[str, Any], *, off_policy: bool) -> None:
    """Checks the keyword arguments of an algorithm.

    Args:
        values: The arguments, plain data.
        off_policy: Whether the algorithm learns from a replay buffer.

    Raises:
        ValueError: If a value is invalid for its key, or would be ignored.
    """
    for name in values:
        if name in RESERVED:
            raise ValueError(f"hyperparameter {name!r} is set by {RESERVED[name]}")
    path = "hyperparameters"
    _check(path, values, {**_HYPERPARAMETERS, **(_OFF_POLICY if off_policy else _ON_POLICY)})
    policy_kwargs = values.get("policy_kwargs") or {}
    networks = _networks("pi", "qf" if off_policy else "vf")
    _check(f"{path}.policy_kwargs", policy_kwargs, {**_POLICY_KWARGS, "net_arch": networks})
    if "use_sde" in policy_kwargs:
        raise ValueError(f"{path}.policy_kwargs.use_sde is set by {path}.use_sde")
    if "lr" in (policy_kwargs.get("optimizer_kwargs") or {}):
        raise ValueError(f"{path}.policy_kwargs.optimizer_kwargs.lr is set by the key schedule")
    _check_effect(values, policy_kwargs, off_policy=off_policy)


def check_hindsight_arguments(values: Mapping[str, Any]) -> None:
    """Checks the keyword arguments of hindsight replay.

    Args:
        values: What the config key `her` holds, plain data.

    Raises:
        ValueError: If a key is unknown or a value is invalid for its key.
    """
    _check("her", values, _HER, closed=True)


def check_action_noise(values: Mapping[str, Any]) -> None:
    """Checks the description of an action noise.

    Args:
        values: What the config key `action_noise` holds, plain data.

    Raises:
        ValueError: If a key is unknown or missing, or a value is invalid for its key.
    """
    _check("action_noise", values, _ACTION_NOISE, closed=True)
    for key in _ACTION_NOISE:
        if key not in values:
            raise ValueError(f"action_noise.{key} is missing")


def check_normalize(values: Mapping[str, Any]) -> None:
    """Checks the keyword arguments of `VecNormalize`.

    Args:
        values: What the config key `normalize` holds, plain data.

    Raises:
        ValueError: If a key is unknown, a value is invalid for its key, or would be ignored.
    """
    _check("normalize", values, _NORMALIZE, closed=True)
    if values.get("norm_obs_keys") is not None and not values.get("norm_obs", True):
        raise ValueError("normalize.norm_obs_keys has no effect with norm_obs: false")


def _check(
    path: str, values: Mapping[str, Any], domains: Mapping[str, _Domain], *, closed: bool = False
) -> None:
    for key, value in values.items():
        if key in domains:
            if not domains[key].holds(value):
                raise ValueError(f"{path}.{key} must be {domains[key].words}, got {shown(value)}")
        elif closed:
            raise ValueError(unknown_choice(f"{path} key", key, domains))


def _check_effect(
    values: Mapping[str, Any], policy_kwargs: Mapping[str, Any], *, off_policy: bool
) -> None:
    """Refuses values that SB3 would accept and then ignore, or that would break the training."""
    for_exploration = ("clip_mean", "log_std_init") if off_policy else ("full_std",)
    given = [f"policy_kwargs.{k}" for k in (*for_exploration, "use_expln") if k in policy_kwargs]
    given += ["use_sde_at_warmup"] * bool(values.get("use_sde_at_warmup"))
    given += ["sde_sample_freq"] * (values.get("sde_sample_freq", -1) != -1)
    if given and not values.get("use_sde"):
        raise ValueError(f"hyperparameters.{given[0]} has no effect without use_sde: true")
    if _real(values.get("ent_coef")) and "target_entropy" in values:
        raise ValueError("hyperparameters.target_entropy has no effect with a fixed ent_coef")
    interval, updates = values.get("target_update_interval", 1), values.get("gradient_steps", 1)
    if interval > updates > 0:
        # SB3 counts anew from one rollout to the next.
        raise ValueError(
            "hyperparameters.target_update_interval must be at most gradient_steps, which is "
            f"{updates}, got {interval}"
        )
    dropped = values.get("top_quantiles_to_drop_per_net", 2)
    quantiles = policy_kwargs.get("n_quantiles", 25)
    if dropped >= quantiles:
        raise ValueError(
            "hyperparameters.top_quantiles_to_drop_per_net must be below "
            f"policy_kwargs.n_quantiles, which is {quantiles}, got {dropped}"
        )
