"""A study on several machines: Ray dispatches, and all state stays in the run directories."""

from __future__ import annotations

import importlib
import socket
import time
from pathlib import Path
from typing import Any

from rich.console import Console

import agents
from agents.config import ConfigError
from agents.runs.directory import RunDirectory, RunError
from agents.runs.divergence import Diverged
from agents.runs.lock import RunLocked
from agents.training.interruption import TrainingInterrupted
from agents.training.loop import train_run
from agents.training.workers import Outcome

_LOCK_PATIENCE_S = 180.0
_LOCK_RETRY_S = 1.0
_KNOCK_S = 10.0


class RayCluster:
    """Trains runs on the nodes of a Ray cluster, each on one core.

    A run whose worker or node is lost is trained again elsewhere, from its newest snapshot. The
    folder of the runs must be on a disk that all nodes share, under the same path.

    Args:
        address: Address of the cluster, such as `"10.0.0.1:6379"`; `"auto"` finds one that this
            machine belongs to.

    Raises:
        ConfigError: If Ray is not installed.
        RunError: If there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise ConfigError("--cluster needs Ray: pip install 'staircase-lab[cluster]'") from None
        self._address = address
        self._running: dict[Any, Path] = {}

    def __enter__(self) -> RayCluster:
        """Connects to the cluster."""
        self._check_reachable()
        root = str(Path(agents.__file__).parents[1])
        try:
            self._ray.init(
                address=self._address,
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}},
            )
        except Exception as error:  # Ray names no common class for them
            line = str(error).strip().split("\n")[0]
            raise RunError(f"no Ray cluster can be reached at {self._address}: {line}") from None
        self._train = self._ray.remote(num_cpus=1, max_retries=-1)(_train)
        return self

    def __exit__(self, *exception: object) -> None:
        """Has what is in training take a snapshot and stop, and disconnects."""
        for reference in self._running:
            self._ray.cancel(reference, force=False)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=60)
        self._ray.shutdown()

    def _check_reachable(self) -> None:
        """Knocks at the address: Ray itself tries for minutes."""
        if self._address == "auto":
            return
        host, _, port = self._address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
        except (OSError, ValueError) as error:
            raise RunError(
                f"no Ray cluster can be reached at {self._address}: {error}; "
                "valid: auto, or HOST:PORT of the head node"
            ) from None

    def capacity(self) -> int:
        """How many cores the cluster has now, at least 1."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, run: RunDirectory) -> None:
        """Has a run trained to its end, from wherever it is.

        Args:
            run: The run.
        """
        path = run.path.resolve()
        self._running[self._train.remote(str(path))] = run.path

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Waits until a run has ended, in whatever way.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Returns:
            What became of the runs that have ended since the last call.
        """
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        outcomes = []
        for reference in ready:
            path = self._running.pop(reference)
            try:
                kind, message = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                kind, message = "failed", str(error).strip().split("\n")[0]
            outcomes.append(Outcome(path, kind, message))
        return outcomes


def _train(path: str) -> tuple[str, str]:
    """Trains a run in a worker of the cluster.

    Args:
        path: Its folder.

    Returns:
        Kind and message of its `Outcome`.
    """
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            train_run(RunDirectory.open(Path(path)), Console(quiet=True))
        except RunLocked as error:
            # The worker that was lost may still be ending.
            if time.monotonic() > deadline:
                return "failed", str(error)
            time.sleep(_LOCK_RETRY_S)
        except Diverged as error:
            return "diverged", str(error.divergence)
        except (TrainingInterrupted, ConfigError, RunError) as error:
            return "failed", str(error)
        else:
            return "complete", ""
