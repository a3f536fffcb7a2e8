"""The schedule that never changes."""

from dataclasses import dataclass

from schedules.checks import as_learning_rate, as_step
from schedules.schedule import Schedule


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """One learning rate at every step: training with a single phase.

    Args:
        learning_rate: The rate, positive and finite.

    Raises:
        ValueError: If `learning_rate` is not positive and finite.

    Examples:
        >>> schedule = ConstantSchedule(3e-4)
        >>> schedule(0), schedule(1_000_000)
        (0.0003, 0.0003)
        >>> schedule.phases(1_000_000)
        (Phase(index=0, start=0, stop=1000000, learning_rate=0.0003),)
    """

    learning_rate: float

    def __post_init__(self) -> None:
        rate = as_learning_rate("learning_rate", self.learning_rate)
        object.__setattr__(self, "learning_rate", rate)

    def __call__(self, step: int) -> float:
        """Returns the learning rate at `step`, as `Schedule.__call__` promises."""
        as_step(step)
        return self.learning_rate

    def rate_changes(self, total_timesteps: int) -> tuple[int, ...]:
        """Returns the steps where the rate changes, as `Schedule.rate_changes` promises."""
        return ()
