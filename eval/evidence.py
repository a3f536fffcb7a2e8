"""What a diagnosis looks at: the constant-rate phase of a run, as its tables have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import envs
from agents import ALGORITHMS, RunConfig, RunDirectory, RunError
from agents.runs.divergence import Divergence, read_divergence
from eval.goal_regions import FEWEST_GOALS, Region, goal_regions
from eval.phase_ends import phase_ends
from eval.seeds import evaluation_seeds
from eval.stored_episodes import read_episodes
from eval.training_tables import Columns, read_sparse_table, read_training_table
from schedules import Phase

EPISODE_COLUMNS = ("step", "phase", "return", "length", "success")
A_SIGNAL = "critic_gradient_norm"
GOALS_LOOKED_AT = 64
FEWEST_ROWS = 3


@dataclass(frozen=True)
class Evidence:
    """The constant-rate phase of a run.

    Attributes:
        run: The run.
        phase: Phase 0 as it was trained.
        ended: Whether the run has trained to the phase's end.
        metrics: Rows of `metrics.csv` in the phase, by column; NaN where a cell is empty.
        episodes: Rows of `episodes.csv` in the phase that ended after the first update.
        evaluated: Seed, return and success of the evaluation episodes that the agent at the
            phase's end has played; `None` where it has not.
        divergence: Where the training diverged, if it did in the phase.
    """

    run: RunDirectory
    phase: Phase
    ended: bool
    metrics: Columns
    episodes: Columns
    evaluated: Columns | None
    divergence: Divergence | None

    @property
    def config(self) -> RunConfig:
        """Config of the run."""
        return self.run.config

    @property
    def off_policy(self) -> bool:
        """Whether the algorithm learns from a replay buffer."""
        return ALGORITHMS[self.config.algo].off_policy

    @property
    def steps(self) -> int:
        """Steps that the phase was trained for, the warm-up included."""
        reached = self.metrics["step"].max(initial=0)
        return int(self.phase.stop if self.ended else reached)

    @property
    def longest_episode(self) -> int:
        """Steps after which an episode of the task is cut off."""
        return envs.TASK_TYPES[self.config.env].max_episode_steps

    @property
    def recent_success(self) -> float:
        """Success rate of the last quarter of the training episodes; 0 without any."""
        success = self.episodes["success"]
        last = success[-max(1, len(success) // 4) :]
        return float(last.mean()) if len(last) else 0.0

    def values(self, name: str) -> NDArray[np.float64]:
        """The values of a signal or a loss in the phase, in order.

        Args:
            name: A column; one that is missing has no values.
        """
        column = self.metrics.get(name, np.zeros(0))
        finite: NDArray[np.float64] = column[np.isfinite(column)]
        return finite

    def recent(self, name: str) -> float | None:
        """The median of the last half of a signal's values; `None` if there are too few.

        Args:
            name: The signal.
        """
        values = self.values(name)
        if len(values) < FEWEST_ROWS:
            return None
        return float(np.median(values[len(values) // 2 :]))

    def hyperparameter(self, name: str) -> Any:  # noqa: ANN401 - of any kind
        """A hyperparameter, or the algorithm's default; `None` if it has none of that name.

        Args:
            name: The keyword argument.
        """
        given = self.config.hyperparameters
        if name in given:
            return given[name]
        try:
            return ALGORITHMS[self.config.algo].value(name, given)
        except KeyError:
            return None

    @cached_property
    def evaluation_goals(self) -> NDArray[np.float64]:
        """Desired goals of the first evaluation episodes, shape (episodes, entries)."""
        return self._goals(evaluation_seeds(GOALS_LOOKED_AT))

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Success by the region of the goal, of the agent at the phase's end.

        None without evaluation episodes, or with too few of them.
        """
        if self.evaluated is None or len(self.evaluated["seed"]) < FEWEST_GOALS:
            return ()
        return goal_regions(self._goals(self.evaluated["seed"]), self.evaluated["success"])

    def _goals(self, seeds: Iterable[float]) -> NDArray[np.float64]:
        with self._evaluation_env() as env:
            goals = [env.reset(seed=int(seed))[0]["desired_goal"] for seed in seeds]
        return np.asarray(goals, np.float64)

    @cached_property
    def action_size(self) -> int:
        """Entries of an action."""
        with self._evaluation_env() as env:
            return int(np.prod(env.action_space.shape))

    @contextmanager
    def _evaluation_env(self) -> Iterator[Any]:
        # SB3, which the training environments need, takes seconds to import.
        import gymnasium

        config = self.config
        arguments = {"robot": config.robot, "control": config.control, **config.env_kwargs}
        env = gymnasium.make(envs.TASKS[config.env], **arguments)
        try:
            yield env
        finally:
            env.close()


def read_evidence(run: RunDirectory) -> Evidence:
    """Reads what a run has of its constant-rate phase.

    Args:
        run: The run, which need not be complete.

    Returns:
        The evidence.

    Raises:
        RunError: If phase 0 sees no update, or a table of the run is damaged.
    """
    if not run.effective_phases or run.effective_phases[0].index != 0:
        reason = run.untrained_phases.get(0, "no update comes")
        raise RunError(f"{run.path} has no constant-rate phase to judge: {reason}")
    phase = run.effective_phases[0]
    divergence = read_divergence(run)
    if divergence is not None and divergence.phase != 0:
        divergence = None
    metrics = _read_metrics(run, phase)
    episodes = read_training_table(run.episodes_path, EPISODE_COLUMNS)
    here = (episodes["phase"] == 0) & (episodes["step"] >= run.first_update)
    return Evidence(
        run=run,
        phase=phase,
        ended=_has_ended(run, phase),
        metrics=metrics,
        episodes={name: column[here] for name, column in episodes.items()},
        evaluated=_evaluated(run),
        divergence=divergence,
    )


def _has_ended(run: RunDirectory, phase: Phase) -> bool:
    end = run.phase_end_steps.get(phase.index)
    if end is None:
        return False
    try:
        return phase.index in phase_ends(run).snapshots
    except RunError:
        return False


def _read_metrics(run: RunDirectory, phase: Phase) -> Columns:
    path = run.metrics_path
    columns = read_sparse_table(path) or {"step": np.zeros(0), "phase": np.zeros(0)}
    try:
        here = (columns["phase"] == phase.index) & (columns["step"] <= phase.stop)
    except KeyError as error:
        raise RunError(f"{path} is damaged or foreign: {error}") from None
    if not np.isfinite(columns["step"]).all():
        raise RunError(f"{path} is damaged or foreign: numbers are missing in step")
    return {name: column[here] for name, column in columns.items()}


def _evaluated(run: RunDirectory) -> Columns | None:
    try:
        state = phase_ends(run).snapshots[0].state_sha256
    except (KeyError, RunError):
        return None
    played = [e for (sha, _), e in read_episodes(run).items() if sha == state]
    if not played:
        return None
    return {
        "seed": np.array([float(episode.seed) for episode in played]),
        "return": np.array([episode.episode_return for episode in played]),
        "success": np.array([float(episode.success) for episode in played]),
    }


def width(evidence: Evidence) -> int:
    """Units of the narrowest hidden layer of an actor or a critic.

    Args:
        evidence: Of the run.
    """
    given = evidence.config.hyperparameters.get("policy_kwargs", {}).get("net_arch")
    layers: list[Any] = [given]
    if isinstance(given, Mapping):
        layers = list(given.values())
    sizes = [size for part in layers if isinstance(part, list) for size in part]
    return min((size for size in sizes if isinstance(size, int)), default=64)
