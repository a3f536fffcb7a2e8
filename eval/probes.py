"""The probes of an intervention: what is changed, which suspects that tests, what a step costs.

A new probe is a function with the decorator `probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.hyperparameters import CLASSES
from agents.runs.directory import RESET_UNITS
from eval.evidence import Evidence

WIDE = 64


@dataclass(frozen=True)
class Change:
    """What a probe changes.

    Attributes:
        values: New values by name, as `fork_at` takes them; `learning_rate` is the rate from the
            fork on.
        keeps_agent: Whether the agent of the snapshot goes on. Otherwise another one starts from
            the replay buffer, or from nothing where there is none.
    """

    values: Mapping[str, Any]
    keeps_agent: bool = True


Answer = Change | str
"""A change, or why the probe makes no sense for a run."""


@dataclass(frozen=True)
class Probe:
    """One thing to change.

    Attributes:
        name: Its name.
        suspects: Kinds of findings that it tests.
        change: What it changes in a run.
        cost: Most that a step costs, in steps of the run; an estimate from above, which keeps the
            interventions within their share.
    """

    name: str
    suspects: tuple[str, ...]
    change: Callable[[Evidence], Answer]
    cost: float


PROBES: dict[str, Probe] = {}
"""All probes by name; without suspects, they are tried in this order."""


def probe(
    *suspects: str, cost: float = 1.0
) -> Callable[[Callable[[Evidence], Answer]], Callable[[Evidence], Answer]]:
    """Makes a probe of a function, which gives it its name.

    Args:
        *suspects: Kinds of findings that it tests.
        cost: Most that a step costs, in steps of the run.

    Returns:
        A decorator.
    """

    def register(change: Callable[[Evidence], Answer]) -> Callable[[Evidence], Answer]:
        PROBES[change.__name__] = Probe(change.__name__, suspects, change, cost)
        return change

    return register


@probe("rate_too_low", "optimizer")
def rate_x3(evidence: Evidence) -> Answer:
    """Three times the rate."""
    return Change({"learning_rate": 3 * evidence.phase.learning_rate})


@probe("rate_too_high", "q_diverges", "target_too_fast")
def rate_div3(evidence: Evidence) -> Answer:
    """A third of the rate."""
    return Change({"learning_rate": evidence.phase.learning_rate / 3})


@probe("no_exploration", "saturated_actions")
def more_entropy(evidence: Evidence) -> Answer:
    """A target that is higher by half a nat for each entry of an action, or three times the bonus.

    SB3's automatic target is minus one nat for each.
    """
    coefficient = evidence.hyperparameter("ent_coef")
    if coefficient is None:
        return f"{evidence.config.algo} has no entropy bonus"
    if not isinstance(coefficient, str):
        return Change({"ent_coef": 3 * coefficient or 0.01})
    target = evidence.hyperparameter("target_entropy")
    if isinstance(target, str):
        target = -float(evidence.action_size)
    return Change({"target_entropy": target + 0.5 * evidence.action_size})


@probe("no_hindsight", "goals_unreachable")
def more_hindsight(evidence: Evidence) -> Answer:
    """Twice as many hindsight goals, or any at all."""
    if not evidence.off_policy:
        return f"{evidence.config.algo} has no replay buffer"
    her = evidence.config.her
    if her is None:
        started = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}
        return Change({"her": started})
    return Change({"n_sampled_goal": 2 * her.get("n_sampled_goal", 4) or 4})


@probe("dead_units")
def units_reset(evidence: Evidence) -> Answer:
    """New weights for the hidden units that do nothing."""
    if not evidence.off_policy:
        return f"{evidence.config.algo} has no replay buffer to tell which units are dormant"
    shares = [evidence.recent(f"{name}_dormant") for name in ("actor", "critic")]
    if not any(shares):
        return "no unit was seen dormant"
    return Change({"state": RESET_UNITS})


@probe("batch_too_large")
def batch_div4(evidence: Evidence) -> Answer:
    """A quarter of the batch."""
    size = evidence.hyperparameter("batch_size")
    if size is None:
        return f"{evidence.config.algo} has no batch size"
    return Change({"batch_size": size // 4}) if size >= 8 else f"a batch has {size} transitions"


@probe("batch_too_small", "observation_noise", cost=4)
def batch_x4(evidence: Evidence) -> Answer:
    """Four times the batch."""
    size = evidence.hyperparameter("batch_size")
    if size is None:
        return f"{evidence.config.algo} has no batch size"
    if not evidence.off_policy and 4 * size > evidence.run.steps_per_update:
        return f"a rollout has {evidence.run.steps_per_update} steps, and a batch {size} of them"
    return Change({"batch_size": 4 * size})


@probe("input_scale", "inputs_clipped", cost=1.3)
def normalised(evidence: Evidence) -> Answer:
    """Observations divided by their running deviation."""
    given = evidence.config.normalize
    if given is not None and given.get("norm_obs", True):
        return "observations are normalised"
    return Change({"normalize": {"norm_reward": False, **(given or {})}}, keeps_agent=False)


@probe("goals_unreachable", "reward_scale", "reward_sign")
def denser_reward(evidence: Evidence) -> Answer:
    """Minus the distance to the goal, instead of minus one."""
    if evidence.config.reward == "dense":
        return "the reward is dense"
    return Change({"reward": "dense"}, keeps_agent=False)


@probe("network_too_small", cost=4)
def wider(evidence: Evidence) -> Answer:
    """Hidden layers of twice as many units, and of 64 at least."""
    policy = evidence.config.hyperparameters.get("policy_kwargs") or {}
    layers = policy.get("net_arch")
    if layers is None:
        layers = [256, 256] if evidence.off_policy else [64, 64]  # SB3's, or near them
    parts = layers if isinstance(layers, dict) else {"": layers}
    wide = {name: [max(WIDE, 2 * size) for size in part] for name, part in parts.items()}
    arch = wide if isinstance(layers, dict) else wide[""]
    return Change({"policy_kwargs": {**policy, "net_arch": arch}}, keeps_agent=False)


@probe("q_diverges", "target_too_fast", "dead_units", "saturated_actions", cost=3)
def layer_norm(evidence: Evidence) -> Answer:
    """Layer normalisation in every hidden layer, which SB3 computes, by autograd."""
    policy = evidence.config.hyperparameters.get("policy_kwargs") or {}
    if evidence.config.algo == "crossq":
        return "crossq normalises by batch"
    name = policy.get("activation_fn", "relu" if evidence.off_policy else "tanh")
    if name.startswith("layer_norm_"):
        return "layers are normalised"
    if (normed := f"layer_norm_{name}") not in CLASSES["activation_fn"]:
        return f"there is no layer normalisation with {name}"
    return Change({"policy_kwargs": {**policy, "activation_fn": normed}}, keeps_agent=False)
