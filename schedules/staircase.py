"""The staircase: a rate that is multiplied by a factor at regular intervals."""

import sys
from bisect import bisect_left
from dataclasses import dataclass

from schedules.checks import as_finite, as_integer, as_learning_rate, as_step
from schedules.schedule import Schedule


@dataclass(frozen=True)
class StaircaseSchedule(Schedule):
    """Multiplies the rate by `decay_rate` at the end of every phase, down to a floor.

    With initial rate I, decay rate r, decay steps D, constant steps C and minimum M:

        k(t) = 0                         for t < C
        k(t) = 1 + floor((t - C) / D)    for t >= C
        rate(t) = max(M, I * r ** k(t))

    For C = D and M = 0 this is Keras `ExponentialDecay(staircase=True)`, torch `StepLR` and
    `optax.exponential_decay(staircase=True)`; at a boundary the rate is the new one.

    Args:
        initial_learning_rate: The rate of the constant-rate phase, positive and finite.
        decay_steps: Environment timesteps between decays, an integer >= 1.
        decay_rate: What each decay multiplies the rate by, in (0, 1].
        minimum_learning_rate: The rate never falls below it; in [0, initial_learning_rate].
        constant_steps: Environment timesteps before the first decay, an integer >= 1; None stands
            for `decay_steps`.

    Raises:
        ValueError: If an argument is outside its range.

    Examples:
        >>> schedule = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5, constant_steps=300)
        >>> [schedule(step) for step in (0, 299, 300, 399, 400)]
        [0.001, 0.001, 0.0005, 0.0005, 0.00025]
        >>> for phase in schedule.phases(450):
        ...     print(phase)
        Phase(index=0, start=0, stop=300, learning_rate=0.001)
        Phase(index=1, start=300, stop=400, learning_rate=0.0005)
        Phase(index=2, start=400, stop=450, learning_rate=0.00025)
    """

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    minimum_learning_rate: float = 0.0
    constant_steps: int | None = None

    def __post_init__(self) -> None:
        initial = as_learning_rate("initial_learning_rate", self.initial_learning_rate)
        decay_rate = as_finite("decay_rate", self.decay_rate)
        if not 0.0 < decay_rate <= 1.0:
            raise ValueError(f"decay_rate must be in (0, 1], got {decay_rate!r}")
        minimum = as_finite("minimum_learning_rate", self.minimum_learning_rate)
        if not 0.0 <= minimum <= initial:
            raise ValueError(
                "minimum_learning_rate must be in [0, initial_learning_rate] = "
                f"[0, {initial!r}], got {minimum!r}"
            )
        object.__setattr__(self, "initial_learning_rate", initial)
        object.__setattr__(
            self, "decay_steps", as_integer("decay_steps", self.decay_steps, minimum=1)
        )
        object.__setattr__(self, "decay_rate", decay_rate)
        object.__setattr__(self, "minimum_learning_rate", minimum)
        if self.constant_steps is not None:
            object.__setattr__(
                self, "constant_steps", as_integer("constant_steps", self.constant_steps, minimum=1)
            )

    def __call__(self, step: int) -> float:
        """Returns the learning rate at `step`, as `Schedule.__call__` promises."""
        return self._rate_after(self._decays_at(as_step(step)))

    def rate_changes(self, total_timesteps: int) -> range:
        """Returns the steps where the rate changes, as `Schedule.rate_changes` promises."""
        if self.decay_rate == 1.0:
            return range(0)
        # At the floor the rate stays, and an underflow to 0 is the floor 0. Any decay_rate below 1
        # is there before 2^63 decays: (1 - 2^-53)^k is 0 in float64 from k = 746 * 2^53 on.
        decays = range(min(self._decays_at(total_timesteps - 1), sys.maxsize - 1) + 1)
        to_floor = bisect_left(
            decays, True, key=lambda k: self._rate_after(k) <= self.minimum_learning_rate
        )
        last = min(to_floor, decays[-1])
        first_boundary = self._first_boundary()
        return range(first_boundary, first_boundary + last * self.decay_steps, self.decay_steps)

    def _first_boundary(self) -> int:
        return self.decay_steps if self.constant_steps is None else self.constant_steps

    def _decays_at(self, step: int) -> int:
        return max(0, (step - self._first_boundary()) // self.decay_steps + 1)

    def _rate_after(self, decays: int) -> float:
        rate = self.initial_learning_rate * self.decay_rate**decays
        return max(self.minimum_learning_rate, rate)
