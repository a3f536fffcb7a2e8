"""Faults of what is learned from: rewards, goals, observations."""

from __future__ import annotations

import numpy as np

import envs
from eval.checks.check import LEARNED, Suspicion, check, excess, mend, retrain
from eval.evidence import Evidence
from eval.statistics import wilson_interval

LARGEST_REWARD = 20.0
SMALLEST_REWARD = 0.02
LARGEST_SCALES = 2.5
AVOIDABLE_SCALES = 0.8
NOISE_SHARE = 0.03
GOAL_SPREAD = 0.75
UNREACHABLE_GAP = 2.0
CLIPPED = 0.2
FARTHER_PAYS = 0.5
REGION_GAP = 0.2
REGION_LEVEL = 0.01


@check("reward_scale", "data", "reward_min", "reward_max")
def reward_scale(evidence: Evidence) -> Suspicion | None:
    """Rewards that are far from the size that networks and entropy bonuses are made for."""
    low, high = evidence.recent("reward_min"), evidence.recent("reward_max")
    if low is None or high is None:
        return None
    size = max(abs(low), abs(high))
    if size == 0 or SMALLEST_REWARD <= size <= LARGEST_REWARD:
        return None
    factor = size / LARGEST_REWARD if size > LARGEST_REWARD else SMALLEST_REWARD / size
    return Suspicion(
        f"the largest reward is {size:.3g}",
        f"{SMALLEST_REWARD:g} to {LARGEST_REWARD:g} (chosen around 1; Henderson et al., 2018, "
        "section 4, on reward scales)",
        0.6 + 0.4 * excess(factor, 1.0),
        "scale the reward to about 1 in the task's compute_reward",
        {"largest_reward": size, "low": SMALLEST_REWARD, "high": LARGEST_REWARD},
    )


@check("reward_sign", "data", "reward_end_gap", "reward_distance_correlation")
def reward_sign(evidence: Evidence) -> Suspicion | None:
    """Less reward for arriving at a goal, or for being near it, than for being elsewhere."""
    names = ("reward_end_gap", "reward_min", "reward_max", "reward_distance_correlation")
    gap, low, high, slope = (evidence.recent(name) for name in names)
    remedy = "turn the sign of the reward in the task's compute_reward: the goal must pay most"
    if slope is not None and slope > FARTHER_PAYS:
        return Suspicion(
            f"rewards rise with the distance to the goal: their correlation is {slope:.2f}",
            f"{FARTHER_PAYS:g} (chosen; dense rewards have about -1, and sparse ones less than 0)",
            0.95,
            remedy,
            {"reward_distance_correlation": slope},
        )
    # On-policy, the end of an episode that was cut off pays what would have followed, too.
    if not evidence.off_policy or gap is None or low is None or high is None:
        return None
    if gap > -0.05 * max(abs(low), abs(high), 1e-12):
        return None
    return Suspicion(
        f"arriving at a goal pays {-gap:.3g} less than any other step",
        "-5 % of the largest reward (chosen): arriving must be the best that can happen",
        0.95,
        remedy,
        {"reward_end_gap": gap},
    )


@check("goals_unreachable", "data", "goal_gap")
def goals_unreachable(evidence: Evidence) -> Suspicion | None:
    """Goals that are far from everything that was ever achieved, and no success."""
    gap = evidence.recent("goal_gap")
    success = evidence.episodes["success"]
    threshold = UNREACHABLE_GAP * envs.TASK_TYPES[evidence.config.env].threshold
    if gap is None or success.any() or gap <= threshold or len(success) < 10:
        return None
    most = wilson_interval(0, len(success)).high
    return Suspicion(
        f"none of {len(success)} episodes succeeded (at most {most:.0%} would), and a goal is "
        f"{gap:.2g} m from the nearest point that was achieved",
        f"{threshold:g} m, {UNREACHABLE_GAP:g} times the distance at which a goal is reached",
        0.5 + excess(gap, threshold),
        "draw goals within reach; of this project's tasks, --env-kwargs says where goals lie",
        {"goal_gap": gap, "threshold": threshold},
    )


