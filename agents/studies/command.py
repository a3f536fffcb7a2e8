"""What `train.py` does with a study: print the plan, then train it."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError
from agents.studies.cluster import RayCluster
from agents.studies.conduct import check_study, conduct
from agents.studies.cost import check_disk, estimate
from agents.studies.manifest import segments_folder, study_folder, write_study
from agents.studies.plan import Plan, make_plan
from agents.studies.slurm import write_slurm_script
from agents.studies.store import SegmentStore
from agents.studies.study import Study
from agents.training.interruption import TrainingInterrupted
from agents.training.workers import RunPool

_ROOT = Path("runs")


def conduct_or_describe(
    study: Study,
    console: Console,
    processes: int | None = None,
    *,
    part: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    slurm: bool = False,
) -> int:
    """Prints the plan of a study and what it costs, and conducts it.

    Args:
        study: The study.
        console: Where plan and progress are shown.
        processes: How many runs train at once; as many as there are cores if `None`.
        part: Which part of the study alone is trained; `None` for all.
        cluster: Address of a Ray cluster that trains it, or `"auto"`; `None` for this machine.
        dry_run: Whether to stop after the plan.
        slurm: Whether to write a script for Slurm and train nothing.

    Returns:
        Exit code: 0, or 130 and 143 after SIGINT and SIGTERM.

    Raises:
        ConfigError: If the study cannot be trained, or another plan has its name.
        RunError: If the disk is too small or a run fails.
    """
    plan, folder = make_plan(study), study_folder(study, _ROOT)
    check_study(plan, folder)
    store = SegmentStore(segments_folder(_ROOT))
    whole = plan
    parts = plan.parts()
    if part is not None:
        if not 0 <= part < len(parts):
            raise ConfigError(f"--part must be from 0 to {len(parts) - 1}, got {part}")
        plan = parts[part]
    cost = estimate(plan, store)
    console.print(describe(plan, folder))
    console.print(f"to do  {cost}")
    check_disk(cost, _ROOT)
    if dry_run:
        return 0
    write_study(whole, folder)
    if slurm:
        script = write_slurm_script(folder, len(parts))
        console.print(f"slurm  sbatch {script} trains {len(parts)} parts")
        return 0
    dispatcher = RunPool(processes) if cluster is None else RayCluster(cluster)
    try:
        result = conduct(plan, folder, store, dispatcher, console)
    except (TrainingInterrupted, KeyboardInterrupt) as interruption:
        number = getattr(interruption, "signal_number", 2)
        sys.stderr.write("the study was stopped; the same command goes on with it\n")
        return 128 + number
    for path, where in result.diverged.items():
        console.print(f"failed {path}: {where}")
    console.print(f"study  {folder}: {len(result.runs)} runs are complete or diverged")
    console.print(f"next   python -m eval compare {folder}")
    return 0


def describe(plan: Plan, folder: Path) -> str:
    """Describes a plan in a few lines.

    Args:
        plan: The plan.
        folder: The folder of the study.
    """
    study = plan.study
    branches = sum(run.run.parent is not None for run in plan.runs)
    names = ", ".join(f"{key} ({len(values)})" for key, values in study.axes.items()) or "none"
    share = plan.trained_steps / plan.scratch_steps
    return (
        f"study  {folder}: {len(study.arms())} arms x {len(study.seeds)} seeds, axes {names}\n"
        f"plan   {len(plan.runs) - branches} runs and {branches} branches in "
        f"{len(plan.tree.segments)} segments, {plan.trained_steps:,} steps, "
        f"{share:.0%} of what they take from scratch"
    )
