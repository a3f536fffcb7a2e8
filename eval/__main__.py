"""The command line: `python -m eval compare`, `plot`, `video` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from agents import ConfigError, RunError, find_run
from agents.cli.command_line import parse_arguments, user_errors
from eval import (
    compare_phases,
    comparison_table,
    plot_run,
    record_video,
    verify_run,
    video_path,
)

PROG = "python -m eval"
_Run = Annotated[str, tyro.conf.arg(metavar="RUN"), tyro.conf.Positional]
_Runs = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    tyro.conf.Positional,
]


@dataclass(frozen=True)
class Compare:
    """Compare the agents at the ends of a run's phases on the same episodes.

    Prints for each phase: mean and interquartile mean of the return, success rate, and the
    difference from the constant-rate phase, with 95 % intervals; what each decay did, where held
    branches are in the run's branches/; and the returns in training. Of more than 20 phases, 20
    are compared; phases that no update met have no agent.

    Every episode is kept in the run's evaluation/episodes.csv and is played only once, so that
    comparing again is quick and tells the same. The result is in evaluation/summary-EPISODES.json.
    """

    runs: _Runs
    """Paths of runs, or latest for the newest below runs/. Each gets tables of its own."""
    episodes: int = 100
    """How many evaluation episodes, from 2 to 10000. All agents ever compared play the same."""

    def __call__(self, console: Console) -> None:
        """Plays what has not been played yet, and prints the tables."""
        if not self.runs:
            raise ConfigError("compare needs at least one RUN: a path, or latest")
        for run in [find_run(name) for name in self.runs]:
            with console.status(f"playing evaluation episodes of {run.path}"):
                comparison = compare_phases(run, self.episodes)
            console.print(comparison_table(comparison))


@dataclass(frozen=True)
class Plot:
    """Draw the learning curve of a run over its staircase.

    Return and success of the training episodes against the step, the phases shaded and labelled
    with their rates, the rate as the optimizer had it, and the evaluation results at the ends of
    the phases if the run was compared. The files are the run's evaluation/learning-curve.png and
    learning-curve.svg; drawing again replaces them by what the run has reached since.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""

    def __call__(self, console: Console) -> None:
        """Draws the figure and says where it is."""
        for path in plot_run(find_run(self.run)):
            console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Video:
    """Film the first evaluation episodes of a phase's agent.

    Writes the run's videos/phase-PHASE.mp4, which plays in browsers in real time, with phase, rate,
    return and success on the frames. The same agent plays the same episodes every time, so a video
    that exists is kept.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""
    phase: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the last)")] = None
    """Phase at whose end the agent is taken: 0 is the constant-rate phase."""
    overwrite: bool = False
    """Film again and replace a video that exists."""

    def __call__(self, console: Console) -> None:
        """Films, and says where the video is."""
        run = find_run(self.run)
        path = video_path(run, self.phase)
        kept = path.exists() and not self.overwrite
        with console.status(f"filming {path}"):
            record_video(run, self.phase, overwrite=self.overwrite)
        message = f"kept {path}; --overwrite films it again" if kept else f"wrote {path}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Verify:
    """Train a run again from snapshot to snapshot and see whether it comes to the same bits.

    Each stretch is replayed beside the run, which is left as it is, and the checksum of the state
    that it ends in is compared with that of the snapshot: networks, optimizers, replay buffer,
    generators and environments. The exit code is 1 if one differs.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""
    from_step: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: all)")] = None
    """Replay only from the snapshot at this step to the next; 0 is the beginning."""

    def __call__(self, console: Console) -> None:
        """Replays, and prints a line for each stretch."""
        run = find_run(self.run)
        disagreements = 0
        for replay in verify_run(run, self.from_step):
            disagreements += not replay.agrees
            verdict = "agrees" if replay.agrees else f"DIFFERS: {replay.found[:16]}"
            console.print(
                f"{replay.start:>10} to {replay.stop:<10} {replay.expected[:16]}  {verdict}",
                highlight=False,
            )
        if disagreements:
            raise RunError(f"{disagreements} of the replayed stretches of {run.path} differ")


@dataclass(frozen=True)
class Arguments:
    """Evaluate trained runs: compare phases, plot the learning curve, film agents, verify bits."""

    command: Annotated[
        Compare | Plot | Video | Verify, tyro.conf.arg(name=""), tyro.conf.OmitArgPrefixes
    ]


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        args: The words after the program; those of the process if `None`.

    Raises:
        SystemExit: With code 1 if a run cannot be used, 2 if the words do not fit.
    """
    command = parse_arguments(Arguments, PROG, args).command
    with user_errors(PROG):
        command(Console())


if __name__ == "__main__":
    main()
