"""A search for the initial rate and the staircase, pruned at the ends of phases."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shlex
import shutil
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType

from agents import ConfigError, RunConfig, RunDirectory, RunError
from agents.extras import require_extra
from agents.runs.directory import snapshot_steps
from agents.runs.divergence import Diverged
from agents.runs.forks import rates_until
from agents.runs.manifest import Snapshot, check_snapshot, read_snapshot
from agents.training.observers import Observer
from eval.seeds import evaluation_seeds
from eval.statistics import bootstrap_mean
from eval.stored_episodes import StoredEpisode, play_and_store
from eval.tables import simple_table
from schedules import StaircaseSchedule

PARTS = 8
"""Boundaries lie at eighths of the training, where a snapshot is kept to fork from."""
DOUBLINGS = 4
"""The initial rate is the config's, doubled or halved up to so many times."""
CONSTANT_PARTS = (2, 4, 6)
DECAY_PARTS = (1, 2)
DECAY_RATES = (0.1, 0.25, 0.5, 1.0)
_STORE = "trials.db"
_FEWEST_COMPARED = 3


@dataclass(frozen=True)
class Trial:
    """One staircase that was tried.

    Attributes:
        number: Place in the search.
        run: The run that trained it, as far as it went.
        state: `"complete"`, `"pruned"` or `"diverged"`.
        step: Step of its last agent that was judged; `None` if it has none.
        episodes: That agent's evaluation episodes.
    """

    number: int
    run: RunDirectory
    state: str
    step: int | None
    episodes: tuple[StoredEpisode, ...]

    @property
    def schedule(self) -> StaircaseSchedule:
        """Its staircase."""
        assert isinstance(self.run.config.schedule, StaircaseSchedule)
        return self.run.config.schedule

    @property
    def mean_return(self) -> float:
        """Mean return in the episodes, of which there must be some."""
        return statistics.fmean(episode.episode_return for episode in self.episodes)


