"""The base class of schedules: functions from a step to a learning rate, made of phases."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from schedules.checks import as_finite, as_integer

ScheduleT = TypeVar("ScheduleT", bound="Schedule")


@dataclass(frozen=True)
class Phase:
    """A stretch of steps `[start, stop)` trained at one learning rate.

    Stored as JSON by `dataclasses.asdict(phase)` and rebuilt by `Phase(**stored)`.

    Attributes:
        index: Place among the planned phases; phase 0 is the constant-rate phase.
        start: First step of the phase, in environment timesteps.
        stop: First step after the phase, in environment timesteps.
        learning_rate: The rate at every step of the phase.

    Raises:
        ValueError: If a field is not a number of its kind, is negative, or `stop < start`.
    """

    index: int
    start: int
    stop: int
    learning_rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", as_integer("index", self.index, minimum=0))
        object.__setattr__(self, "start", as_integer("start", self.start, minimum=0))
        object.__setattr__(self, "stop", as_integer("stop", self.stop, minimum=self.start))
        rate = as_finite("learning_rate", self.learning_rate)
        if rate < 0.0:
            raise ValueError(f"learning_rate must be a finite number >= 0, got {rate!r}")
        object.__setattr__(self, "learning_rate", rate)


@dataclass(frozen=True)
class Schedule(ABC):
    """A pure function from a step to a learning rate, constant between its boundaries.

    To add a schedule, write a frozen dataclass that inherits from this class, implements `__call__`
    and `rate_changes`, and is listed in `schedules.registry.SCHEDULES`.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Returns the learning rate at `step`; at a boundary it is the new phase's rate.

        Args:
            step: Environment timesteps so far, an integer >= 0 (NumPy integers too).

        Raises:
            ValueError: If `step` is not an integer or is negative.
        """

    @abstractmethod
    def rate_changes(self, total_timesteps: int) -> Iterable[int]:
        """Returns, in ascending order, every step in `(0, total_timesteps)` where the rate changes.

        Listing a step where the rate stays the same is harmless; omitting a change is not.

        Args:
            total_timesteps: Length of the training, in environment timesteps, already checked.
        """

    def phases(self, total_timesteps: int) -> tuple[Phase, ...]:
        """Returns the phases of a training of `total_timesteps` steps.

        They cover `[0, total_timesteps)` without gaps, each has the rate of `schedule(step)` at all
        its steps, and neighbours differ in rate. Phases beyond the total are not listed.

        Args:
            total_timesteps: Length of the training, in environment timesteps, an integer >= 1.

        Raises:
            ValueError: If `total_timesteps` is not an integer or is below 1.
        """
        total = as_integer("total_timesteps", total_timesteps, minimum=1)
        phases: list[Phase] = []
        start, rate = 0, self(0)
        for boundary in self.rate_changes(total):
            new_rate = self(boundary)
            if new_rate != rate:
                phases.append(Phase(len(phases), start, boundary, rate))
                start, rate = boundary, new_rate
        phases.append(Phase(len(phases), start, total, rate))
        return tuple(phases)

    def to_dict(self) -> dict[str, Any]:
        """Returns the schedule as JSON can hold it: class name as `type`, arguments by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"type": type(self).__name__} | {
            name: _as_json(value) for name, value in values.items()
        }

    @classmethod
    def from_dict(cls: type[ScheduleT], data: Mapping[str, Any]) -> ScheduleT:
        """Rebuilds a schedule of this class from what `to_dict` returned.

        Args:
            data: `type` and the arguments; those with a default may be left out.

        Raises:
            ValueError: If `data` is not a mapping, is of another type, lacks an argument, has an
                unknown one, or holds a value that the class refuses.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"data must be a mapping with the key 'type', got {data!r}")
        if data.get("type") != cls.__name__:
            raise ValueError(f"type must be {cls.__name__!r}, got {data.get('type')!r} in {data!r}")
        arguments = {name: value for name, value in data.items() if name != "type"}
        allowed = [field.name for field in fields(cls)]
        unknown = [name for name in arguments if name not in allowed]
        missing = [
            field.name
            for field in fields(cls)
            if field.default is MISSING and field.name not in arguments
        ]
        if unknown or missing:
            raise ValueError(
                f"{cls.__name__} takes {allowed}, got {data!r}: "
                f"unknown {unknown}, missing {missing}"
            )
        return cls(**arguments)


def _as_json(value: object) -> object:
    if isinstance(value, Schedule):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value
