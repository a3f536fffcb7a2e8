"""Train an agent under a staircase learning rate and see what each decay did."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from rich.console import Console

from agents.cli.command_line import called_as, parse_arguments, user_errors
from agents.cli.flags import TrainArguments, check_modes, is_study
from agents.cli.resolve import check_same_config, describe_fork, resolve_config, resolve_study
from agents.runs.directory import (
    RunDirectory,
    branch_path,
    check_free,
    find_run,
    is_complete,
    new_run_path,
    require_snapshot,
)
from agents.runs.lock import locked
from agents.studies.manifest import study_folder


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        args: Words after `train.py`; those of the process if `None`.

    Returns:
        Exit code: 0, or 130 and 143 after SIGINT and SIGTERM.
    """
    prog = called_as("staircase-train", "train.py")
    arguments = parse_arguments(TrainArguments, prog, args)
    console = Console(quiet=arguments.quiet, highlight=False, soft_wrap=True)
    logging.basicConfig(format="train.py: warning: %(message)s")
    with user_errors(prog):
        check_modes(arguments)
        if is_study(arguments):
            return conduct_study(arguments, console)
        run = choose_run(arguments)
        # Imported late: SB3 takes seconds, and mistakes are answered before.
        from agents.training.interruption import TrainingInterrupted

        try:
            train(run, console)
            report(run, console, arguments.episodes, video=not arguments.no_video)
        except TrainingInterrupted as interruption:
            sys.stderr.write(f"{interruption}; to go on: python train.py --resume {run.path}\n")
            return 128 + interruption.signal_number
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped; to go on: python train.py --resume {run.path}\n")
            return 130
    return 0


def conduct_study(arguments: TrainArguments, console: Console) -> int:
    """Plans the study that the flags ask for, trains it, and shows what it says."""
    study = resolve_study(arguments)
    # Imported late: SB3 takes seconds, and mistakes are answered before.
    from agents.studies.command import conduct_or_describe

    code = conduct_or_describe(
        study,
        console,
        arguments.processes,
        part=arguments.part,
        cluster=arguments.cluster,
        dry_run=arguments.dry_run,
        slurm=arguments.slurm,
    )
    if code == 0 and arguments.part is None and not (arguments.dry_run or arguments.slurm):
        from eval import report_study

        folder = study_folder(study)
        try:
            report_study(folder, console, arguments.episodes)
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped; to go on: python -m eval compare {folder}\n")
            return 130
    return code


def choose_run(arguments: TrainArguments) -> RunDirectory:
    """Creates the run that the flags ask for, or opens the one to resume."""
    if arguments.resume is not None:
        run = find_run(arguments.resume)
        resolve_config(arguments, run)
        with locked(run):  # says that another process trains it, before the slow imports
            return run
    if arguments.branch is not None:
        trunk = find_run(arguments.branch)
        fork = describe_fork(arguments, trunk)
        require_snapshot(trunk, fork.step)
        path = arguments.output or branch_path(trunk, fork.name)
        check_free(path)
        from agents.training.forks import fork_at

        return fork_at(trunk, fork.step, fork.changes, path)
    config = resolve_config(arguments)
    path = arguments.output or new_run_path(config)
    if arguments.or_resume and (path / "run.json").exists():
        run = RunDirectory.open(path)
        check_same_config(run, config)
        return run
    check_free(path)
    from agents.training.loop import create_run

    held = (arguments.branch_length or "phase") if arguments.held_branches else None
    return create_run(config, path, held)


def train(run: RunDirectory, console: Console) -> None:
    """Trains a run to its end, together with its held branches."""
    from agents.training.branches import HeldBranches
    from agents.training.loop import train_run

    console.print(f"run {run.path}: {run.config.algo} on {run.config.env}, {run.config.schedule!r}")
    if is_complete(run):
        console.print(f"run {run.path} is complete already")
    if run.held_branch_length is None:
        train_run(run, console)
        return
    with HeldBranches(run, run.held_branch_length) as branches:
        train_run(run, console, [branches])
        with console.status("training held branches"):
            branches.finish()


def report(run: RunDirectory, console: Console, episodes: int, *, video: bool) -> None:
    """Compares the phases of a trained run and shows where everything is."""
    from eval import (
        compare_phases,
        comparison_table,
        phase_warning,
        plot_run,
        record_video,
        write_report,
    )

    if not run.effective_phases:
        console.print(f"run    {run.path}: no update came, so there is no agent to compare")
        return
    console.print(comparison_table(compare_phases(run, episodes)))
    if (warning := phase_warning(run)) is not None:
        console.print(warning)
    console.print(f"run    {run.path}")
    for path in plot_run(run):
        console.print(f"plot   {path}")
    if video:
        console.print(f"video  {record_video(run)}")
    console.print(f"report {write_report(run)}")


if __name__ == "__main__":
    raise SystemExit(main())
