"""Evaluation of trained runs: phase comparison, learning curve, video, replayed exactness."""

from eval.comparison import (
    Comparison,
    DecayEffect,
    PhaseResult,
    TrainingReturns,
    compare_phases,
    summary_path,
)
from eval.comparison_table import comparison_table
from eval.plot import plot_run
from eval.seeds import evaluation_seeds
from eval.statistics import Estimate
from eval.verification import Replay, verify_run
from eval.video import record_video, video_path

__all__ = [
    "Comparison",
    "DecayEffect",
    "Estimate",
    "PhaseResult",
    "Replay",
    "TrainingReturns",
    "compare_phases",
    "comparison_table",
    "evaluation_seeds",
    "plot_run",
    "record_video",
    "summary_path",
    "verify_run",
    "video_path",
]
