"""From Stable-Baselines3's remaining progress back to the step."""

from dataclasses import dataclass

from schedules.checks import as_finite, as_integer
from schedules.schedule import Schedule

MAX_TOTAL_TIMESTEPS = 10**10
"""The largest total for which the step is recovered exactly, by proof and by test."""


@dataclass(frozen=True)
class ProgressSchedule:
    """A schedule as Stable-Baselines3 calls it: with `progress_remaining`, from 1 down to 0.

    SB3 computes `progress_remaining = 1.0 - float(num_timesteps) / float(total)`. This recovers
    `num_timesteps` exactly and returns the schedule's rate there. From the last planned step on it
    returns the rate at `total_timesteps - 1`: SB3's final update comes at `num_timesteps == total`,
    or after it when the last rollout overshoots, and must not fall into an unplanned phase.

    Pass it as `learning_rate` to the algorithm. If training takes more than one `learn()`, use
    `schedules.callback.StaircaseCallback` too.

    Args:
        schedule: The function of the step.
        total_timesteps: Planned length of the whole training, in environment timesteps, in
            [1, 10^10].
        progress_total: The total that SB3 divides by in the current `learn()`, in
            [1, total_timesteps]; None stands for `total_timesteps`.

    Raises:
        ValueError: If an argument is outside its range; on a call, if `progress_remaining` is not a
            finite number <= 1.

    Examples:
        >>> from schedules import StaircaseSchedule
        >>> schedule = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5)
        >>> learning_rate = ProgressSchedule(schedule, total_timesteps=300)
        >>> [learning_rate(1.0 - n / 300) for n in (0, 99, 100, 299, 300, 320)]
        [0.001, 0.001, 0.0005, 0.00025, 0.00025, 0.00025]
    """

    schedule: Schedule
    total_timesteps: int
    progress_total: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise ValueError(f"schedule must be a Schedule, got {self.schedule!r}")
        total = as_integer("total_timesteps", self.total_timesteps, minimum=1)
        if total > MAX_TOTAL_TIMESTEPS:
            raise ValueError(f"total_timesteps must be <= {MAX_TOTAL_TIMESTEPS}, got {total}")
        object.__setattr__(self, "total_timesteps", total)
        if self.progress_total is not None:
            progress_total = as_integer("progress_total", self.progress_total, minimum=1)
            if progress_total > total:
                raise ValueError(
                    f"progress_total must be <= total_timesteps = {total}, got {progress_total}"
                )
            object.__setattr__(self, "progress_total", progress_total)

    def __call__(self, progress_remaining: float) -> float:
        """Returns the rate at the step where SB3's remaining progress is `progress_remaining`."""
        progress = as_finite("progress_remaining", progress_remaining)
        if progress > 1.0:
            raise ValueError(f"progress_remaining must be <= 1, got {progress_remaining!r}")
        total = self.total_timesteps if self.progress_total is None else self.progress_total
        # Let u = 2^-53, n the step, T the total, q = fl(n / T), p = fl(1 - q).
        # n <= T: q is off n / T by u / 2 at most. If q >= 1/2, 1 - q is exact (Sterbenz), so 1 - p
        # is q again. If q < 1/2, p is in [1/2, 1]: 1 - q is off by u / 2 at most and 1 - p is exact
        # (Sterbenz). So 1 - p is off n / T by u at most, (1 - p) * T off n by T * u, and rounding
        # the product adds T * u: in all 2 * T * u < 3e-6 for T <= 10^10. The nearest integer is n.
        # n > T, an overshoot: no operation before the product has a result above n / T, and each
        # is off by u of it, the product by n * u: in all less than 5 * n * u, below 1/2 up to
        # n = 10^14. Beyond, n is past total_timesteps by far more than its error, and is clamped.
        step = round((1.0 - progress) * total)
        return self.schedule(min(step, self.total_timesteps - 1))
