"""Whether the constant-rate phase is a baseline: healthy, poor, unstable or still improving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from eval.evidence import Evidence
from eval.statistics import Estimate, wilson_interval

FEWEST_EPISODES = 24
LEVEL = 0.01
POOR_BELOW = 0.5
LEAST_FALL = 0.2
LEAST_GAIN = 0.1
BLOCKS = 8
FEWEST_IN_BLOCK = 12


@dataclass(frozen=True)
class PhaseVerdict:
    """How the constant-rate phase fared.

    Attributes:
        state: `"healthy"`, `"poor"`, `"unstable"`, `"still improving"`, or `"unknown"` where there
            is too little to judge.
        sentence: Whether decays can be judged on it, and why.
        episodes: Training episodes that it rests on.
        success: Success rate with a 95 % Wilson interval: of the agent at the phase's end in the
            evaluation episodes, or else of the last quarter of the training episodes; `None`
            without either.
        evaluated: Whether it is that of evaluation episodes.
        p_improving: One-sided p that the last quarter's returns are no better than those of the
            quarter before (Mann-Whitney); `None` if it was not tested.
        p_fallen: One-sided p that no later block of episodes succeeded less than an earlier one
            (Fisher, corrected for all pairs); likewise.
    """

    state: str
    sentence: str
    episodes: int
    success: Estimate | None
    evaluated: bool
    p_improving: float | None
    p_fallen: float | None

    @property
    def judges_decays(self) -> bool:
        """Whether decays can be judged on this phase."""
        return self.state == "healthy"


def judge_phase(evidence: Evidence) -> PhaseVerdict:
    """Judges the phase by its training episodes and the evaluation of its last agent.

    Args:
        evidence: Of the run.

    Returns:
        The verdict.
    """
    success, returns = evidence.episodes["success"], evidence.episodes["return"]
    count = len(success)
    level, evaluated = _level(evidence)
    if evidence.divergence is not None:
        sentence = f"decays cannot be judged: the training {evidence.divergence}"
        return PhaseVerdict("unstable", sentence, count, level, evaluated, None, None)
    if count < FEWEST_EPISODES:
        sentence = (
            f"decays cannot be judged yet: {count} training episodes ended in the constant-rate "
            f"phase after the first update, and {FEWEST_EPISODES} are needed"
        )
        return PhaseVerdict("unknown", sentence, count, level, evaluated, None, None)
    gain, p_improving = _gain(returns, success)
    fall, p_fallen = _fall(success)
    assert level is not None
    state, reason = "healthy", f"{_rate(level, evaluated)} and no fall or rise is to be seen"
    if p_fallen <= LEVEL:
        state = "unstable"
        reason = f"success fell by {100 * fall:.0f} points within the phase (p = {p_fallen:.1g})"
    elif p_improving <= LEVEL and gain >= LEAST_GAIN:
        state = "still improving"
        reason = (
            f"the last quarter is better than the one before (p = {p_improving:.1g}), so the "
            "phase is too short to be a baseline"
        )
    elif level.high < POOR_BELOW:
        state, reason = "poor", _rate(level, evaluated)
    elif level.value < POOR_BELOW:
        reason = f"{_rate(level, evaluated)}, which may be poor"
    if not evidence.ended:
        sentence = f"decays cannot be judged yet: the phase has not ended; so far: {reason}"
    elif state == "healthy":
        sentence = f"decays can be judged: {reason}"
    else:
        sentence = f"decays cannot be judged: {reason}"
    return PhaseVerdict(state, sentence, count, level, evaluated, p_improving, p_fallen)


def _level(evidence: Evidence) -> tuple[Estimate | None, bool]:
    if evidence.evaluated is not None:
        success = evidence.evaluated["success"]
        return wilson_interval(int(success.sum()), len(success)), True
    success = evidence.episodes["success"]
    if not len(success):
        return None, False
    last = success[-max(1, len(success) // 4) :]
    return wilson_interval(int(last.sum()), len(last)), False


def _rate(level: Estimate, evaluated: bool) -> str:
    whose = "the agent at its end succeeds" if evaluated else "training episodes at its end succeed"
    return f"{whose} at {100 * level.value:.0f} % [{100 * level.low:.0f}, {100 * level.high:.0f}]"


def _gain(returns: NDArray[np.float64], success: NDArray[np.float64]) -> tuple[float, float]:
    """By how much the last quarter is better than the one before, and the p that it is not.

    The gain is that of success, or of returns as a share of their spread where that is more.
    """
    size = len(returns) // 4
    before, last = returns[-2 * size : -size], returns[-size:]
    if np.ptp(np.concatenate([before, last])) == 0:
        return 0.0, 1.0
    p = float(scipy.stats.mannwhitneyu(last, before, alternative="greater").pvalue)
    low, high = np.quantile(returns, [0.05, 0.95])
    by_return = (last.mean() - before.mean()) / (high - low) if high > low else 0.0
    by_success = success[-size:].mean() - success[-2 * size : -size].mean()
    return float(max(by_return, by_success)), p


def _fall(success: NDArray[np.float64]) -> tuple[float, float]:
    """The surest fall from a block of episodes to a later one, and its corrected p."""
    blocks = np.array_split(success, min(BLOCKS, len(success) // FEWEST_IN_BLOCK))
    pairs = [(a, b) for i, a in enumerate(blocks) for b in blocks[i + 1 :]]
    fall, best = 0.0, 1.0
    for early, late in pairs:
        if (drop := float(early.mean() - late.mean())) < LEAST_FALL:
            continue
        table = [
            [int(early.sum()), int(len(early) - early.sum())],
            [int(late.sum()), int(len(late) - late.sum())],
        ]
        p = min(1.0, len(pairs) * float(scipy.stats.fisher_exact(table, "greater").pvalue))
        if p < best:
            fall, best = drop, p
    return fall, best
