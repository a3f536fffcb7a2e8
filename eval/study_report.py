"""What a study says when its training is over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from eval.pages.report import write_report
from eval.study import StudyRuns, open_study
from eval.study_comparison import StudyComparison, compare_runs
from eval.study_tables import notes_lines, study_table


def report_study(folder: Path, console: Console, episodes: int = 100) -> None:
    """Compares a study, prints its tables and writes its report, if all of it is trained.

    Args:
        folder: Folder of the study.
        console: Where they are printed.
        episodes: How many evaluation episodes, from 2 to 10 000.

    Raises:
        ConfigError: If `episodes` is out of range.
        RunError: If the folder holds no study, a file is damaged, or `evaluation/` cannot be
            written.
    """
    runs = open_study(folder)
    if not runs.is_complete:
        console.print(*notes_lines(runs.notes), sep="\n")
        return
    console.print(study_table(compare_aloud(runs, episodes, {}, console)))
    path = write_report(runs)
    console.print(f"report {path}", markup=False, highlight=False, soft_wrap=True)


def compare_aloud(
    runs: StudyRuns, episodes: int, margins: Mapping[str, float], console: Console
) -> StudyComparison:
    """Compares a study, and shows meanwhile how far it is.

    Args:
        runs: The study.
        episodes: How many evaluation episodes, from 2 to 10 000.
        margins: As for `compare_study`.
        console: Where it is shown.

    Raises:
        ConfigError: If `episodes` is out of range, or a margin is not above 0.
        RunError: If a file is damaged, or `evaluation/` cannot be written.
    """
    with console.status("playing evaluation episodes") as status:
        return compare_runs(runs, episodes, margins, lambda text: status.update(Text(text)))
