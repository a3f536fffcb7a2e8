"""Checks of arguments: each returns the value as a plain `int` or `float`, or raises `ValueError`.

NumPy scalars become plain numbers here, so whatever passes can be written to JSON.
"""

import math
from numbers import Integral, Real


def as_integer(name: str, value: object, *, minimum: int) -> int:
    """Returns `value` as an `int`.

    Args:
        name: The argument's name, for the message.
        value: An `int` or a NumPy integer; `True` and `3.0` are not integers here.
        minimum: The smallest value allowed.

    Raises:
        ValueError: If `value` is not an integer or is below `minimum`.
    """
    # The look-up in the abstract class is the slow part.
    if type(value) is not int:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
        value = int(value)
    if value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return value


def as_step(step: object) -> int:
    """Returns `step` as an `int`: the argument of every schedule.

    Raises:
        ValueError: If `step` is not an integer or is negative; of a `float`, such as SB3's
            remaining progress, the message says what to do about it.
    """
    # Every call of a schedule passes here.
    if type(step) is int and step >= 0:
        return step
    if isinstance(step, float):
        raise ValueError(
            f"step must be an integer >= 0, got {step!r}; Stable-Baselines3 passes its remaining "
            "progress: give it ProgressSchedule(schedule, total_timesteps) as learning_rate"
        )
    return as_integer("step", step, minimum=0)


def as_finite(name: str, value: object) -> float:
    """Returns `value` as a finite `float`.

    Raises:
        ValueError: If `value` is not a real number, or is NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, (float, Real)):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return number


def as_learning_rate(name: str, value: object) -> float:
    """Returns `value` as a positive finite `float`.

    Raises:
        ValueError: If `value` is not a real number, or is not positive and finite.
    """
    rate = as_finite(name, value)
    if rate <= 0.0:
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")
    return rate