class Search:
    """Tries staircases one after another, each in a run of its own.

    A trial is trained phase by phase. At each phase's end its agent plays the evaluation episodes,
    and the trial is pruned if its return is below the median of the complete trials at that step.
    What a trial shares with an earlier one, at least the constant-rate phase of that rate, is
    forked from it and not trained again.

    All is kept in one folder: the trials' runs, and Optuna's storage, which knows how each was
    judged. A search that was killed goes on where it was: the next proposal depends on the ended
    trials alone, so it is the one that was in training, whose run is resumed.

    Args:
        base: What is trained; its schedule gives the middle of the initial rates.
        folder: Folder of the search, new or that of the same search.
        episodes: Evaluation episodes that each agent plays.

    Raises:
        ConfigError: If Optuna is not installed, the config cannot be trained, the run is too short
            for phases of an eighth, or the folder has a search for another config.
        RunError: If the folder cannot be written.
    """

    def __init__(self, base: RunConfig, folder: Path, episodes: int) -> None:
        require_extra("tune", "optuna", "tune")
        evaluation_seeds(episodes)
        from agents.learners.trial import try_config
        from agents.training.isolation import check_observers

        check_observers(base)
        self._interval, self._first_update, _ = try_config(base)
        self._part = base.total_timesteps // PARTS // self._interval * self._interval
        if self._part == 0 or CONSTANT_PARTS[0] * self._part < self._first_update:
            raise ConfigError(
                f"total_timesteps {base.total_timesteps} are too few to search in: an eighth must "
                f"hold an update, which come every {self._interval} steps, and a quarter the first "
                f"one, at step {self._first_update}"
            )
        self._base = dataclasses.replace(base, keep_snapshots_every=self._part)
        self._folder = folder
        self._episodes = episodes
        self._study = self._open()

    def run(self, trials: int, console: Console) -> None:
        """Tries staircases until so many trials have ended, those of earlier calls included.

        Args:
            trials: How many.
            console: Where progress is shown.

        Raises:
            RunError: If another process searches in the folder, or files cannot be written.
            TrainingInterrupted: If SIGINT or SIGTERM came.
        """
        with self._locked():
            self._discard_unfinished()
            while len(ended := self._ended()) < trials:
                self._try_next(len(ended), console)

    def trials(self) -> tuple[Trial, ...]:
        """Returns the trials that have ended, the best first, complete ones before others."""
        found = [self._read(frozen) for frozen in self._ended()]
        order = ("complete", "pruned", "diverged")
        return tuple(
            sorted(
                found,
                key=lambda trial: (
                    order.index(trial.state),
                    -trial.mean_return if trial.episodes else 0.0,
                    trial.number,
                ),
            )
        )

    def _open(self) -> Any:  # noqa: ANN401 - Optuna is imported late
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        config = json.dumps([self._base.to_dict(), self._episodes], sort_keys=True)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {self._folder}: {error.strerror}") from error
        if not (self._folder / _STORE).exists() and any(self._folder.iterdir()):
            raise RunError(f"{self._folder} is not empty, and has no search")
        try:
            study = optuna.create_study(
                storage=f"sqlite:///{self._folder / _STORE}",
                study_name="staircase",
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_min_trials=_FEWEST_COMPARED),
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy's, Alembic's or Optuna's own
            reason = str(error).partition("\n")[0]
            raise RunError(f"{self._folder / _STORE} cannot be used: {reason}") from error
        if study.user_attrs.setdefault("config", config) != config:
            raise ConfigError(f"{self._folder} has a search for another config; --output names one")
        study.set_user_attr("config", config)
        return study

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"another process searches in {self._folder}") from None
            yield

    def _ended(self) -> list[Any]:
        from optuna.trial import TrialState

        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _discard_unfinished(self) -> None:
        from optuna.trial import TrialState

        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(frozen.number, state=TrialState.FAIL)

    def _try_next(self, ended: int, console: Console) -> None:
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        # Not one generator for the whole search: the proposals after a kill would be others.
        self._study.sampler = TPESampler(seed=self._base.seed * 10_000 + ended)
        trial = self._study.ask()
        schedule = self._proposed(trial)
        run = self._begin(schedule)
        trial.set_user_attr("run", run.path.name)
        with console.status(f"trial {ended + 1}: {schedule!r}"):
            try:
                pruned = self._judge(trial, run)
            except Diverged as error:
                trial.set_user_attr("diverged", str(error.divergence))
                pruned = True
        if pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            frozen = self._study.trials[trial.number]
            self._study.tell(trial, frozen.intermediate_values[frozen.last_step])

    def _proposed(self, trial: Any) -> StaircaseSchedule:  # noqa: ANN401
        doublings = trial.suggest_int("doublings", -DOUBLINGS, DOUBLINGS)
        decay_rate = trial.suggest_categorical("decay_rate", DECAY_RATES)
        constant, every = PARTS, PARTS
        if decay_rate < 1.0:
            constant = trial.suggest_int(
                "constant_parts", CONSTANT_PARTS[0], CONSTANT_PARTS[-1], step=2
            )
            every = trial.suggest_int("decay_parts", DECAY_PARTS[0], DECAY_PARTS[-1])
        return StaircaseSchedule(
            initial_learning_rate=self._base.schedule(0) * 2.0**doublings,
            decay_steps=every * self._part,
            decay_rate=decay_rate,
            # The decay comes with the update after the part, because a snapshot is kept between.
            constant_steps=constant * self._part + self._interval,
        )

    def _begin(self, schedule: StaircaseSchedule) -> RunDirectory:
        """Opens the run of a staircase, or creates it from what the others share with it."""
        from agents.training.forks import fork_at
        from agents.training.loop import create_run

        path = self._folder / _name(schedule)
        if (path / "run.json").exists():
            return RunDirectory.open(path)
        temporary = path.with_name(f".{path.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        config = dataclasses.replace(self._base, schedule=schedule)
        source = self._shared(config)
        if source is None:
            create_run(config, temporary)
        else:
            fork_at(*source, {"schedule": schedule}, temporary)
        temporary.rename(path)
        return RunDirectory.open(path)

    def _shared(self, config: RunConfig) -> tuple[RunDirectory, int] | None:
        """Finds the latest snapshot of any trial up to which it is also this one."""
        plan = RunDirectory.plan(self._folder, config, self._interval, self._first_update)
        found: list[tuple[int, RunDirectory]] = []
        for file in sorted(self._folder.glob("[!.]*/run.json")):
            run = RunDirectory.open(file.parent)
            for step in snapshot_steps(run):
                past = rates_until(run.effective_phases, step)
                if step < config.total_timesteps and (
                    past == rates_until(plan.effective_phases, step)
                ):
                    found.append((step, run))
        for step, run in sorted(found, key=lambda one: one[0], reverse=True):
            with suppress(RunError):  # damaged
                check_snapshot(run, read_snapshot(run, step))
                return run, step
        return None

    def _judge(self, trial: Any, run: RunDirectory) -> bool:  # noqa: ANN401
        """Trains a trial phase by phase; tells whether it was pruned."""
        from agents.training.loop import train_run

        last = max(run.phase_end_steps.values())
        for step in run.phase_end_steps.values():
            if step not in snapshot_steps(_holder(run, step)):
                with suppress(_Reached):
                    train_run(run, Console(quiet=True), [_StopAt(step)])
            played = self._played(run, step)
            trial.report(statistics.fmean(e.episode_return for e in played), step)
            if step < last and trial.should_prune():
                return True
        return False

    def _played(self, run: RunDirectory, step: int) -> tuple[StoredEpisode, ...]:
        holder = _holder(run, step)
        phase = holder.phase_at(step).index
        return play_and_store(holder, {phase: read_snapshot(holder, step)}, self._episodes)[phase]

    def _read(self, frozen: Any) -> Trial:  # noqa: ANN401
        run = RunDirectory.open(self._folder / frozen.user_attrs["run"])
        state = str(frozen.state.name).lower()
        if "diverged" in frozen.user_attrs:
            state = "diverged"
        step: int | None = frozen.last_step
        episodes = () if step is None else self._played(run, step)
        return Trial(frozen.number, run, state, step, episodes)


class _Reached(Exception):
    """The training has come to the end of a phase."""


class _StopAt(Observer):
    """Ends a training at the snapshot of a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.step == self._step and not snapshot.final:
            raise _Reached


def _holder(run: RunDirectory, step: int) -> RunDirectory:
    """Finds the run that has a trial's snapshot: a fork has none from before it."""
    while run.parent is not None and step < run.parent.step:
        run = RunDirectory.open((run.path / run.parent.run).resolve())
    return run


def _name(schedule: StaircaseSchedule) -> str:
    """Names a trial's folder by its staircase, so that each is trained once."""
    rate = f"rate-{schedule.initial_learning_rate:.3g}"
    if schedule.decay_rate == 1.0:
        return f"{rate}-constant"
    return (
        f"{rate}-times-{schedule.decay_rate:g}-from-{schedule.constant_steps}"
        f"-every-{schedule.decay_steps}"
    )


def trials_table(trials: Sequence[Trial], most: int = 10) -> RenderableType:
    """Lays trials out as a table.

    Args:
        trials: At least one, the best first.
        most: How many are shown.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    table = simple_table("rate", "constant", "factor", "every", "until", "return", "success %")
    for trial in trials[:most]:
        table.add_row(*_cells(trial))
    counts = Counter(trial.state for trial in trials)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    return Group(
        f"The best of {len(trials)} trials: {states}",
        table,
        "'constant' is the steps before the first decay; then the rate is multiplied by 'factor' "
        "'every' so many. The agent at 'until' was judged; [..] is a 95 % interval for other "
        "episodes and says nothing of other seeds.",
    )


def winner_lines(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Says where the best trial is and how to train its staircase again.

    Args:
        trials: At least one, the best first.

    Returns:
        Lines, the last of which is the command; none if no trial is complete.
    """
    best = trials[0]
    if best.state != "complete":
        return ()
    config, seed = best.run.path / "run.json", best.run.config.seed + 1
    return (
        f"The best run is {best.run.path}. It was chosen on one seed and these episodes, so train "
        "it with another seed to see what it is worth:",
        f"python train.py --config {shlex.quote(str(config))} --seed {seed}",
    )


def _cells(trial: Trial) -> tuple[str, ...]:
    schedule, total = trial.schedule, trial.run.config.total_timesteps
    cells = [f"{schedule.initial_learning_rate:.3g}", f"{total}", "-", "-"]
    if schedule.decay_rate < 1.0:
        cells[1:] = [f"{schedule.constant_steps}", f"{schedule.decay_rate:g}"]
        cells += [f"{schedule.decay_steps}"]
    until = "-" if trial.step is None else f"{trial.step}"
    cells += [until if trial.state == "complete" else f"{until}\n{trial.state}"]
    if not trial.episodes:
        return (*cells, "-", "-")
    mean = bootstrap_mean([episode.episode_return for episode in trial.episodes])
    success = statistics.fmean(episode.success for episode in trial.episodes)
    interval = f"{mean.value:.2f}\n[{mean.low:.2f}, {mean.high:.2f}]"
    return (*cells, interval, f"{100 * success:.0f}")
