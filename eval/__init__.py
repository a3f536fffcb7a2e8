"""Evaluation of trained runs and studies: comparisons, figures, videos, replayed exactness."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.comparison import (
        Comparison,
        DecayEffect,
        PhaseResult,
        PlayedPhases,
        TrainingReturns,
        compare_phases,
        play_phases,
        summarise_phases,
        summary_path,
    )
    from eval.diagnosis import (
        Diagnosis,
        Finding,
        diagnose,
        diagnose_by_intervention,
        diagnosis_path,
        diagnosis_text,
        phase_warning,
    )
    from eval.pages.report import write_report
    from eval.plot import learning_curve, plot_run
    from eval.seeds import evaluation_seeds
    from eval.statistics import Estimate, bootstrap
    from eval.study import StudyRuns, open_study
    from eval.study_comparison import StudyComparison, compare_study
    from eval.study_diagnosis import StudyDiagnosis, diagnose_study, study_diagnosis_text
    from eval.study_plot import plot_study
    from eval.study_report import report_study
    from eval.study_tables import study_table
    from eval.tables import comparison_table
    from eval.verification import ReplayedStretch, verify_run
    from eval.video import record_pretrained, record_video, video_path

__all__ = [
    "Comparison",
    "DecayEffect",
    "Diagnosis",
    "Estimate",
    "Finding",
    "PhaseResult",
    "PlayedPhases",
    "ReplayedStretch",
    "StudyComparison",
    "StudyDiagnosis",
    "StudyRuns",
    "TrainingReturns",
    "bootstrap",
    "compare_phases",
    "compare_study",
    "comparison_table",
    "diagnose",
    "diagnose_by_intervention",
    "diagnose_study",
    "diagnosis_path",
    "diagnosis_text",
    "evaluation_seeds",
    "learning_curve",
    "open_study",
    "phase_warning",
    "play_phases",
    "plot_run",
    "plot_study",
    "record_pretrained",
    "record_video",
    "report_study",
    "study_diagnosis_text",
    "study_table",
    "summarise_phases",
    "summary_path",
    "verify_run",
    "video_path",
    "write_report",
]

# Imported when first used: a mistyped command need not wait for Pillow, SciPy and rich.
_HOMES = {
    "eval.comparison": (
        "Comparison",
        "DecayEffect",
        "PhaseResult",
        "PlayedPhases",
        "TrainingReturns",
        "compare_phases",
        "play_phases",
        "summarise_phases",
        "summary_path",
    ),
    "eval.study": ("StudyRuns", "open_study"),
    "eval.study_comparison": ("StudyComparison", "compare_study"),
    "eval.study_plot": ("plot_study",),
    "eval.study_report": ("report_study",),
    "eval.study_tables": ("study_table",),
    "eval.diagnosis": (
        "Diagnosis",
        "Finding",
        "diagnose",
        "diagnose_by_intervention",
        "diagnosis_path",
        "diagnosis_text",
        "phase_warning",
    ),
    "eval.study_diagnosis": ("StudyDiagnosis", "diagnose_study", "study_diagnosis_text"),
    "eval.tables": ("comparison_table",),
    "eval.pages.report": ("write_report",),
    "eval.plot": ("learning_curve", "plot_run"),
    "eval.seeds": ("evaluation_seeds",),
    "eval.statistics": ("Estimate", "bootstrap"),
    "eval.verification": ("ReplayedStretch", "verify_run"),
    "eval.video": ("record_pretrained", "record_video", "video_path"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
