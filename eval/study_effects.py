"""The decay effects of a study, judged: each beside its noise floor and what pairing was worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eval.effects_csv import Boundary, Outcomes
from eval.noise_floor import NoiseFloor, noise_floor, variance_removed_by_pairing
from eval.statistics import Estimate
from eval.verdicts import SUCCESS_MARGIN, Verdict, judge, return_margin

RETURN, SUCCESS = "return", "success"


@dataclass(frozen=True)
class DecayOverSeeds:
    """What one decay of one arm did, over seeds.

    Attributes:
        label: Which decay: task, arm and phase.
        verdict: The effect and what it amounts to.
        floor: The noise floor of its placebo forks; `None` without any.
        removed_by_pairing: Share of the variance that pairing removed; `None` for a single seed.
    """

    label: str
    verdict: Verdict
    floor: NoiseFloor | None
    removed_by_pairing: float | None


def judge_boundaries(
    boundaries: Sequence[Boundary], quantity: str, margin: float | None = None
) -> tuple[DecayOverSeeds, ...]:
    """Judges the decays of a study together, so that Holm's correction is over all of them.

    Args:
        boundaries: At least one.
        quantity: `RETURN` or `SUCCESS`.
        margin: The largest effect that would not matter. By default 0.05 for success, and for
            returns what `return_margin` says of all held agents; tasks whose returns differ in
            scale need calls of their own.

    Returns:
        A result for each boundary.

    Raises:
        ValueError: If `quantity` is neither, there is no boundary, its arrays cannot be judged, or
            no margin is given and the held agents' returns do not differ.
    """
    if quantity not in (RETURN, SUCCESS):
        raise ValueError(f"the quantity must be {RETURN!r} or {SUCCESS!r}, got {quantity!r}")

    def values(outcomes: Outcomes) -> NDArray[np.float64]:
        chosen = outcomes.returns if quantity == RETURN else outcomes.successes
        return np.asarray(chosen, dtype=np.float64)

    if margin is None and quantity == SUCCESS:
        margin = SUCCESS_MARGIN
    elif margin is None:
        margin = return_margin(np.concatenate([values(b.held).ravel() for b in boundaries]))
    verdicts = judge([values(b.decayed) - values(b.held) for b in boundaries], margin)
    if quantity == SUCCESS:
        verdicts = tuple(replace(v, effect=_of_shares(v.effect)) for v in verdicts)
    several = len({b.task for b in boundaries}) > 1
    results = []
    for boundary, verdict in zip(boundaries, verdicts, strict=True):
        held, decayed = values(boundary.held), values(boundary.decayed)
        placebos = [values(fork) - held for fork in boundary.placebos]
        name = f"{boundary.arm}, into phase {boundary.phase}"
        results.append(
            DecayOverSeeds(
                label=f"{boundary.task}, {name}" if several else name,
                verdict=verdict,
                floor=noise_floor(decayed - held, np.stack(placebos, axis=1)) if placebos else None,
                removed_by_pairing=variance_removed_by_pairing(decayed, held)
                if len(held) > 1
                else None,
            )
        )
    return tuple(results)


def _of_shares(effect: Estimate) -> Estimate:
    """A difference of shares, which cannot leave -1 to 1; one without an interval stays so."""
    if not np.isfinite(effect.low):
        return effect
    return Estimate(effect.value, max(-1.0, effect.low), min(1.0, effect.high))
