"""The command line: `python -m eval compare`, `plot`, `report`, `list` and others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.text import Text

import eval as evaluation
from agents import ConfigError, RunDirectory, RunError, find_run
from agents.cli.command_line import called_as, parse_arguments, user_errors
from agents.pretrained.catalogue import Pretrained
from agents.studies.manifest import is_study_folder
from eval.players import find_player
from eval.study import RATE_AXIS, StudyRuns, open_study

if TYPE_CHECKING:
    from eval.diagnosis import Diagnosis

State = Literal["running", "interrupted", "complete", "diverged", "unreadable"]
_Run = Annotated[str, tyro.conf.arg(metavar="RUN"), tyro.conf.Positional]
_Player = Annotated[str, tyro.conf.arg(metavar="RUN|NAME"), tyro.conf.Positional]
_Runs = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    tyro.conf.Positional,
]


def _run_or_study(name: str) -> RunDirectory | StudyRuns:
    """Opens what a folder holds."""
    return open_study(Path(name)) if is_study_folder(Path(name)) else find_run(name)


@dataclass(frozen=True)
class Compare:
    """Compare the agents of a run or a study on the same episodes.

    Of a run, prints for each phase the mean and the interquartile mean of the return, the success
    rate, and the difference from the constant-rate phase, with 95 % intervals; the effect of each
    decay that has a held branch in the run's branches/; and the returns in training. Of more than
    20 phases, 20 are compared. A phase without an update has no agent.

    Of a study, prints a table for each question: how good the agents are at the ends of the phases,
    what each decay did, and which initial rates are good, all with intervals over seeds. What is
    not trained yet is named.

    Every episode is played once and kept in the run's evaluation/episodes.csv, so repeating a
    comparison is fast and gives identical results. The result is written to
    evaluation/summary-EPISODES.json of the run, or evaluation/summary.json and effects.csv of the
    study.
    """

    runs: _Runs
    """Paths of runs or studies, or latest for the newest run below runs/. Each gets its own
    tables."""
    episodes: int = 100
    """Number of evaluation episodes, from 2 to 10000. All agents play the same ones."""
    success_margin: Annotated[float | None, tyro.conf.arg(help_behavior_hint="(default: 0.05)")] = (
        None
    )
    """Of a study: the largest effect on the success rate that would not matter."""
    return_margin: Annotated[
        float | None, tyro.conf.arg(help_behavior_hint="(default: 5 % of the range)")
    ] = None
    """Of a study: the same for the return; the range is that of the held agents' returns from the
    5th to the 95th percentile."""

    def __call__(self, console: Console) -> None:
        """Plays the episodes that are missing, and prints the tables."""
        if not self.runs:
            raise ConfigError("compare needs at least one RUN: a path, or latest")
        margins = {"success": self.success_margin, "return": self.return_margin}
        given = {name: margin for name, margin in margins.items() if margin is not None}
        opened = [_run_or_study(name) for name in self.runs]
        for run in opened:
            if given and isinstance(run, RunDirectory):
                raise ConfigError(f"{run.path} is a run: margins are for studies")
        for run in opened:
            if isinstance(run, RunDirectory):
                with console.status(f"playing evaluation episodes of {run.path}"):
                    table = evaluation.comparison_table(
                        evaluation.compare_phases(run, self.episodes)
                    )
            else:
                from eval.study_report import compare_aloud

                table = evaluation.study_table(compare_aloud(run, self.episodes, given, console))
            console.print(table)


@dataclass(frozen=True)
class Diagnose:
    """Judge the constant-rate phase of a run, and say what is at fault where it is no baseline.

    The first line says whether decays can be judged at all: the phase is healthy, poor, unstable or
    still improving. Then come the suspects, strongest first, each with the evidence, the threshold
    and what to try. docs/diagnosis.md explains the signals. Nothing is trained or played.

    With --intervene, short probes are trained from a snapshot of the phase, each with one thing
    changed, beside placebos with nothing changed but the luck. What beats its placebos is at fault.
    They lie in the run's probes/, are not trained twice and never touch the run.

    Of a study, says of each arm how many of its seeds are healthy, and which faults they share.

    The result is written to evaluation/diagnosis.json of the run or the study.
    """

    runs: _Runs
    """Paths of runs or studies, or latest for the newest run below runs/."""
    intervene: bool = False
    """Train probes, and compare them with placebos."""
    share: Annotated[float | None, tyro.conf.arg(help_behavior_hint="(default: 0.25)")] = None
    """With --intervene: the part of the run's compute that they may take."""
    episodes: Annotated[
        int | None, tyro.conf.arg(help_behavior_hint="(default: what half of the share pays for)")
    ] = None
    """With --intervene: number of evaluation episodes that each plays, from 2 to 10000."""
    processes: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: all cores)")] = (
        None
    )
    """With --intervene: how many train at once; 1 trains them in this process."""

    def __call__(self, console: Console) -> None:
        """Judges, and prints what was found."""
        if not self.runs:
            raise ConfigError("diagnose needs at least one RUN: a path, or latest")
        given = {"share": self.share, "episodes": self.episodes, "processes": self.processes}
        given = {name: value for name, value in given.items() if value is not None}
        if given and not self.intervene:
            raise ConfigError(f"--{next(iter(given))} goes with --intervene")
        if self.processes is not None and self.processes < 1:
            raise ConfigError(f"--processes must be at least 1, got {self.processes}")
        opened = [
            Path(name) if is_study_folder(Path(name)) else find_run(name) for name in self.runs
        ]
        for run in opened:
            if self.intervene and not isinstance(run, RunDirectory):
                raise ConfigError(f"{run} is a study: --intervene takes runs")
        for run in opened:
            if isinstance(run, RunDirectory):
                text = evaluation.diagnosis_text(self._diagnosis(run, given, console))
            else:
                text = evaluation.study_diagnosis_text(evaluation.diagnose_study(run))
            console.print(text, highlight=False, soft_wrap=True)

    def _diagnosis(self, run: RunDirectory, given: dict[str, Any], console: Console) -> Diagnosis:
        if not self.intervene:
            return evaluation.diagnose(run)
        from agents.training.interruption import TrainingInterrupted

        try:
            with console.status("diagnosing") as status:
                return evaluation.diagnose_by_intervention(
                    run, **given, tell=lambda text: status.update(Text(text))
                )
        except TrainingInterrupted as interruption:
            sys.stderr.write(f"{interruption}; the same command goes on\n")
            raise SystemExit(128 + interruption.signal_number) from None
        except KeyboardInterrupt:
            sys.stderr.write("stopped; the same command goes on\n")
            raise SystemExit(130) from None


