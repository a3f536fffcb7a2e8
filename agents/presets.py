"""Presets: the defaults of each algorithm on each environment, kept as YAML beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.parsing import parse_yaml
from envs.choices import unknown_choice


def load_preset(algo: str, env: str, observation: str = "state") -> dict[str, Any]:
    """Reads the preset of an algorithm for an environment.

    The environment's entry is laid over the algorithm's `default` entry, and `pixels` over both if
    there are any: mappings such as `hyperparameters` key by key, everything else as a whole.
    `schedule` counts as a whole, because a boundary of one schedule means nothing in another.

    Args:
        algo: A key of `agents.ALGORITHMS`.
        env: Environment name; one without an entry of its own gets `default`.
        observation: What the agent observes, as in `RunConfig`.

    Returns:
        Fields of a `RunConfig` by name, as `RunConfig.from_dict` takes them.

    Raises:
        ConfigError: If the algorithm is unknown.
    """
    if algo not in ALGORITHMS:
        raise ConfigError(unknown_choice("algo", algo, ALGORITHMS))
    text = files("agents").joinpath(f"presets/{algo}.yaml").read_text(encoding="utf-8")
    entries = parse_yaml(text)
    preset: dict[str, Any] = {"env": env, "algo": algo, **entries["default"]}
    for name in (env,) if observation == "state" else (env, "pixels"):
        for key, value in entries.get(name, {}).items():
            if (
                key != "schedule"
                and isinstance(value, Mapping)
                and isinstance(preset.get(key), Mapping)
            ):
                value = {**preset[key], **value}
            preset[key] = value
    return preset


def is_preset(config: RunConfig) -> bool:
    """Whether a run is trained as the preset of its algorithm and environment says, at any seed.

    Args:
        config: The run.
    """
    preset = load_preset(config.algo, config.env, config.observation)
    try:
        return RunConfig.from_dict({**preset, "seed": config.seed}) == config
    except ConfigError:
        return False
