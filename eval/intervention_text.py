"""Interventions in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.interventions import Intervention, Interventions

_STARTS = {
    "snapshot": "the agent of the snapshot went on",
    "replay buffer": "a new agent began with the snapshot's replay buffer, as its placebos did",
    "nothing": "a new agent began with nothing, as its placebos did",
}


def interventions_lines(found: Interventions) -> list[str]:
    """The interventions as lines.

    Args:
        found: The interventions.
    """
    placebos = {probe.start: probe.placebos for probe in found.probes}
    return [
        f"interventions: {found.sentence}",
        f"   {_count(len(found.probes), 'probe')} and {_count(found.placebos, 'placebo')} left the "
        f"run at step {found.step} for {found.steps} steps, and each played the same "
        f"{found.episodes} episodes",
        f"   cost: at most {found.spent:.0%} of the run's compute, {found.share:.0%} allowed: "
        f"{found.steps * (len(found.probes) + found.placebos)} steps in {found.seconds:.0f} s, and "
        "the playing",
        *(line for probe in found.probes for line in _probe_lines(probe)),
        *(
            f"   placebos from the {start}: {count} are too few to compare with"
            for start, count in placebos.items()
            if count < 2
        ),
        *(f"   left out: {name}: {reason}" for name, reason in found.left_out.items()),
    ]


def _probe_lines(probe: Intervention) -> list[str]:
    what = f"{probe.name} ({_changes(probe.changes)})"
    if probe.divergence:
        return [f"   {what} {probe.divergence}"]
    if probe.comparison is None:
        return [f"   {what} has no placebos to compare with"]
    result = probe.comparison
    verb = "beats" if probe.beats else "does not beat"
    interval = f"[{result.low:+.3g}, {result.high:+.3g}]"
    return [
        f"   {what} {verb} its {probe.placebos} placebos: return {result.score:.4g} against "
        f"{result.placebo_score:.4g}, {result.effect:+.3g} {interval}, "
        f"p = {result.p:.2g}, corrected {result.p_corrected:.2g}; success "
        f"{_percent(probe.success)} against {_percent(probe.placebo_success)}; "
        f"{_STARTS[probe.start]}"
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.0f} %"


def _changes(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in changes.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(part)}" for key, part in value.items()) + "}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
