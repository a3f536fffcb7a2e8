"""The learning curve of a run over its staircase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents import RunDirectory, RunError
from agents.runs.files import write_atomically
from eval.phase_ends import phase_ends
from eval.training_tables import read_training_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eval.stored_episodes import StoredEpisode


def learning_curve(run: RunDirectory) -> Figure:
    """Draws the learning curve of a run over its staircase; writes nothing.

    Args:
        run: The run, which need not be complete or compared.

    Returns:
        Return, success and learning rate against the step, with evaluation results if stored.

    Raises:
        RunError: If no training episode has ended yet or a table is damaged.
    """
    episodes = read_training_table(run.episodes_path, ("step", "return", "success"))
    if episodes["step"].size == 0:
        raise RunError(f"{run.path} has no finished training episode yet, so nothing to plot")
    updates = read_training_table(run.metrics_path, ("step", "learning_rate"))
    # Imported late: matplotlib takes seconds, and bad input should be reported sooner.
    from eval.figure import draw_run

    return draw_run(run, episodes, updates, _evaluated(run))


def plot_run(run: RunDirectory) -> tuple[Path, Path]:
    """Writes the learning curve to the run's `evaluation/learning-curve.png` and `.svg`.

    Files that exist are replaced. The same tables give the same bytes.

    Args:
        run: The run, which need not be complete or compared.

    Returns:
        Paths of the PNG and of the SVG.

    Raises:
        RunError: If no training episode has ended yet, a table is damaged, or the files cannot be
            written.
    """
    figure = learning_curve(run)
    from eval.figure import rendered

    paths = run.evaluation_path / "learning-curve.png", run.evaluation_path / "learning-curve.svg"
    try:
        run.evaluation_path.mkdir(parents=True, exist_ok=True)
        for path in paths:
            write_atomically(path, rendered(figure, path.suffix[1:]))
    except OSError as error:
        raise RunError(
            f"cannot write in {run.evaluation_path}: {error.strerror or error}"
        ) from error
    return paths


def _evaluated(run: RunDirectory) -> dict[int, list[StoredEpisode]]:
    """Stored evaluation episodes by the step of the snapshot; only those that all agents played."""
    from eval.stored_episodes import read_episodes

    stored = read_episodes(run)
    if not stored:
        return {}
    steps = {agent.state_sha256: agent.step for agent in phase_ends(run).snapshots.values()}
    by_step: dict[int, dict[int, StoredEpisode]] = {}
    for (state, seed), episode in stored.items():
        if state in steps:
            by_step.setdefault(steps[state], {})[seed] = episode
    common = set[int]().union(*by_step.values()).intersection(*by_step.values())
    return {step: [played[seed] for seed in sorted(common)] for step, played in by_step.items()}
