"""The agent of a snapshot, ready to act: its networks and observation statistics."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig
from agents.learners.environments import training_envs
from agents.learners.learner import Arrays
from agents.learners.sb3_learner import build_learner
from agents.learners.training_state import kept_generators
from agents.runs.directory import RunDirectory, RunError, snapshot_steps
from agents.runs.manifest import Snapshot, read_snapshot
from agents.snapshots.store import load_acting


class Agent:
    """Acts on raw observations of a run's environments, with the networks of any snapshot.

    It is on the CPU and has no environment. Creating one leaves the generators of Python, NumPy and
    torch as they are, so it does not affect a training in the same process. Stochastic actions draw
    from torch's generator, as everywhere in SB3.

    Args:
        config: The run whose agents are to act. Until one is loaded, it acts at random.

    Attributes:
        config: The run.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        algorithm, given = ALGORITHMS[config.algo], config.hyperparameters
        # The algorithms check their buffers against `n_envs`, which is 1 here: an on-policy one
        # gets the rollout it was trained with, an off-policy one nothing to remember.
        buffer = (
            {"buffer_size": 1}
            if algorithm.off_policy
            else {"n_steps": algorithm.value("n_steps", given) * config.n_envs}
        )
        config = dataclasses.replace(
            config,
            n_envs=1,
            vec_env="dummy",
            device="cpu",
            hyperparameters={**config.hyperparameters, **buffer},
        )
        with kept_generators(), training_envs(config) as venv:
            self._learner = build_learner(config, venv)

    def load(self, snapshot: Snapshot) -> None:
        """Loads the networks and the observation statistics of a snapshot.

        Args:
            snapshot: A snapshot of the run.

        Raises:
            RunError: If a file of it was altered.
        """
        load_acting(snapshot, self._learner)

    def policy(self) -> Arrays:
        """Returns all that actions depend on: networks and observation statistics."""
        return self._learner.policy()

    def load_policy(self, arrays: Arrays) -> None:
        """Loads what `policy` gave.

        Args:
            arrays: Of an agent with the same config.

        Raises:
            ValueError: If they are those of another.
        """
        self._learner.load_policy(arrays)

    def predict(
        self,
        observation: Any,  # noqa: ANN401 - SB3 names no type for dictionaries
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Chooses actions, as `predict` of an SB3 model does, but from raw observations.

        Args:
            observation: Dictionary of one observation, or of a batch with the batch first.
            state: Returned unchanged; only recurrent policies, which are not used here, have one.
            episode_start: Ignored, likewise.
            deterministic: Whether to take the most likely action instead of a random one.

        Returns:
            Actions of shape (4,) and the like, or (batch, 4), and `state`.
        """
        return self._learner.predict(observation, state, episode_start, deterministic)


def load_agent(run: RunDirectory, phase: int | None = None) -> Agent:
    """Loads the agent at the end of a phase, to act with.

    Args:
        run: The run, such as `find_run("latest")`; it need not be complete.
        phase: Index of the phase; `None` for the newest agent there is.

    Returns:
        The agent, whose `predict` takes raw observations of the run's task.

    Raises:
        ConfigError: If the run has no such phase.
        RunError: If the phase has not ended yet, or the snapshot is damaged.
    """
    existing = snapshot_steps(run)
    if phase is None:
        if not existing:
            raise RunError(f"{run.path} has no snapshot yet")
        step = existing[-1]
    else:
        ends = run.phase_end_steps
        if phase not in ends:
            raise ConfigError(
                f"{run.path} has no phase {phase}; valid: {', '.join(map(str, ends))}"
            )
        step = ends[phase]
        if step not in existing:
            raise RunError(
                f"{run.path} has no snapshot at the end of phase {phase} (step {step}) yet"
            )
    agent = Agent(run.config)
    agent.load(read_snapshot(run, step))
    return agent
