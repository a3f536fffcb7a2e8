"""One schedule up to a boundary, another one from there on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schedules.checks import as_integer
from schedules.schedule import Schedule


@dataclass(frozen=True)
class JoinedSchedule(Schedule):
    """Follows `first` before `boundary`, and `second` from there on, as if it began there.

        rate(t) = first(t)                for t < boundary
        rate(t) = second(t - boundary)    for t >= boundary

    At the boundary the rate is that of `second` at its step 0, as in `optax.join_schedules`. The
    rate may rise there, so joining a staircase with itself is a warm restart.

    Args:
        first: The schedule before the boundary.
        boundary: First step of `second`, in environment timesteps, an integer >= 1.
        second: The schedule from the boundary on; it counts steps from there.

    Raises:
        ValueError: If `first` or `second` is not a `Schedule`, or `boundary` is not an integer >=
            1.

    Examples:
        >>> from schedules import StaircaseSchedule
        >>> staircase = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5)
        >>> restarted = JoinedSchedule(staircase, 150, staircase)
        >>> [restarted(step) for step in (0, 100, 149, 150, 250)]
        [0.001, 0.0005, 0.0005, 0.001, 0.0005]
    """

    first: Schedule
    boundary: int
    second: Schedule

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            if not isinstance(schedule := getattr(self, name), Schedule):
                raise ValueError(f"{name} must be a Schedule, got {schedule!r}")
        object.__setattr__(self, "boundary", as_integer("boundary", self.boundary, minimum=1))

    def __call__(self, step: int) -> float:
        """Returns the learning rate at `step`, as `Schedule.__call__` promises."""
        if (checked := as_integer("step", step, minimum=0)) < self.boundary:
            return self.first(checked)
        return self.second(checked - self.boundary)

    def rate_changes(self, total_timesteps: int) -> Iterator[int]:
        """Yields the steps where the rate changes, as `Schedule.rate_changes` promises."""
        yield from self.first.rate_changes(min(total_timesteps, self.boundary))
        if total_timesteps > self.boundary:
            yield self.boundary
            for change in self.second.rate_changes(total_timesteps - self.boundary):
                yield self.boundary + change

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "JoinedSchedule":
        """Rebuilds a joined schedule, and the two that it joins, from what `to_dict` returned.

        Args:
            data: `type` and the arguments; `first` and `second` are such dicts themselves.

        Raises:
            ValueError: If `data` or one of the two is not the dict of a schedule.
        """
        # Imported here because the registry lists this class.
        from schedules.registry import schedule_from_dict

        parts = {
            name: schedule_from_dict(data[name])
            for name in ("first", "second")
            if isinstance(data, Mapping) and name in data
        }
        return super().from_dict({**data, **parts} if parts else data)


def joined(first: Schedule, boundary: int, second: Schedule) -> JoinedSchedule:
    """Joins two schedules: `first` before `boundary`, `second` from there on.

    Args:
        first: The schedule before the boundary.
        boundary: First step of `second`, in environment timesteps, an integer >= 1.
        second: The schedule from the boundary on; it counts steps from there.

    Raises:
        ValueError: As `JoinedSchedule` does.

    Examples:
        >>> from schedules import ConstantSchedule
        >>> warmed_up = joined(ConstantSchedule(1e-4), 500, ConstantSchedule(1e-3))
        >>> warmed_up(499), warmed_up(500)
        (0.0001, 0.001)
    """
    return JoinedSchedule(first, boundary, second)
