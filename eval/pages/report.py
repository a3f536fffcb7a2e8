"""The report of whatever a folder holds."""

from __future__ import annotations

from pathlib import Path

from agents import RunDirectory
from eval.study import StudyRuns


def write_report(of: RunDirectory | StudyRuns) -> Path:
    """Writes `report.html` into the folder of a run or study, and replaces an older one.

    The page shows what is stored; nothing is played or trained for it. Equal files give equal
    bytes.

    Args:
        of: The run or study, which need not be complete or compared.

    Returns:
        Path of the file.

    Raises:
        RunError: If the file cannot be written.
    """
    if isinstance(of, StudyRuns):
        from eval.pages.study_page import write_study_report

        return write_study_report(of)
    from eval.pages.run_page import write_run_report

    return write_run_report(of)
