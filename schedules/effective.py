"""When planned phases really take effect in an algorithm that updates now and then."""

from collections.abc import Sequence
from itertools import pairwise

from schedules.checks import as_integer
from schedules.schedule import Phase


def effective_phases(
    phases: Sequence[Phase], steps_per_update: int, first_update: int = 1
) -> tuple[Phase, ...]:
    """Returns the planned phases as an algorithm sees them that updates every `U` steps.

    With `U = steps_per_update` and `total` the last planned stop, updates come at those of the
    steps `U, 2U, …, N` with `N = ceil(total / U) * U` that are at least `first_update`, and the
    update at step `n` uses the rate that `ProgressSchedule` gives at `n`: the rate at
    `min(n, total - 1)`. So

    * a boundary `b` takes effect at `ceil(b / U) * U`, the first update at or after it;
    * a phase that no update uses is left out, such as phase 0 when its boundary is at most `U` or
      the first update comes later still; the first phase listed is the first update's;
    * the last planned phase is used by the update at `N`, and its stop is `N`. If no other update
      uses it, it is that one update: `start == stop == N`;
    * nothing is listed if not even the update at `N` comes.

    **The update at step `n` uses the last phase listed whose start is at most `n`.** Each phase
    keeps its planned index and rate; where a phase between two others is left out, its neighbours
    may have the same rate.

    `U` is `n_steps * n_envs` for on-policy algorithms and `train_freq * n_envs` for off-policy
    ones, whose first update comes after the warm-up: at the first multiple of `U` that is at least
    `learning_starts + 1`.

    Args:
        phases: What `schedule.phases(total_timesteps)` returned.
        steps_per_update: Environment timesteps from one update to the next, an integer >= 1.
        first_update: No update comes before this step, an integer >= 1.

    Raises:
        ValueError: If `phases` do not tile `[0, total)`, or another argument is not an integer >=
            1.

    Examples:
        >>> from schedules import StaircaseSchedule
        >>> planned = StaircaseSchedule(1e-3, decay_steps=100, decay_rate=0.5).phases(250)
        >>> for phase in effective_phases(planned, steps_per_update=64):
        ...     print(phase)
        Phase(index=0, start=0, stop=128, learning_rate=0.001)
        Phase(index=1, start=128, stop=256, learning_rate=0.0005)
        Phase(index=2, start=256, stop=256, learning_rate=0.00025)
    """
    interval = as_integer("steps_per_update", steps_per_update, minimum=1)
    first = as_integer("first_update", first_update, minimum=1)
    if (
        not phases
        or phases[0].start != 0
        or any(phase.start >= phase.stop for phase in phases)
        or any(left.stop != right.start for left, right in pairwise(phases))
    ):
        raise ValueError(f"phases must tile [0, total) without gap or overlap, got {phases!r}")

    def next_update(step: int) -> int:
        return -(-step // interval) * interval

    used = [
        Phase(phase.index, next_update(phase.start), next_update(phase.stop), phase.learning_rate)
        for phase in phases
    ]
    first = next_update(first)
    met = tuple(phase for phase in used[:-1] if max(phase.start, first) < phase.stop)
    return (*met, used[-1]) if first <= used[-1].stop else ()