@dataclass(frozen=True)
class Plot:
    """Draw the learning curve of a run over its staircase, or the figures of a study.

    Of a run, shows return and success of the training episodes against the step, the phases with
    their rates, the optimizer's learning rate, and, if the run was compared, the evaluation results
    at the phase ends. Writes the run's evaluation/learning-curve.png and learning-curve.svg, and
    replaces older ones.

    Of a study, draws training curves with bands over seeds and, if it was compared, the decay
    effects, performance profiles and initial rates. Writes PNG and SVG files to the study's
    evaluation/.
    """

    run: _Run
    """Path of a run or study, or latest for the newest run below runs/."""

    def __call__(self, console: Console) -> None:
        """Draws the figures and says where they are."""
        run = _run_or_study(self.run)
        notes: tuple[str, ...] = ()
        if isinstance(run, RunDirectory):
            paths: tuple[Path, ...] = evaluation.plot_run(run)
        else:
            paths, notes = evaluation.plot_study(run)
        _print_files(console, paths, notes)


@dataclass(frozen=True)
class Rates:
    """Compare the initial learning rates of a study.

    Prints success and return at the end of the constant-rate phase for each rate, with 95 %
    intervals over seeds; the range of rates that cannot be told from the best; and, over several
    tasks, what one rate for all of them costs. Writes figures to the study's evaluation/.
    """

    study: Annotated[str, tyro.conf.arg(metavar="STUDY"), tyro.conf.Positional]
    """Path of a study with an axis initial_learning_rate."""
    episodes: int = 100
    """Number of evaluation episodes, from 2 to 10000. All agents play the same ones."""

    def __call__(self, console: Console) -> None:
        """Plays the episodes that are missing, prints the tables and draws the figures."""
        runs = open_study(Path(self.study))
        if RATE_AXIS not in runs.study.axes:
            axes = ", ".join(runs.study.axes) or "none"
            raise ConfigError(f"{runs.folder} has no axis {RATE_AXIS}; its axes are {axes}")
        evaluation.evaluation_seeds(self.episodes)
        from eval.study_plot import write_rates_figures
        from eval.study_report import compare_aloud
        from eval.study_tables import initial_rates_table

        comparison = compare_aloud(runs, self.episodes, {}, console)
        console.print(initial_rates_table(comparison))
        _print_files(console, write_rates_figures(runs.folder, comparison), ())


