"""The frozen description of a run: everything that determines its outcome."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import envs
from agents.algorithms import ALGORITHMS
from agents.hyperparameters import (
    CLASSES,
    check_action_noise,
    check_hindsight_arguments,
    check_hyperparameters,
    check_normalize,
)
from agents.plain import plain, shown
from envs.choices import unknown_choice
from envs.manipulation import OBSERVATIONS, REWARDS
from envs.robots.robot import CONTROLS
from schedules import Schedule, schedule_from_dict
from schedules.registry import SCHEDULES

VEC_ENVS = ("dummy", "subproc")
DEVICES = ("cpu", "cuda")
LEARNERS = ("auto", "sb3")
TRACKERS = {
    "mlflow": "agents.training.trackers.mlflow_tracking:MLflow",
    "wandb": "agents.training.trackers.weights_and_biases:WeightsAndBiases",
}
"""Observers that have a short name."""
FIRST_EVALUATION_SEED = 2**31
"""Environments train with seeds below it, so that no agent trains on an evaluation episode."""


class ConfigError(ValueError):
    """A configuration that cannot be trained; the message is one line for the user."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run; with the package versions, it fixes every bit.

    Attributes:
        env: Task name, a key of `envs.TASKS`.
        algo: Algorithm name, a key of `agents.ALGORITHMS`.
        total_timesteps: Environment timesteps to train for, summed over parallel environments.
        schedule: Learning rate as a function of the step; every optimizer follows it.
        seed: Seed of the weights, the exploration and the first training environment; the other
            environments use the seeds after it. All are below `FIRST_EVALUATION_SEED`.
        n_envs: Parallel training environments.
        demonstrations: Share of them, rounded down, in which the task's scripted controller acts;
            its episodes are learned from and not counted.
        vec_env: `"dummy"` steps them in turn, `"subproc"` in one process each.
        reward: `"sparse"` (0 at success, else -1) or `"dense"` (negative distance).
        robot: Robot, a key of `envs.ROBOTS`.
        control: `"ee"` moves the end effector, `"joints"` the arm's joints.
        observation: `"state"` for numbers, `"pixels"` for a picture and the robot's own state,
            `"both"` for all of these.
        env_kwargs: What the task fixes or draws in every episode, such as `object_mass`, by the
            names in `docs/environments.md`; each value is a number or a pair.
        training_env_kwargs: Overrides `env_kwargs` in training only, for what makes a task easier
            to learn but is not part of it.
        device: Torch device of the networks; only `"cpu"` is promised to be bit-exact.
        snapshot_every: Steps between periodic snapshots; boundaries and the end always have one.
        keep_snapshots_every: Steps between additional snapshots that are kept for forks; `None`
            for none.
        hyperparameters: Keyword arguments of the SB3 algorithm. In `policy_kwargs`, classes are
            given by the names in `agents.hyperparameters.CLASSES`, such as `"relu"` and `"adamw"`.
        her: Keyword arguments of `agents.learners.hindsight.EpisodicHerReplayBuffer`; `None` trains
            without it.
        action_noise: `{"kind": "normal" | "ornstein-uhlenbeck", "sigma": float}` or `None`.
        normalize: Keyword arguments of SB3's `VecNormalize`; `None` trains without it.
        observers: What watches the training: keys of `TRACKERS`, and classes as `module:Class`.
            They do not affect the outcome.
        learner: Which code computes the updates: `"auto"` uses this project's where it gives SB3's
            bits, `"sb3"` uses SB3's. It does not change the run, so comparisons of configs ignore
            it.

    All values are plain data. Tuples, NumPy arrays and numbers, and torch classes that have a name
    here are converted to lists, numbers and names.

    Raises:
        ConfigError: If a value is out of range or the parts cannot work together.
    """

    env: str
    algo: str
    total_timesteps: int
    schedule: Schedule
    seed: int = 0
    n_envs: int = 1
    demonstrations: float = 0.0
    vec_env: str = "dummy"
    reward: str = "sparse"
    robot: str = "panda"
    control: str = "ee"
    observation: str = "state"
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    training_env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    snapshot_every: int = 10_000
    keep_snapshots_every: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    her: Mapping[str, Any] | None = None
    action_noise: Mapping[str, Any] | None = None
    normalize: Mapping[str, Any] | None = None
    observers: Sequence[str] = ()
    learner: str = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        try:
            self._make_plain()
        except ValueError as error:
            raise ConfigError(str(error)) from error
        for name, choices in (
            ("env", envs.TASKS),
            ("algo", ALGORITHMS),
            ("vec_env", VEC_ENVS),
            ("reward", REWARDS),
            ("robot", envs.ROBOTS),
            ("control", CONTROLS),
            ("observation", OBSERVATIONS),
            ("device", DEVICES),
            ("learner", LEARNERS),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise ConfigError(unknown_choice(name, value, choices))
        for name, maximum in (
            ("total_timesteps", 10**10),
            ("n_envs", 10**4),
            ("snapshot_every", 10**10),
        ):
            self._require_integer(name, minimum=1, maximum=maximum)
        if self.keep_snapshots_every is not None:
            self._require_integer("keep_snapshots_every", minimum=1, maximum=10**10)
        # SB3 gives each environment the next seed.
        self._require_integer("seed", minimum=0, maximum=FIRST_EVALUATION_SEED - self.n_envs)
        if type(self.schedule) not in SCHEDULES:
            names = ", ".join(schedule.__name__ for schedule in SCHEDULES)
            raise ConfigError(f"schedule must be one of {names}, got {shown(self.schedule)}")
        for name in ("env_kwargs", "training_env_kwargs", "hyperparameters"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise ConfigError(f"{name} must be a mapping, got {shown(value)}")
        for name in ("her", "action_noise", "normalize"):
            if not isinstance(value := getattr(self, name), Mapping | None):
                raise ConfigError(f"{name} must be a mapping, got {shown(value)}")
        self._check_observers()
        self._check_ranges("env_kwargs", self.env_kwargs)
        self._check_ranges("training_env_kwargs", {**self.env_kwargs, **self.training_env_kwargs})
        self._check_demonstrations()
        self._check_training()

    def _make_plain(self) -> None:
        """Converts every field but the schedule to what reading its JSON would give."""
        for name in (f.name for f in dataclasses.fields(self) if f.name != "schedule"):
            value = getattr(self, name)
            if name == "hyperparameters":
                value = _with_names(value)
            object.__setattr__(self, name, plain(name, value))

    def _check_ranges(self, name: str, ranges: Mapping[str, Any]) -> None:
        try:
            envs.check_ranges(self.env, ranges)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}: {error}") from error

    def _require_integer(self, name: str, minimum: int, maximum: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{name} must be an integer, got {shown(value)}")
        if not minimum <= value <= maximum:
            raise ConfigError(f"{name} must be from {minimum} to {maximum}, got {shown(value)}")

    def _check_observers(self) -> None:
        named = self.observers
        if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
            raise ConfigError(f"observers must be a list of names, got {shown(named)}")
        for one in named:
            if one not in TRACKERS and not re.fullmatch(r"[\w.]+:\w+", one):
                raise ConfigError(unknown_choice("observer", one, (*TRACKERS, "module:Class")))

    def _check_demonstrations(self) -> None:
        share = self.demonstrations
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
            raise ConfigError(f"demonstrations must be a number >= 0 and < 1, got {shown(share)}")
        if not share:
            return
        able = [name for name, task in envs.TASK_TYPES.items() if task.controller is not None]
        if self.env not in able:
            valid = ", ".join(able)
            raise ConfigError(
                f"demonstrations: no controller is known for {self.env}; valid: {valid}"
            )
        if not ALGORITHMS[self.algo].off_policy:
            raise ConfigError(
                f"demonstrations need an off-policy algorithm, and {self.algo} is not"
            )
        if self.control != "ee":
            raise ConfigError(f"demonstrations need control 'ee', got {shown(self.control)}")
        if self.observation == "pixels":
            raise ConfigError("demonstrations need observation 'state' or 'both', got 'pixels'")

    def _check_training(self) -> None:
        off_policy = ALGORITHMS[self.algo].off_policy
        for name in ("her", "action_noise"):
            if getattr(self, name) is not None and not off_policy:
                raise ConfigError(f"{name} needs an off-policy algorithm, and {self.algo} is not")
        try:
            check_hyperparameters(self.hyperparameters, off_policy=off_policy)
            if self.her is not None:
                check_hindsight_arguments(self.her)
            if self.action_noise is not None:
                check_action_noise(self.action_noise)
            if self.normalize is not None:
                check_normalize(self.normalize)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def demonstrators(self) -> int:
        """The number of parallel environments in which a scripted controller acts."""
        return int(self.demonstrations * self.n_envs)

    def to_dict(self) -> dict[str, Any]:
        """Returns the config as JSON data, which `from_dict` turns back into an equal config."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["schedule"] = self.schedule.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunConfig:
        """Builds a config from JSON or YAML data.

        Args:
            data: The fields by name; `schedule` in the form of `Schedule.to_dict`.

        Returns:
            The checked config.

        Raises:
            ConfigError: If a key is unknown or missing, or a value is invalid.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for key in data:
            if key not in fields:
                raise ConfigError(unknown_choice("config key", key, fields))
        for key in ("env", "algo", "total_timesteps", "schedule"):
            if key not in data:
                raise ConfigError(f"config key {key!r} is missing")
        values = dict(data)
        if not isinstance(values["schedule"], Schedule):
            values["schedule"] = read_schedule(values["schedule"])
        return cls(**values)


def read_schedule(data: object) -> Schedule:
    """Builds the schedule of a config.

    Args:
        data: What the config key `schedule` holds.

    Returns:
        The schedule.

    Raises:
        ConfigError: If it does not describe a schedule.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            "schedule must be a mapping with the key 'type' and the arguments of that schedule, "
            f"got {shown(data)}"
        )
    try:
        return schedule_from_dict(data)
    except ValueError as error:
        raise ConfigError(f"schedule: {error}") from error


def _with_names(hyperparameters: object) -> object:
    """Replaces classes by their names."""
    if not isinstance(hyperparameters, Mapping):
        return hyperparameters
    policy_kwargs = hyperparameters.get("policy_kwargs")
    if not isinstance(policy_kwargs, Mapping):
        return hyperparameters
    named = dict(policy_kwargs)
    for key, classes in CLASSES.items():
        value = named.get(key, "")
        if isinstance(value, str):
            continue
        # Recognised by name and module, because importing torch takes seconds.
        title, module = getattr(value, "__name__", ""), f"{getattr(value, '__module__', '')}."
        for name, full in classes.items():
            home, _, known = full.rpartition(".")
            if title == known and module.startswith(f"{home}."):
                named[key] = name
                break
        else:
            raise ValueError(
                f"hyperparameters.policy_kwargs.{key} must be one of {', '.join(sorted(classes))}, "
                f"got {shown(value)}"
            )
    return {**hyperparameters, "policy_kwargs": named}
