"""Faults of the networks: too small, dead, saturated."""

from __future__ import annotations

from eval.checks.check import Suspicion, check, excess, mend
from eval.evidence import Evidence, width

NARROW = 16
RANK_SHARE = 0.7
DORMANT = 0.8
DORMANT_SHARES = ("actor_dormant", "critic_dormant")
SATURATED = 0.9
STUCK = 0.1


@check("network_too_small", "architecture", "critic_effective_rank")
def network_too_small(evidence: Evidence) -> Suspicion | None:
    """Layers so narrow that all of their few units are needed."""
    units, rank = width(evidence), evidence.recent("critic_effective_rank")
    if units >= NARROW or rank is None:
        return None
    return Suspicion(
        f"a hidden layer has {units} units, and the features of the critic need {rank:.3g}",
        f"{NARROW} units (chosen; SB3's defaults and the presets have 64 and more)",
        0.6 + 0.4 * excess(NARROW, units),
        mend(evidence, hyperparameters__policy_kwargs__net_arch="[64, 64]"),
        {"units": units, "threshold": NARROW},
    )


@check("dead_units", "architecture", *DORMANT_SHARES)
def dead_units(evidence: Evidence) -> Suspicion | None:
    """Most hidden units of a network do nothing."""
    shares = {
        name: share for name in DORMANT_SHARES if (share := evidence.recent(name)) is not None
    }
    name = max(shares, key=shares.__getitem__, default="")
    if not shares or shares[name] <= DORMANT:
        return None
    return Suspicion(
        f"{shares[name]:.0%} of the {name.removesuffix('_dormant')}'s hidden units are dormant",
        f"{DORMANT:.0%} (chosen; dormant at τ = 0.025: Sokar et al., 2023)",
        0.6 + 0.4 * (shares[name] - DORMANT) / (1 - DORMANT),
        mend(evidence, hyperparameters__policy_kwargs__activation_fn="'tanh'"),
        shares,
        symptom=True,
    )


@check("saturated_actions", "architecture", "saturated_actions", "action_spread")
def saturated_actions(evidence: Evidence) -> Suspicion | None:
    """A policy whose actions stick to their limits whatever it sees, or did so at first."""
    if not evidence.off_policy:
        return None
    shares, spreads = (evidence.values(name) for name in ("saturated_actions", "action_spread"))
    share, spread = evidence.recent("saturated_actions"), evidence.recent("action_spread")
    if len(shares) and shares[0] > SATURATED and spreads[0] < STUCK:
        share, spread = float(shares[0]), float(spreads[0])
    if share is None or spread is None or share <= SATURATED:
        return None
    return Suspicion(
        f"{share:.0%} of the actions lie within 1 % of their limits, and differ by {spread:.2g} "
        "from state to state",
        f"{SATURATED:.0%} (chosen; tanh passes on next to no gradient there)",
        0.6 + 0.4 * (1 - min(1.0, spread)),
        mend(evidence, seed=f"{evidence.config.seed + 1}"),
        {"saturated_actions": share, "action_spread": spread, "threshold": SATURATED},
        symptom=True,
    )
