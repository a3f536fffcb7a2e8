"""Median time of one call of each schedule, beside its peers.

Run from the repository root: `python -m benchmarks.schedules`. Peers that are not installed are
left out.
"""

import argparse
import os
import statistics
import timeit
from collections.abc import Callable, Iterator

from schedules import (
    ConstantSchedule,
    PiecewiseConstantSchedule,
    ProgressSchedule,
    StaircaseSchedule,
)

STEP = 765_432
TOTAL = 1_000_000
BOUNDARIES = [100_000 * i for i in range(1, 10)]
VALUES = [1e-3 * 0.5**i for i in range(10)]

Call = Callable[[], object]


def ours() -> Iterator[tuple[str, Call]]:
    """Our schedules, each with the call to time."""
    constant = ConstantSchedule(1e-3)
    piecewise = PiecewiseConstantSchedule(tuple(BOUNDARIES), tuple(VALUES))
    staircase = StaircaseSchedule(1e-3, decay_steps=100_000, decay_rate=0.5)
    progress = ProgressSchedule(staircase, TOTAL)
    remaining = 1.0 - STEP / TOTAL
    yield "ConstantSchedule", lambda: constant(STEP)
    yield "PiecewiseConstantSchedule, 10 values", lambda: piecewise(STEP)
    yield "StaircaseSchedule", lambda: staircase(STEP)
    yield "ProgressSchedule of the staircase", lambda: progress(remaining)


def sb3_peers() -> Iterator[tuple[str, Call]]:
    """SB3's own schedule of the progress: no staircase there."""
    from stable_baselines3.common.utils import LinearSchedule

    linear = LinearSchedule(1e-3, 1e-4, 1.0)
    yield "SB3 LinearSchedule", lambda: linear(0.5)


def torch_peers() -> Iterator[tuple[str, Call]]:
    """Torch has no function of the step; its schedulers are stepped."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=100_000, gamma=0.5)
    optimizer.step()
    yield "torch StepLR.step()", scheduler.step


def optax_peers() -> Iterator[tuple[str, Call]]:
    """Called as functions, and compiled."""
    import jax
    import optax

    exponential = optax.exponential_decay(1e-3, 100_000, 0.5, staircase=True)
    piecewise = optax.piecewise_constant_schedule(1e-3, dict.fromkeys(BOUNDARIES, 0.5))
    compiled = jax.jit(exponential)
    yield "optax exponential_decay", lambda: float(exponential(STEP))
    yield "optax exponential_decay, jitted", lambda: float(compiled(STEP))
    yield "optax piecewise_constant_schedule", lambda: float(piecewise(STEP))


def keras_peers() -> Iterator[tuple[str, Call]]:
    """Keras on the jax backend."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    exponential = keras.optimizers.schedules.ExponentialDecay(1e-3, 100_000, 0.5, staircase=True)
    piecewise = keras.optimizers.schedules.PiecewiseConstantDecay(BOUNDARIES, VALUES)
    yield "Keras ExponentialDecay", lambda: float(exponential(STEP))
    yield "Keras PiecewiseConstantDecay", lambda: float(piecewise(STEP))


def median_ns(call: Call) -> float:
    """Median over 21 rounds of the nanoseconds a call takes, the loop's own cost included."""
    call()
    timer = timeit.Timer(call)
    once = timer.timeit(10) / 10
    number = max(1, int(0.02 / once))
    return statistics.median(timer.repeat(repeat=21, number=number)) / number * 1e9


def print_medians(calls: Callable[[], Iterator[tuple[str, Call]]]) -> None:
    """Prints a line for each call, or one line if the package is missing."""
    try:
        for name, call in calls():
            print(f"{name:<40}{median_ns(call):>12,.0f} ns")
    except ImportError as missing:
        print(f"{calls.__name__}: left out, {missing}")


def main() -> None:
    """Prints ours, then the peers."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for calls in (ours, sb3_peers, torch_peers, optax_peers, keras_peers):
        print_medians(calls)


if __name__ == "__main__":
    main()
