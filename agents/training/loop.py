"""Training a run from wherever it is to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from agents.config import ConfigError, RunConfig
from agents.learners.environments import training_envs
from agents.learners.learner import Learner
from agents.learners.model import check_device
from agents.learners.sb3_learner import build_learner
from agents.learners.trial import try_config
from agents.runs.directory import (
    FRESH_AGENT,
    RESET_UNITS,
    RunDirectory,
    RunError,
    snapshot_steps,
)
from agents.runs.divergence import Diverged, Divergence, write_divergence
from agents.runs.keeping import Pruning, remove_leftovers, remove_snapshot
from agents.runs.lock import locked
from agents.runs.manifest import Snapshot, newest_good_snapshot
from agents.runs.provenance import processor_changes, version_changes
from agents.runs.spans import phases_by_reason
from agents.runs.tables import rewind_table
from agents.snapshots.replay_log import ReplayLog
from agents.snapshots.store import load_experience, load_snapshot, save_snapshot
from agents.training.disk_use import kept_bytes
from agents.training.interruption import StopRequest, TrainingInterrupted, catch_stop_requests
from agents.training.isolation import IsolatedObserver, check_observers, named_observers
from agents.training.observers import Episode, Observer, Observers, Update
from agents.training.progress_bar import TrainingProgress
from agents.training.recorder import Recorder

MANY_SNAPSHOTS = 100
LATE_BOUNDARIES_SHOWN = 5

logger = logging.getLogger(__name__)


def create_run(
    config: RunConfig, path: Path, held_branch_length: str | None = None
) -> RunDirectory:
    """Creates a run that `train_run` can train, after a trial that writes nothing.

    Logs a warning if a phase will see no update, if a boundary will take effect later than planned,
    or if the learner falls back to SB3's own, slower updates.

    Args:
        config: What to train.
        path: Folder of the run, new or empty.
        held_branch_length: Length of the held branches that belong to the run, if any.

    Returns:
        The run.

    Raises:
        ConfigError: If the config cannot be trained; nothing has been written.
        RunError: If the folder cannot be used.
    """
    check_observers(config)
    interval, first_update, learner = try_config(config)
    run = RunDirectory.create(
        path,
        config,
        interval,
        first_update,
        held_branch_length=held_branch_length,
        learner=learner,
    )
    for phrase in late_boundaries(run):
        logger.warning("%s", phrase)
    return run


def late_boundaries(run: RunDirectory) -> tuple[str, ...]:
    """Describes boundaries that take effect later than scheduled, and phases that see no update.

    Args:
        run: The run.

    Returns:
        A line for each reason why phases see no update, and one for all late boundaries.
    """
    if not run.effective_phases:
        return (f"nothing will be learned, no phase sees an update: {run.untrained_phases[0]}",)
    lines = [
        f"{name} will see no update: {reason}"
        for name, reason in phases_by_reason(run.untrained_phases).items()
    ]
    late = [
        f"phase {phase.index} begins at {phase.start} instead of {run.phases[phase.index].start}"
        for phase in run.effective_phases
        if phase.start != run.phases[phase.index].start
    ]
    if len(late) > LATE_BOUNDARIES_SHOWN:
        late[LATE_BOUNDARIES_SHOWN:] = [f"{len(late) - LATE_BOUNDARIES_SHOWN} more begin late"]
    if late:
        every = f"{run.config.algo} updates every {run.steps_per_update} steps"
        lines.append(f"{every}: {', '.join(late)}")
    return tuple(lines)


def train_run(run: RunDirectory, console: Console, observers: Sequence[Observer] = ()) -> None:
    """Trains a run to its end, from its newest good snapshot or from the start.

    On the main thread, the first SIGINT or SIGTERM ends the training with a snapshot. On other
    threads, no signal handler is installed.

    Args:
        run: The run; nothing happens if it is complete.
        console: Where progress is shown.
        observers: Observers besides those that the config names. If one of these raises, the
            training ends.

    Raises:
        ConfigError: If this machine does not have the run's device.
        RunError: If another process trains this run, this process trains another run, there is no
            good snapshot, or files cannot be written.
        Diverged: If a loss, a parameter or a statistic is no longer finite. Everything written
            before is good, and `diverged.json` says where the run diverged.
        TrainingInterrupted: If SIGINT or SIGTERM came; a snapshot has been taken.
    """
    with locked(run):
        snapshot, damaged = newest_good_snapshot(run)
        for line in damaged:
            logger.warning("%s; an older one is used", line)
        # A fork beyond the end of its run begins with that run's final snapshot.
        if snapshot is not None and snapshot.final and snapshot.step >= run.config.total_timesteps:
            return
        check_device(run.config.device)
        origin = run if snapshot is None else snapshot
        for what, changes in (
            ("with other versions", version_changes(origin.versions)),
            ("on another processor", processor_changes(origin.processor)),
        ):
            if changes:
                logger.warning(
                    "%s was made %s (%s), so it may go on differently",
                    run.path,
                    what,
                    ", ".join(changes),
                )
        if (plan := many_snapshots(run, 0 if snapshot is None else snapshot.step)) is not None:
            logger.warning("%s", plan)
        _train(run, snapshot, console, observers)


def many_snapshots(run: RunDirectory, step: int) -> str | None:
    """Describes the disk use of a run that will keep many snapshots.

    Args:
        run: The run.
        step: Environment timesteps trained so far.

    Returns:
        One line if the run will keep more than `MANY_SNAPSHOTS` further snapshots, else `None`.
    """
    kept = sorted(end for end in _kept_steps(run) if end > step)
    if len(kept) <= MANY_SNAPSHOTS:
        return None
    size = kept_bytes(run.config, kept)
    what = "a snapshot at the end of each phase"
    if (every := run.config.keep_snapshots_every) is not None:
        what += f" and every {every} steps"
    branches = ""
    if run.held_branch_length is not None:
        branches = f", with those of {len(run.fork_steps)} held branches"
        size *= 3  # Each branch has two: where it was forked and at its end.
    return f"{run.path} keeps {what}: {len(kept)} are to come, about {size / 1e6:,.0f} MB{branches}"


def _kept_steps(run: RunDirectory) -> set[int]:
    """Returns the steps of all snapshots that a complete run keeps."""
    ends = set(run.phase_end_steps.values())
    if (every := run.config.keep_snapshots_every) is None:
        return ends
    interval = run.steps_per_update
    last = -(-run.config.total_timesteps // interval) * interval
    return ends | {-(-step // interval) * interval for step in range(every, last + 1, every)}


def _train(
    run: RunDirectory,
    snapshot: Snapshot | None,
    console: Console,
    observers: Sequence[Observer],
) -> None:
    try:
        _rewind(run, snapshot)
        with training_envs(run.config) as venv, catch_stop_requests() as stop, ExitStack() as ends:
            learner = build_learner(run.config, venv)
            recorder = Recorder(run)
            told = (
                recorder,
                TrainingProgress(run, console),
                *named_observers(run),
                *map(IsolatedObserver, observers),
            )
            for observer in told:
                ends.callback(observer.on_end)
            exact = _ExactCallbacks(run, learner, recorder, Observers(told), stop, snapshot)
            try:
                learner.learn(run.config.total_timesteps, exact, recorder.logger)
            except (ConfigError, RunError, TrainingInterrupted, OSError):
                raise
            except Exception as error:
                # Torch and the environments raise on numbers that are not finite.
                if (what := learner.non_finite_cause(error)) is None:
                    raise
                raise _diverged(run, learner, what) from error
    except (EOFError, ConnectionError) as error:
        raise RunError(
            f"a training environment of {run.path} died; --resume goes on from the last snapshot"
        ) from error
    except OSError as error:
        raise RunError(f"cannot write in {run.path}: {error.strerror or error}") from error


def _diverged(run: RunDirectory, learner: Learner, what: str) -> Diverged:
    """Records in the run's folder that its training diverged."""
    step = learner.step
    phase = run.phase_at(step).index
    divergence = Divergence(step, phase, learner.learning_rate, what)
    write_divergence(run, divergence)
    return Diverged(run, divergence, max(snapshot_steps(run), default=None))