def _print_files(console: Console, paths: Sequence[Path], notes: Sequence[str]) -> None:
    for path in paths:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    if notes:
        from eval.study_tables import notes_lines

        console.print(*notes_lines(notes), sep="\n")


@dataclass(frozen=True)
class Video:
    """Film the first evaluation episodes of a phase's agent, or of one that comes with the lab.

    Writes the run's videos/phase-PHASE.mp4, which browsers play in real time, or NAME.mp4 here.
    Phase, rate, return and success are written on the frames. The same agent always plays the same
    episodes, so a video that exists is kept.
    """

    run: _Player
    """Path of a run, latest for the newest below runs/, or the name of an agent that comes with the
    lab, such as reach."""
    phase: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the last)")] = None
    """The phase whose final agent plays; 0 is the constant-rate phase."""
    grid: bool = False
    """Film the agents of all phases side by side, in step; with --phase the decay into that phase:
    the run's agent beside the held branch's. Writes videos/phases.mp4 or videos/decay-PHASE.mp4."""
    gif: bool = False
    """With --grid: write a GIF, for places that play no video."""
    overwrite: bool = False
    """Film again, and replace the video."""

    def __call__(self, console: Console) -> None:
        """Films, and says where the video is."""
        run = find_player(self.run)
        if self.gif and not self.grid:
            raise ConfigError("--gif goes with --grid")
        if not isinstance(run, RunDirectory):
            self._film_pretrained(run, console)
            return
        if self.grid:
            self._film_grid(run, console)
            return
        path = evaluation.video_path(run, self.phase)
        kept = path.exists() and not self.overwrite
        with console.status(f"filming {path}"):
            evaluation.record_video(run, self.phase, overwrite=self.overwrite)
        self._say(console, path, kept)

    def _film_pretrained(self, agent: Pretrained, console: Console) -> None:
        if self.grid or self.phase is not None:
            raise ConfigError("--grid and --phase go with a run, which has phases")
        path = Path(f"{agent.folder.name}.mp4")
        kept = path.exists() and not self.overwrite
        with console.status(f"filming {path}"):
            evaluation.record_pretrained(agent, path, overwrite=self.overwrite)
        self._say(console, path, kept)

    def _film_grid(self, run: RunDirectory, console: Console) -> None:
        from eval.grid_video import grid_path, record_grid

        kind = "gif" if self.gif else "mp4"
        path = grid_path(run, self.phase, kind)
        kept = path.exists() and not self.overwrite
        with console.status(f"filming {path}"):
            record_grid(run, self.phase, kind=kind, overwrite=self.overwrite)
        self._say(console, path, kept)

    def _say(self, console: Console, path: Path, kept: bool) -> None:
        message = f"kept {path}; --overwrite films it again" if kept else f"wrote {path}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Enjoy:
    """Watch an agent play evaluation episodes in a window, in real time.

    Needs a display. Closing the window, or Ctrl-C, ends it.
    """

    run: _Player
    """Path of a run, latest for the newest below runs/, or the name of an agent that comes with the
    lab, such as reach."""
    phase: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the last)")] = None
    """The phase whose final agent plays; 0 is the constant-rate phase."""
    episodes: int = 10
    """Number of evaluation episodes, from 2 to 10000."""

    def __call__(self, console: Console) -> None:
        """Plays, and prints a line for each episode."""
        run = find_player(self.run)
        if self.phase is not None and not isinstance(run, RunDirectory):
            raise ConfigError("--phase goes with a run, which has phases")
        evaluation.evaluation_seeds(self.episodes)
        from eval.enjoy import enjoyed

        with suppress(KeyboardInterrupt):
            for number, end in enumerate(enjoyed(run, self.phase, self.episodes), start=1):
                outcome = "success" if end.success else "no success"
                console.print(f"episode {number}: return {end.episode_return:.2f}, {outcome}")


