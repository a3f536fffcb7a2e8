"""What a study is: arms, each a config without its seed, and the seeds they are trained with."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.config import FIRST_EVALUATION_SEED, ConfigError, RunConfig
from agents.plain import plain, shown
from agents.presets import load_preset
from agents.runs.directory import BRANCH_LENGTHS
from envs.choices import unknown_choice
from schedules import StaircaseSchedule

PLACEBOS = 2
MAXIMUM_PLACEBOS = 100
_KEYS = ("name", "base", "seeds", "axes", "held_branches", "placebos", "phases")
_STAIRCASE = {field.name for field in dataclasses.fields(StaircaseSchedule)}
_CONFIG = {field.name for field in dataclasses.fields(RunConfig)} - {"seed"}
_MAPPINGS = ("hyperparameters", "her", "env_kwargs", "training_env_kwargs", "normalize")


@dataclass(frozen=True)
class Arm:
    """One column of a study: everything but the seed.

    Attributes:
        name: Made of what sets it apart, such as `"decay-rate-0.1"`; names its folder.
        values: Its value on each axis.
        config: Its config, with the study's first seed.
    """

    name: str
    values: Mapping[str, Any]
    config: RunConfig


@dataclass(frozen=True)
class Study:
    """The plan of a study.

    Attributes:
        name: Names its folder.
        base: Config keys that all arms share, laid over the preset of their algorithm and task, or
            a whole config: one with a `schedule` of its own. Arguments of `StaircaseSchedule` may
            stand beside them, and change the schedule's.
        seeds: Seeds that every arm is trained with.
        axes: Values by key; the arms are all their combinations. A key is one of `base`, or one
            inside a mapping, such as `hyperparameters.batch_size`.
        held_branches: How far the branches go that hold the rate at each boundary, `"phase"` or
            `"end"`; `None` trains none.
        placebos: Forks at each boundary that hold the rate too, with all generators reseeded; their
            spread is the noise floor of the decay effects. `None` is 2 with held branches, and 0
            without.
        phases: How many phases are trained; `None` trains all. With 1, the constant-rate phase
            alone, which is all that an axis over initial rates needs.

    Raises:
        ConfigError: If a value is invalid, or the arms are not all different.
    """

    name: str
    base: Mapping[str, Any]
    seeds: Sequence[int]
    axes: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    held_branches: str | None = None
    placebos: int | None = None
    phases: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w][\w.+-]*", self.name):
            raise ConfigError(
                f"study name must be letters, digits and .+-_, and names a folder, "
                f"got {shown(self.name)}"
            )
        for key in ("base", "axes"):
            value = getattr(self, key)
            if not isinstance(value, Mapping):
                raise ConfigError(f"study {key} must be a mapping, got {shown(value)}")
            for inner in value:
                _check_key(f"study {key}", inner)
            try:
                object.__setattr__(self, key, plain(key, value))
            except ValueError as error:
                raise ConfigError(f"study {error}") from error
        self._check_seeds()
        for key, values in self.axes.items():
            if not isinstance(values, list) or not values:
                raise ConfigError(f"study axis {key} must be a list of values, got {shown(values)}")
            for first, second in itertools.combinations(values, 2):
                if first == second:
                    raise ConfigError(f"study axis {key} has {shown(first)} twice")
        if self.held_branches not in (None, *BRANCH_LENGTHS):
            choices = ("null", *BRANCH_LENGTHS)
            raise ConfigError(unknown_choice("study held_branches", self.held_branches, choices))
        if self.placebos is None:
            object.__setattr__(self, "placebos", PLACEBOS if self.held_branches else 0)
        if type(self.placebos) is not int or not 0 <= self.placebos <= MAXIMUM_PLACEBOS:
            raise ConfigError(
                f"study placebos must be an integer from 0 to {MAXIMUM_PLACEBOS}, "
                f"got {shown(self.placebos)}"
            )
        if self.placebos and self.held_branches is None:
            raise ConfigError("study placebos need held_branches: phase or end")
        if self.phases is not None and (type(self.phases) is not int or self.phases < 1):
            raise ConfigError(f"study phases must be an integer >= 1, got {shown(self.phases)}")
        names = [arm.name for arm in self.arms()]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two arms of the study are both called {name}")

    def _check_seeds(self) -> None:
        seeds = self.seeds
        if not isinstance(seeds, Sequence) or isinstance(seeds, str) or not seeds:
            raise ConfigError(f"study seeds must be a list of integers, got {shown(seeds)}")
        for seed in seeds:
            if type(seed) is not int or not 0 <= seed < FIRST_EVALUATION_SEED:
                raise ConfigError(
                    f"study seeds must be from 0 to {FIRST_EVALUATION_SEED - 1}, got {shown(seed)}"
                )
        if len(set(seeds)) < len(seeds):
            raise ConfigError(f"study seeds must be different, got {shown(list(seeds))}")
        object.__setattr__(self, "seeds", tuple(seeds))

    def arms(self) -> tuple[Arm, ...]:
        """The arms, in the order of the axes.

        Raises:
            ConfigError: If the config of an arm is invalid.
        """
        arms = []
        for values in itertools.product(*self.axes.values()):
            chosen = dict(zip(self.axes, values, strict=True))
            words = [
                f"{key.rsplit('.', 1)[-1]}-{_word(value, self.axes[key])}"
                for key, value in chosen.items()
            ]
            name = re.sub(r"[^\w.+-]+|_", "-", "-".join(words)).strip("-.") or "base"
            arms.append(Arm(name, chosen, self._config(chosen)))
        return tuple(arms)

    def _config(self, chosen: Mapping[str, Any]) -> RunConfig:
        given = {**self.base, **chosen}
        if "env" not in given:
            raise ConfigError("study base must say the env, or an axis must")
        algo, env = given.pop("algo", "sac"), given.pop("env")
        values = {"env": env, "algo": algo}
        if "schedule" not in given:
            values = load_preset(algo, env, given.get("observation", "state"))
        staircase = {key: given.pop(key) for key in list(given) if key in _STAIRCASE}
        for key, value in given.items():
            outer, _, inner = key.partition(".")
            if inner:
                values[outer] = {**(values.get(outer) or {}), inner: value}
            elif outer in _MAPPINGS and isinstance(value, Mapping) and values.get(outer):
                values[outer] = {**values[outer], **value}
            else:
                values[outer] = value
        if staircase:
            values["schedule"] = {**_staircase(values), **staircase}
        config = RunConfig.from_dict({**values, "seed": self.seeds[0]})
        if self.phases is None:
            return config
        phases = config.schedule.phases(config.total_timesteps)[: self.phases]
        return dataclasses.replace(config, total_timesteps=phases[-1].stop)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON data, which `from_dict` turns back into an equal plan."""
        return {**dataclasses.asdict(self), "seeds": list(self.seeds)}

    @classmethod
    def from_dict(cls, data: object) -> Study:
        """Builds a study from JSON or YAML data.

        Args:
            data: The fields by name; seeds may also be text such as `"0-5,8"`.

        Raises:
            ConfigError: If a key is unknown or missing, or a value is invalid.
        """
        if not isinstance(data, Mapping):
            raise ConfigError(f"a study must be a mapping of keys and values, got {shown(data)}")
        for key in data:
            if key not in _KEYS:
                raise ConfigError(unknown_choice("study key", key, _KEYS))
        for key in ("name", "base", "seeds"):
            if key not in data:
                raise ConfigError(f"study key {key!r} is missing")
        values = dict(data)
        if isinstance(values["seeds"], str):
            values["seeds"] = read_seeds(values["seeds"])
        return cls(**values)