@check("goals_concentrated", "data", "goal_spread")
def goals_concentrated(evidence: Evidence) -> Suspicion | None:
    """Training goals that cover a part of those that are evaluated."""
    if not evidence.config.training_env_kwargs:
        return None  # Goals are drawn alike then.
    spread = evidence.recent("goal_spread")
    goals = evidence.evaluation_goals
    whole = float(np.sqrt(goals.var(0).sum()))
    if spread is None or whole == 0 or spread >= GOAL_SPREAD * whole:
        return None
    # A rollout of few episodes has few goals.
    if not evidence.off_policy and evidence.run.steps_per_update < 8 * evidence.longest_episode:
        return None
    return Suspicion(
        f"training goals spread by {spread:.2g} m, evaluation goals by {whole:.2g} m",
        f"{GOAL_SPREAD:g} times as much (chosen; both are drawn alike in a healthy run)",
        0.6 + 0.4 * excess(GOAL_SPREAD * whole, max(spread, 1e-9)),
        mend(evidence, training_env_kwargs="{}"),
        {"goal_spread": spread, "evaluation_goal_spread": whole},
    )


@check("region_fails", "data")
def region_fails(evidence: Evidence) -> Suspicion | None:
    """Goals of one region that are reached far less often than others."""
    if not evidence.regions:
        return None
    worst = min(evidence.regions, key=lambda region: region.success.value)
    total = sum(region.goals for region in evidence.regions)
    hits = sum(region.goals * region.success.value for region in evidence.regions)
    elsewhere = (hits - worst.goals * worst.success.value) / (total - worst.goals)
    gap = elsewhere - worst.success.value
    if worst.p_worse > REGION_LEVEL or gap < REGION_GAP:
        return None
    return Suspicion(
        f"goals with {worst.where} are reached at {worst.success.value:.0%}, others at "
        f"{elsewhere:.0%} (p = {worst.p_worse:.1g})",
        f"{100 * REGION_GAP:.0f} points (chosen), with p <= {REGION_LEVEL:g} (Fisher, corrected)",
        0.3 + 0.7 * gap,
        "train longer, or draw more training goals there: training_env_kwargs says where they lie",
        {"success": worst.success.value, "elsewhere": elsewhere, "p": worst.p_worse},
        symptom=True,
    )


@check("observation_noise", "data", "unexplained_inputs")
def observation_noise(evidence: Evidence) -> Suspicion | None:
    """Observations that neither the state nor the action before explains, in all entries."""
    share = evidence.recent("unexplained_inputs")
    if share is None or share <= NOISE_SHARE:
        return None
    return Suspicion(
        f"the state and the action before leave {share:.0%} even of the best predicted entries of "
        "observations unexplained",
        f"{NOISE_SHARE:.0%} (chosen between healthy runs and noisy ones, see docs/diagnosis.md)",
        0.6 + 0.4 * excess(share, NOISE_SHARE),
        retrain(evidence, "--env-kwargs observation_noise=0"),
        {"unexplained_inputs": share, "threshold": NOISE_SHARE},
    )


@check("input_scale", "data", "largest_input_scale")
def input_scale(evidence: Evidence) -> Suspicion | None:
    """Inputs of which some are much larger than most, without need if nothing was learned."""
    spread = evidence.recent("largest_input_scale")
    avoidable = evidence.config.normalize is None and evidence.recent_success < LEARNED
    threshold = AVOIDABLE_SCALES if avoidable else LARGEST_SCALES
    if spread is None or spread <= threshold:
        return None
    return Suspicion(
        f"the deviation of an input is 10^{spread:.1f} times the median of all inputs'"
        + ("; nothing normalises them" if avoidable else ""),
        f"10^{threshold:g} (chosen; LeCun et al., 1998, section 4.3, ask for equal ones)",
        0.5 + 0.5 * excess(10**spread, 10**threshold),
        mend(evidence, normalize="{'norm_reward': False}"),
        {"largest_input_scale": spread, "threshold": threshold},
    )


@check("inputs_clipped", "data", "clipped_inputs")
def inputs_clipped(evidence: Evidence) -> Suspicion | None:
    """A normaliser that cuts off a good part of what the networks see."""
    share = evidence.recent("clipped_inputs")
    if share is None or share <= CLIPPED:
        return None
    return Suspicion(
        f"{share:.0%} of the numbers that the networks see are clipped by the normaliser",
        f"{CLIPPED:.0%} (chosen)",
        0.5,
        mend(evidence, normalize="{'norm_reward': False, 'clip_obs': 10.0}"),
        {"clipped_inputs": share, "threshold": CLIPPED},
        symptom=True,
    )
