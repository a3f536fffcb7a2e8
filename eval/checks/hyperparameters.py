"""Faults of what is chosen: rate, batch, optimizer, discount, targets, exploration, hindsight."""

from __future__ import annotations

import math

import numpy as np

from eval.checks.architecture import DORMANT, DORMANT_SHARES
from eval.checks.check import LEARNED, Suspicion, check, excess, mend, retrain
from eval.evidence import Evidence

RATIO_TOO_HIGH = 2e-2
RATIO_TOO_LOW = 1.5e-4
GAIN_TOO_HIGH = 15.0
FIRST_GAIN_TOO_HIGH = 2.0
SMALL_BATCH = 16
LARGE_BATCH = 4096
SHORTEST_HORIZON = 0.1
FAST_TARGET = 0.5
LATEST_UPDATE = 0.7
WILD_NOISE = 1.0
SMALL_BUFFER = 0.2
FEWEST_DRAWN = 8.0
RATIOS = ("actor_update_ratio", "critic_update_ratio")
GAINS = ("actor_weight_gain", "critic_weight_gain")


@check("rate_too_high", "hyperparameters")
def rate_too_high(evidence: Evidence) -> Suspicion | None:
    """Steps that move a network by more than 2 % of its weights, or have blown the weights up.

    Large steps make large weights, beside which later steps look small: the first ratio counts.
    They also kill units, so half as much is too much where most of them are dead. Weights that
    are large at the first signals have come so far by large steps; later, they may have grown for
    other reasons, such as values without bounds.
    """
    first_ratio, first_gain = (
        max((float(values[0]) for name in names if len(values := evidence.values(name))), default=0)
        for names in (RATIOS, GAINS)
    )
    ratio, gain, dormant = (
        max((evidence.recent(name) or 0.0 for name in names), default=0.0)
        for names in (RATIOS, GAINS, DORMANT_SHARES)
    )
    ratio, dead = max(ratio, first_ratio), dormant > DORMANT
    threshold = RATIO_TOO_HIGH / 2 if dead else RATIO_TOO_HIGH
    early = max(excess(ratio, threshold), excess(first_gain, FIRST_GAIN_TOO_HIGH))
    strength = max(early, excess(gain, GAIN_TOO_HIGH))
    if strength == 0:
        return None
    rate = evidence.phase.learning_rate
    return Suspicion(
        f"an update moves a network by up to {ratio:.2g} of the length of its weights, and a "
        f"layer amplifies its inputs {max(gain, first_gain):.3g} times ({first_gain:.3g} at first)"
        + ("; most of a network's units are dead" if dead else ""),
        f"{threshold:g}, where 1e-3 is usual (CS231n notes on training), and a gain of "
        f"{GAIN_TOO_HIGH:g}, {FIRST_GAIN_TOO_HIGH:g} at first (chosen; 1.4 keeps the size of "
        "inputs: He et al., 2015)",
        0.7 + 0.25 * strength,
        retrain(evidence, f"--initial-learning-rate {rate / 10:.2g}"),
        {"update_ratio": ratio, "weight_gain": gain, "first_weight_gain": first_gain},
        symptom=early == 0,
    )


@check("rate_too_low", "hyperparameters", *RATIOS)
def rate_too_low(evidence: Evidence) -> Suspicion | None:
    """Steps that hardly move any network, which has not learned."""
    ratios = [ratio for name in RATIOS if (ratio := evidence.recent(name)) is not None]
    if not ratios or max(ratios) == 0 or max(ratios) >= RATIO_TOO_LOW:
        return None
    if evidence.recent_success >= LEARNED:
        return None
    rate = evidence.phase.learning_rate
    return Suspicion(
        f"an update moves no network by more than {max(ratios):.2g} of the length of its weights",
        f"{RATIO_TOO_LOW:g}; 1e-3 is usual (Karpathy, CS231n notes on training)",
        0.6 + 0.4 * excess(RATIO_TOO_LOW, max(ratios)),
        retrain(evidence, f"--initial-learning-rate {rate * 10:.2g}"),
        {"update_ratio": max(ratios), "threshold": RATIO_TOO_LOW},
        symptom=True,
    )


