"""Schedules of every class, drawn at random."""

from dataclasses import dataclass

from hypothesis import strategies as st

from schedules import (
    ConstantSchedule,
    PiecewiseConstantSchedule,
    Schedule,
    StaircaseSchedule,
    joined,
)

RATES = st.floats(1e-9, 10.0)


@st.composite
def staircases(draw, max_steps=60):
    initial = draw(RATES)
    return StaircaseSchedule(
        initial_learning_rate=initial,
        decay_steps=draw(st.integers(1, max_steps)),
        decay_rate=draw(st.floats(0.0, 1.0, exclude_min=True)),
        minimum_learning_rate=initial * draw(st.sampled_from([0.0, 1e-3, 0.3, 1.0])),
        constant_steps=draw(st.none() | st.integers(1, max_steps)),
    )


@st.composite
def piecewise(draw, max_step=200):
    boundaries = sorted(draw(st.sets(st.integers(1, max_step), max_size=8)))
    # A few rates only, so that neighbours are often equal.
    rate = st.sampled_from([1e-4, 3e-4, 1e-3])
    values = draw(st.lists(rate, min_size=len(boundaries) + 1, max_size=len(boundaries) + 1))
    return PiecewiseConstantSchedule(tuple(boundaries), tuple(values))


def any_schedule():
    simple = staircases() | piecewise() | st.builds(ConstantSchedule, RATES)
    # The parts of a joined schedule may be joined themselves.
    return st.recursive(
        simple, lambda parts: st.builds(joined, parts, st.integers(1, 150), parts), max_leaves=3
    )


@dataclass(frozen=True)
class StepSchedule(Schedule):
    """The rate is the step itself, which makes visible at which step a schedule was asked."""

    def __call__(self, step):
        return float(step)

    def rate_changes(self, total_timesteps):
        return range(1, total_timesteps)