@dataclass(frozen=True)
class Verify:
    """Train a run again from snapshot to snapshot and check that the bits are the same.

    Each stretch is replayed in a temporary folder; the run itself is only read. The state at its
    end is compared with the snapshot's by checksum: networks, optimizers, replay buffer, generators
    and environments. The exit code is 1 if one differs.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""
    from_step: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: all)")] = None
    """Replay only from the snapshot at this step to the next; 0 is the beginning."""

    def __call__(self, console: Console) -> None:
        """Replays, and prints a line for each stretch."""
        run = find_run(self.run)
        disagreements = 0
        for replay in evaluation.verify_run(run, self.from_step):
            disagreements += not replay.agrees
            verdict = "agrees" if replay.agrees else f"DIFFERS: {replay.found[:16]}"
            console.print(
                f"{replay.start:>10} to {replay.stop:<10} {replay.expected[:16]}  {verdict}",
                highlight=False,
            )
        if disagreements:
            raise RunError(f"{disagreements} of the replayed stretches of {run.path} differ")


@dataclass(frozen=True)
class Report:
    """Write a page that tells what a run or a study showed: report.html in its folder.

    The page is one file that needs no network: the verdict and how sure it is, the learning curve
    over the phases, the decay effects, films if there are any, and what it takes to repeat it all.
    It shows what is stored: compare the run first, and film phases with video.
    """

    run: _Run
    """Path of a run or study, or latest for the newest run below runs/."""

    def __call__(self, console: Console) -> None:
        """Writes the page and says where it is."""
        run = _run_or_study(self.run)
        with console.status("writing the report"):
            path = evaluation.write_report(run)
        _print_files(console, (path,), ())


@dataclass(frozen=True)
class List:
    """List the runs and studies below a folder.

    Shows for each its state (running, interrupted, complete, diverged or unreadable), task,
    algorithm and how far it is and, if it was compared, the success rate at its end and the decay
    effects: of a run those on the return, of a study those on the success rate.
    """

    folder: Annotated[str, tyro.conf.arg(metavar="FOLDER"), tyro.conf.Positional] = "runs"
    """Where to look, all the way down."""
    state: tuple[State, ...] = ()
    """Only those in one of these states."""
    env: tuple[str, ...] = ()
    """Only those of one of these tasks."""
    algo: tuple[str, ...] = ()
    """Only those of one of these algorithms."""
    json: bool = False
    """Print JSON."""

    def __call__(self, console: Console) -> None:
        """Prints the table or the JSON."""
        from eval.listing import chosen, list_folder, listing_json, listing_table

        folder = Path(self.folder)
        entries = chosen(list_folder(folder), self.state, self.env, self.algo)
        if self.json:
            print(listing_json(entries))  # noqa: T201 - a console would wrap it
        elif entries:
            console.print(listing_table(entries, folder))
        else:
            console.print(f"no such run or study below {folder}", markup=False, highlight=False)


@dataclass(frozen=True)
class Card:
    """Write an agent's folder for the Hugging Face Hub, with a model card.

    The run's card/ gets README.md, whose metadata has the evaluation results that are stored (none
    if the run was not compared), and what it takes to load the agent, to evaluate it and to train
    it again. Nothing is sent: the command that uploads the folder is printed.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""
    phase: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the last)")] = None
    """The phase whose final agent is meant; 0 is the constant-rate phase."""
    overwrite: bool = False
    """Replace the folder if it exists."""

    def __call__(self, console: Console) -> None:
        """Writes the folder, and says how to upload it."""
        from eval.card import upload_command, write_card

        run = find_run(self.run)
        folder = write_card(run, self.phase, overwrite=self.overwrite)
        _print_files(console, (folder,), ())
        line = f"to upload it: {upload_command(run, folder)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Dataset:
    """Record rollouts of a phase's agent as a Minari dataset, to learn from offline.

    The agent plays evaluation episodes deterministically. The dataset is written where Minari looks
    for its own: below MINARI_DATASETS_PATH, or ~/.minari/datasets.
    """

    run: _Run
    """Path of a run, or latest for the newest below runs/."""
    phase: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the last)")] = None
    """The phase whose final agent plays; 0 is the constant-rate phase."""
    episodes: int = 100
    """Number of evaluation episodes, from 2 to 10000."""
    name: Annotated[
        str | None, tyro.conf.arg(help_behavior_hint="(default: ENV/RUN-phasePHASE-v0)")
    ] = None
    """Identifier of the dataset, such as reach/expert-v0; one that exists is refused."""

    def __call__(self, console: Console) -> None:
        """Plays, and says how to load the dataset."""
        from eval.dataset import record_dataset

        run = find_run(self.run)
        with console.status("playing evaluation episodes"):
            name, path = record_dataset(run, self.phase, self.episodes, self.name)
        _print_files(console, (path,), ())
        line = f'to load it: minari.load_dataset("{name}")'
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Tune:
    """Search for the initial rate and the staircase of a task.

    Each trial is a run of its own, trained phase by phase. At the ends of phases its agent plays
    evaluation episodes, and a trial whose return is below the median of the others is pruned there.
    What trials share is trained once. The initial rates are the config's, doubled or halved up to
    four times; boundaries lie at eighths of the training.

    After Ctrl-C or any kill, the same command goes on; with more --trials, it goes further.
    """

    env: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(or --config)")] = None
    """Task to learn."""
    algo: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: sac)")] = None
    """Algorithm."""
    config: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(optional)")] = None
    """YAML or JSON file with a config, as train.py takes it; flags go before it."""
    seed: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: 0)")] = None
    """Seed of all trials."""
    total_timesteps: Annotated[
        int | None, tyro.conf.arg(help_behavior_hint="(default: from the preset)")
    ] = None
    """Environment timesteps that a trial trains for."""
    trials: int = 20
    """Number of trials, those of earlier calls included."""
    episodes: int = 50
    """Number of evaluation episodes that each agent plays, from 2 to 10000."""
    output: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/ENV/tune-ALGO-seedSEED)")
    ] = None
    """Folder of the search."""

    def __call__(self, console: Console) -> None:
        """Searches, and prints the best trials."""
        if self.trials < 1:
            raise ConfigError(f"--trials must be at least 1, got {self.trials}")
        from agents.cli.flags import TrainArguments
        from agents.cli.resolve import resolve_config
        from agents.extras import require_extra

        config = resolve_config(
            TrainArguments(
                env=self.env,
                algo=self.algo,
                config=self.config,
                seed=self.seed,
                total_timesteps=self.total_timesteps,
            )
        )
        folder = self.output or Path("runs", config.env, f"tune-{config.algo}-seed{config.seed}")
        require_extra("tune", "optuna", "tune")
        evaluation.evaluation_seeds(self.episodes)
        from agents.training.interruption import TrainingInterrupted
        from eval.tuning import Search, trials_table, winner_lines

        search = Search(config, folder, self.episodes)
        try:
            search.run(self.trials, console)
        except (TrainingInterrupted, KeyboardInterrupt) as stop:
            print("stopped; the same command goes on", file=sys.stderr)  # noqa: T201
            raise SystemExit(130) from stop
        trials = search.trials()
        console.print(trials_table(trials))
        for line in winner_lines(trials):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Arguments:
    """Evaluate runs and studies: compare, diagnose, plot, film, tune, share, verify bits."""

    command: Annotated[
        Card
        | Compare
        | Dataset
        | Diagnose
        | Enjoy
        | List
        | Plot
        | Rates
        | Report
        | Tune
        | Video
        | Verify,
        tyro.conf.arg(name=""),
        tyro.conf.OmitArgPrefixes,
    ]


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        args: The words after the program; those of the process if `None`.

    Raises:
        SystemExit: With code 1 if a run cannot be used, 2 if the words do not fit.
    """
    prog = called_as("staircase-eval", "python -m eval")
    command = parse_arguments(Arguments, prog, args).command
    with user_errors(prog):
        command(Console())


if __name__ == "__main__":
    main()