@check("batch_too_small", "hyperparameters")
def batch_too_small(evidence: Evidence) -> Suspicion | None:
    """A batch below 16 transitions, which makes a gradient mostly noise."""
    size, noise = evidence.hyperparameter("batch_size"), evidence.recent("critic_noise_scale")
    if size is None or size >= SMALL_BATCH:
        return None
    return Suspicion(
        f"a batch has {size} transitions"
        + ("" if noise is None else f"; the critic's gradient is half noise at {noise:.3g}"),
        f"{SMALL_BATCH} (chosen; presets have 256; noise scale: McCandlish et al., 2018)",
        0.5 + 0.5 * excess(SMALL_BATCH, size),
        mend(evidence, hyperparameters__batch_size="256"),
        {"batch_size": size, "threshold": SMALL_BATCH},
    )


@check("batch_too_large", "hyperparameters")
def batch_too_large(evidence: Evidence) -> Suspicion | None:
    """A batch that holds each transition many times, or is larger than any gradient needs."""
    size, noise = evidence.hyperparameter("batch_size"), evidence.recent("critic_noise_scale")
    if not evidence.off_policy or size is None or size < LARGE_BATCH:
        return None
    return Suspicion(
        f"a batch has {size} transitions, and the phase {evidence.steps}"
        + ("" if noise is None else f"; the critic's gradient is half noise at {noise:.3g}"),
        f"{LARGE_BATCH}, 16 times SB3's default (noise scale: McCandlish et al., 2018)",
        0.85 + 0.15 * excess(size, LARGE_BATCH),
        mend(evidence, hyperparameters__batch_size="256"),
        {"batch_size": size, "threshold": LARGE_BATCH},
    )


@check("optimizer", "hyperparameters")
def optimizer(evidence: Evidence) -> Suspicion | None:
    """An optimizer without a scale for each weight, or one that remembers the wrong way round."""
    policy = evidence.config.hyperparameters.get("policy_kwargs", {})
    name, arguments = policy.get("optimizer_class", "adam"), policy.get("optimizer_kwargs") or {}
    if name == "sgd":
        return Suspicion(
            f"plain SGD at a rate of {evidence.phase.learning_rate:g}",
            "an optimizer that scales each weight's step, as all presets and SB3's defaults have",
            1.0,
            mend(evidence, hyperparameters__policy_kwargs__optimizer_class="'adam'"),
            {"adaptive": 0.0},
        )
    first, second = arguments.get("betas", (0.9, 0.999))
    if first**2 < math.sqrt(second) and first < 0.99:
        return None
    return Suspicion(
        f"betas of {first:g} and {second:g}: the mean of the gradients outlives their scale",
        "β₁² < √β₂, which Adam's analysis asks for (Kingma & Ba, 2015, theorem 4.1), and "
        "β₁ < 0.99 (chosen)",
        1.0,
        mend(evidence, hyperparameters__policy_kwargs__optimizer_kwargs="{}"),
        {"beta_1": first, "beta_2": second},
    )


@check("discount_too_low", "hyperparameters")
def discount_too_low(evidence: Evidence) -> Suspicion | None:
    """A horizon of 1 / (1 - γ) steps that is a small part of an episode."""
    gamma, longest = evidence.hyperparameter("gamma"), evidence.longest_episode
    if gamma is None or gamma >= 1:
        return None
    horizon, needed = 1 / (1 - gamma), SHORTEST_HORIZON * longest
    if horizon >= needed:
        return None
    return Suspicion(
        f"with a discount of {gamma:g} the agent looks {horizon:.2g} steps ahead, and an episode "
        f"may take {longest}",
        f"a tenth of an episode, {needed:g} steps (chosen; all presets look 20 ahead)",
        0.4 + excess(needed, horizon),
        mend(evidence, hyperparameters__gamma="0.95"),
        {"horizon": horizon, "threshold": needed},
    )


@check("target_too_fast", "hyperparameters")
def target_too_fast(evidence: Evidence) -> Suspicion | None:
    """Target networks that do not lag behind the critics, so that errors chase themselves."""
    tau = evidence.hyperparameter("tau")
    if (
        tau is None
        or tau < FAST_TARGET
        or (evidence.hyperparameter("target_update_interval") or 1) > 100
    ):
        return None
    return Suspicion(
        f"the target networks take over {tau:g} of the critics at each update",
        f"{FAST_TARGET:g} (chosen; 0.005 is usual, large ones were unstable in Haarnoja et al., "
        "2018, figure 3)",
        0.6 + 0.4 * (tau - FAST_TARGET),
        mend(evidence, hyperparameters__tau="0.005"),
        {"tau": tau, "threshold": FAST_TARGET},
    )


