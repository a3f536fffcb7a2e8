"""A schedule given by its boundaries and its rates."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

from schedules.checks import as_integer, as_learning_rate, as_step
from schedules.schedule import Schedule


@dataclass(frozen=True)
class PiecewiseConstantSchedule(Schedule):
    """The rates `values`, each from one boundary to the next.

        rate(t) = values[0]    for t < boundaries[0]
        rate(t) = values[i]    for boundaries[i - 1] <= t < boundaries[i]
        rate(t) = values[n]    for t >= boundaries[n - 1], the last

    At a boundary the rate is the new one, as in `optax.piecewise_constant_schedule` and torch
    `MultiStepLR`; Keras `PiecewiseConstantDecay` switches one step later.

    Args:
        boundaries: First steps of phases 1, 2, …, in environment timesteps; strictly increasing
            integers >= 1. Any sequence; kept as a tuple.
        values: The rates, one more than boundaries, positive and finite; they may also rise. Any
            sequence; kept as a tuple.

    Raises:
        ValueError: If a boundary or a rate is invalid, boundaries do not increase, or the lengths
            do not match.

    Examples:
        >>> schedule = PiecewiseConstantSchedule(boundaries=(100, 250), values=(1e-3, 5e-4, 1e-4))
        >>> [schedule(step) for step in (0, 99, 100, 249, 250)]
        [0.001, 0.001, 0.0005, 0.0005, 0.0001]
        >>> schedule.phases(200)[-1]
        Phase(index=1, start=100, stop=200, learning_rate=0.0005)
    """

    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        boundaries = tuple(
            as_integer(f"boundaries[{i}]", boundary, minimum=1)
            for i, boundary in enumerate(_as_tuple("boundaries", self.boundaries))
        )
        values = tuple(
            as_learning_rate(f"values[{i}]", value)
            for i, value in enumerate(_as_tuple("values", self.values))
        )
        if any(left >= right for left, right in pairwise(boundaries)):
            raise ValueError(f"boundaries must be strictly increasing, got {boundaries!r}")
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"values must have one entry more than boundaries ({len(boundaries) + 1}), "
                f"got {len(values)}: {values!r}"
            )
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "values", values)

    def __call__(self, step: int) -> float:
        """Returns the learning rate at `step`, as `Schedule.__call__` promises."""
        return self.values[bisect_right(self.boundaries, as_step(step))]

    def rate_changes(self, total_timesteps: int) -> tuple[int, ...]:
        """Returns the steps where the rate changes, as `Schedule.rate_changes` promises."""
        return self.boundaries[: bisect_left(self.boundaries, total_timesteps)]


def _as_tuple(name: str, value: object) -> tuple[object, ...]:
    # A set or a dict would also iterate, but in an arbitrary order.
    if not hasattr(value, "__getitem__") or isinstance(value, (str, bytes, dict)):
        raise ValueError(f"{name} must be a sequence of numbers, got {value!r}")
    try:
        return tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} must be a sequence of numbers, got {value!r}") from None