def read_seeds(text: str) -> tuple[int, ...]:
    """Reads seeds such as `"0-5"` or `"0,3,7-9"`.

    Args:
        text: Seeds and ranges of them, both ends included, with commas between.

    Raises:
        ConfigError: If it is of another form.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last - first > 10**4:
            raise ConfigError(f"seeds are written such as 0-5 or 0,3,7-9, got {text!r}")
        seeds += range(first, last + 1)
    return tuple(seeds)


def _check_key(where: str, key: object) -> None:
    outer, _, inner = str(key).partition(".")
    if key in _CONFIG | _STAIRCASE or (inner and outer in _MAPPINGS):
        return
    valid = [*sorted(_CONFIG | _STAIRCASE), *(f"{name}.KEY" for name in _MAPPINGS)]
    raise ConfigError(unknown_choice(f"{where} key", key, valid))


def _staircase(values: Mapping[str, Any]) -> dict[str, Any]:
    schedule = values.get("schedule")
    if isinstance(schedule, Mapping) and schedule.get("type") == "StaircaseSchedule":
        return dict(schedule)
    raise ConfigError(f"the schedule of the study is no staircase but {shown(schedule)}")


def _word(value: object, values: Sequence[Any]) -> str:
    """A value in the name of an arm; a list or mapping is called by its place on the axis."""
    if isinstance(value, list | Mapping):
        return str(values.index(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