@check("no_exploration", "hyperparameters")
def no_exploration(evidence: Evidence) -> Suspicion | None:
    """Nothing that keeps the agent trying: no entropy bonus, no noise on its actions."""
    config = evidence.config
    if config.algo in ("sac", "tqc", "crossq"):
        coefficient = evidence.hyperparameter("ent_coef")
        if isinstance(coefficient, str) or coefficient >= 1e-4:
            return None
        entropy = evidence.recent("entropy")
        seen = "" if entropy is None else f", and the policy has {entropy:.2g} nats"
        return Suspicion(
            f"the entropy coefficient is fixed at {coefficient:g}{seen}",
            "1e-4 (chosen; Haarnoja et al., 2018, learn it)",
            0.7,
            mend(evidence, hyperparameters__ent_coef="'auto'"),
            {"ent_coef": float(coefficient)},
        )
    if config.algo in ("td3", "ddpg") and config.action_noise is None:
        return Suspicion(
            "the policy is deterministic, and its actions get no noise in training",
            "noise of 0.1, as Fujimoto et al. (2018) have it",
            0.7,
            mend(evidence, action_noise="{'kind': 'normal', 'sigma': 0.1}"),
            {"sigma": 0.0},
        )
    return None


@check("too_much_exploration", "hyperparameters", "reward_min")
def too_much_exploration(evidence: Evidence) -> Suspicion | None:
    """A bonus for acting at random that outweighs the task, or noise as large as the actions."""
    config = evidence.config
    if config.algo in ("td3", "ddpg"):
        sigma = float(np.max((config.action_noise or {}).get("sigma", 0.0)))
        if sigma < WILD_NOISE:
            return None
        return Suspicion(
            f"actions get noise with a deviation of {sigma:g}, and lie in [-1, 1]",
            f"{WILD_NOISE:g} (chosen; Fujimoto et al., 2018, have 0.1)",
            0.7 + 0.3 * excess(sigma, WILD_NOISE),
            mend(evidence, action_noise="{'kind': 'normal', 'sigma': 0.1}"),
            {"sigma": sigma, "threshold": WILD_NOISE},
        )
    coefficient = evidence.hyperparameter("ent_coef")
    if coefficient is None:
        return None
    most = evidence.action_size * math.log(2)  # nats of uniform actions
    if isinstance(coefficient, str):
        target = evidence.hyperparameter("target_entropy")
        if isinstance(target, str) or target <= most / 2:
            return None
        return Suspicion(
            f"the entropy is to be {target:g} nats, and uniform actions have {most:.2g}",
            f"half of these, {most / 2:.2g} (chosen; minus one an entry: Haarnoja et al., 2018)",
            0.8,
            mend(evidence, hyperparameters__target_entropy="'auto'"),
            {"target_entropy": float(target), "threshold": most / 2},
        )
    low, high = evidence.recent("reward_min"), evidence.recent("reward_max")
    # On-policy, the bonus stands beside advantages of unit variance.
    scale = 1.0 if not evidence.off_policy else 0.0 if low is None or high is None else high - low
    bonus = coefficient * most
    if scale == 0 or bonus <= scale:
        return None
    return Suspicion(
        f"acting at random earns a bonus of {bonus:.3g}, and "
        + (f"rewards differ by {scale:.3g}" if evidence.off_policy else "advantages have size 1"),
        "as much (chosen): what the task pays must count for more",
        0.7 + 0.3 * excess(bonus, scale),
        mend(evidence, hyperparameters__ent_coef="'auto'" if evidence.off_policy else "0"),
        {"bonus": bonus, "threshold": scale},
    )


@check("buffer_too_small", "hyperparameters")
def buffer_too_small(evidence: Evidence) -> Suspicion | None:
    """A replay buffer that forgets most of the phase."""
    size = evidence.hyperparameter("buffer_size")
    if not evidence.off_policy or size is None or size >= SMALL_BUFFER * evidence.steps:
        return None
    least = SMALL_BUFFER * evidence.steps
    return Suspicion(
        f"the replay buffer holds {size} of the {evidence.steps} transitions of the phase",
        f"{SMALL_BUFFER:.0%} of them (chosen; presets keep all)",
        0.6 + 0.4 * excess(least, size),
        mend(evidence, hyperparameters__buffer_size="1000000"),
        {"buffer_size": size, "threshold": least},
    )