def _rewind(run: RunDirectory, snapshot: Snapshot | None) -> None:
    """Removes what a run has written since a snapshot, or everything if there is none."""
    remove_leftovers(run)
    run.divergence_path.unlink(missing_ok=True)
    for step in snapshot_steps(run):
        # Snapshots after the newest good one are damaged, and will be taken again.
        if snapshot is not None and step > snapshot.step:
            remove_snapshot(run.snapshots_path / str(step))
    for path in (run.metrics_path, run.episodes_path):
        rewind_table(path, 0 if snapshot is None else snapshot.tables[path.name]["bytes"])


class _ExactCallbacks:
    """Restores, saves and stops, all at the one point where a run can be continued.

    That point is the start of a rollout, after the last update and before the environments move.
    `learn()` is always called for the whole run. A snapshot is restored at the first such point,
    because the learner's own set-up, which draws random numbers and resets action noise and
    environments, is over by then. Everything else is left to observers.
    """

    def __init__(
        self,
        run: RunDirectory,
        learner: Learner,
        recorder: Recorder,
        observers: Observer,
        stop: StopRequest,
        snapshot: Snapshot | None,
    ) -> None:
        self._run = run
        self._learner = learner
        self._recorder = recorder
        self._observers = observers
        self._stop = stop
        self._to_restore = snapshot
        self._started = time.monotonic() - (0.0 if snapshot is None else snapshot.elapsed_s)
        self._updates_told = 0
        self._replay_log: ReplayLog | None = None
        self._pruning = Pruning(run)
        self._phase_ends = {step: index for index, step in run.phase_end_steps.items()}

    def on_training_start(self) -> None:
        if self._learner.replay is not None:
            self._replay_log = ReplayLog(self._run.replay_path, self._learner.replay)

    def on_rollout_start(self) -> None:
        if self._to_restore is not None:
            self._restore(self._to_restore)
            self._updates_told = self._learner.updates
            self._to_restore = None
            return
        self._tell_update()
        step, interval = self._learner.step, self._run.steps_per_update
        if self._replay_log is not None:
            self._replay_log.extend(step)
        if step == 0:
            return
        phase_end = self._phase_ends.get(step)
        every = self._run.config.snapshot_every
        is_due = step // every > (step - interval) // every
        interrupted = self._stop.signal_number is not None
        is_due = is_due or self._run.keeps_snapshot_at(step)
        if phase_end is not None or is_due or interrupted:
            self._save(phase_end=phase_end, final=False)
        if self._stop.signal_number is not None:
            raise TrainingInterrupted(self._stop.signal_number)

    def _restore(self, snapshot: Snapshot) -> None:
        learner, parent = self._learner, self._run.parent
        at_fork = parent if parent is not None and parent.step == snapshot.step else None
        state = None if parent is None else parent.state
        if at_fork is not None and state == FRESH_AGENT:
            assert self._replay_log is not None
            load_experience(snapshot, learner, self._replay_log)
        else:
            load_snapshot(snapshot, learner, self._replay_log)
        if state == FRESH_AGENT and self._run.config.reward == "dense":
            # The log shares chunks with the parent's, whose rewards may be sparse.
            learner.recompute_rewards()
        if at_fork is not None and at_fork.generator_seed is not None:
            learner.reseed(at_fork.generator_seed)
        if at_fork is not None and state == RESET_UNITS:
            learner.reset_dormant_units()

    def on_episode_end(self, env: int, episode_return: float, length: int, success: bool) -> None:
        step = self._learner.step
        self._observers.on_episode(
            Episode(
                step=step,
                # The action that ended the episode was step number `step - 1`.
                phase=self._run.phase_at(step - 1).index,
                env=env,
                episode_return=episode_return,
                length=length,
                success=success,
                elapsed_s=self._elapsed_s(),
            )
        )

    def on_training_end(self) -> None:
        self._tell_update()
        self._save(phase_end=self._phase_ends.get(self._learner.step), final=True)

    def _elapsed_s(self) -> float:
        """Returns the seconds that the run has trained, summed over all its processes."""
        return time.monotonic() - self._started

    def _tell_update(self) -> None:
        learner = self._learner
        if learner.updates == self._updates_told:
            return
        before, self._updates_told = self._updates_told, learner.updates
        losses = self._recorder.losses()
        if (what := learner.non_finite_update(losses)) is not None:
            raise _diverged(self._run, learner, what)
        self._observers.on_update(
            Update(
                step=learner.step,
                phase=self._run.phase_at(learner.step).index,
                learning_rate=learner.learning_rate,
                losses=losses,
                signals=learner.signals(before),
                return_mean=learner.return_mean,
                success_rate=learner.success_rate,
                elapsed_s=self._elapsed_s(),
            )
        )

    def _save(self, *, phase_end: int | None, final: bool) -> None:
        if (what := self._learner.non_finite_state()) is not None:
            raise _diverged(self._run, self._learner, what)
        snapshot = save_snapshot(
            self._run,
            self._learner,
            self._replay_log,
            self._recorder.marks(),
            phase_end=phase_end,
            final=final,
            elapsed_s=self._elapsed_s(),
        )
        self._pruning.add(snapshot)
        self._observers.on_snapshot(snapshot)
