"""What a study says when its training is over."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from eval.study import open_study
from eval.study_comparison import compare_runs
from eval.study_tables import study_table


def report_study(folder: Path, console: Console, episodes: int = 100) -> None:
    """Compares a study and prints its tables, if all of it is trained.

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
        console.print("; ".join(runs.notes))
        return
    with console.status("playing evaluation episodes") as status:
        comparison = compare_runs(runs, episodes, progress=status.update)
    console.print(study_table(comparison))