@check("too_few_updates", "hyperparameters")
def too_few_updates(evidence: Evidence) -> Suspicion | None:
    """So few updates, of batches of a usual size, that transitions are hardly ever learned from."""
    batch, updates = (evidence.hyperparameter(name) for name in ("batch_size", "gradient_steps"))
    if not evidence.off_policy or batch is None or updates is None or batch < SMALL_BATCH:
        return None
    drawn = batch if updates < 0 else batch * updates / evidence.run.steps_per_update
    if drawn >= FEWEST_DRAWN:
        return None
    return Suspicion(
        f"{drawn:.2g} transitions are drawn for each step that is taken",
        f"{FEWEST_DRAWN:g} (chosen; presets draw 32 to 256)",
        0.6 + 0.4 * excess(FEWEST_DRAWN, drawn),
        mend(evidence, hyperparameters__gradient_steps="-1"),
        {"drawn": drawn, "threshold": FEWEST_DRAWN},
    )


@check("no_hindsight", "hyperparameters")
def no_hindsight(evidence: Evidence) -> Suspicion | None:
    """Sparse rewards that are seldom met, and no hindsight to learn from failures."""
    config = evidence.config
    success = evidence.episodes["success"]
    if not evidence.off_policy or config.her is not None or config.reward != "sparse":
        return None
    seen = float(success.mean()) if success.size else 0.0
    if seen > 0.5:
        return None
    return Suspicion(
        f"rewards are sparse, {seen:.0%} of the training episodes succeeded, and failures are "
        "not replayed with other goals",
        "half of the episodes (chosen); Andrychowicz et al. (2017) hardly learn without",
        0.8,
        mend(evidence, her="{'n_sampled_goal': 4, 'goal_selection_strategy': 'future'}"),
        {"success_rate": seen},
    )


@check("late_first_update", "hyperparameters")
def late_first_update(evidence: Evidence) -> Suspicion | None:
    """A phase most of which passes before anything is learned."""
    share = evidence.run.first_update / max(1, evidence.phase.stop)
    if not evidence.off_policy or share < LATEST_UPDATE:
        return None
    return Suspicion(
        f"the first update comes at step {evidence.run.first_update}, after {share:.0%} of the "
        "phase",
        f"{LATEST_UPDATE:.0%} of the phase (chosen; presets have 6 to 33 %)",
        0.7 + min(0.3, share - LATEST_UPDATE),
        mend(evidence, hyperparameters__learning_starts="1000"),
        {"share": share, "threshold": LATEST_UPDATE},
    )


@check("early_first_update", "hyperparameters")
def early_first_update(evidence: Evidence) -> Suspicion | None:
    """Updates that begin when there is only an episode of each environment to learn from."""
    first, episode = evidence.run.first_update, evidence.longest_episode * evidence.config.n_envs
    if not evidence.off_policy or first > episode + evidence.run.steps_per_update:
        return None
    return Suspicion(
        f"the first update comes at step {first}, when the replay buffer holds no more than an "
        "episode of each environment",
        f"{episode} steps (chosen; presets have 500 to 10000)",
        0.3 + 0.7 * excess(episode, first),
        mend(evidence, hyperparameters__learning_starts=f"{10 * episode}"),
        {"first_update": first, "threshold": episode},
    )


def q_beyond_bounds(evidence: Evidence) -> float | None:
    """How far Q lies outside of what rewards allow, in widths of what they allow.

    Args:
        evidence: Of the run.
    """
    names = ("q_mean", "q_low_bound", "q_high_bound")
    mean, low, high = (evidence.recent(name) for name in names)
    if mean is None or low is None or high is None or high <= low:
        return None
    return float(np.maximum(mean - high, low - mean) / (high - low))


@check("q_diverges", "hyperparameters", "q_mean", "q_low_bound")
def q_diverges(evidence: Evidence) -> Suspicion | None:
    """Values that no policy could have, which a rate or targets that are too fast bring about."""
    beyond = q_beyond_bounds(evidence)
    if beyond is None or beyond <= 0.5:
        return None
    mean = evidence.recent("q_mean") or 0.0
    low, high = (evidence.recent(name) or 0.0 for name in ("q_low_bound", "q_high_bound"))
    return Suspicion(
        f"the mean of Q is {mean:.3g}, and rewards allow {low:.3g} to {high:.3g}",
        "half a width outside of r / (1 - γ) (soft divergence: van Hasselt et al., 2018)",
        0.3 + 0.5 * excess(beyond, 0.5),
        retrain(evidence, f"--initial-learning-rate {evidence.phase.learning_rate / 10:.2g}"),
        {"q_mean": mean, "q_low_bound": low, "q_high_bound": high},
        symptom=True,
    )
