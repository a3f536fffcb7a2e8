"""Runs in MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from agents.extras import require_extra
from agents.training.trackers.follower import Row, TrackedRun
from agents.training.trackers.tracker import Tracker

require_extra("observer mlflow", "mlflow", "mlflow")

_MOST_AT_ONCE = 1000
_STATUS = {"complete": "FINISHED", "diverged": "FAILED", "interrupted": "KILLED"}


class MLflow(Tracker):
    """Shows a training in MLflow, as its environment variables say.

    `MLFLOW_TRACKING_URI` is the server or store, and `MLFLOW_EXPERIMENT_NAME` the experiment.
    """

    name = "mlflow"
    sink = f"{__name__}:MLflowSink"


class MLflowSink:
    """Talks to MLflow."""

    def __init__(self) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._id = ""

    def open(self, run: TrackedRun, known: str | None) -> str:
        """Begins an MLflow run, or reopens the known one if this store has it."""
        from mlflow.exceptions import MlflowException

        if known is not None:
            try:
                self._client.update_run(known, status="RUNNING")
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                self._id = known
                return known
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "staircase-lab")
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        self._id = self._client.create_run(experiment, run_name=run.name).info.run_id
        for key, value in _flat(run.config):
            self._client.log_param(self._id, key, value)
        return self._id

    def send(self, rows: Sequence[Row]) -> None:
        """Logs rows as metrics, as many at once as MLflow takes."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = (
            Metric(name, value, now, int(row["step"]))
            for row in rows
            for name, value in row.items()
            if name != "step"
        )
        while batch := list(islice(metrics, _MOST_AT_ONCE)):
            self._client.log_batch(self._id, metrics=batch)

    def close(self, outcome: str) -> None:
        """Sets the status of the run."""
        self._client.set_terminated(self._id, _STATUS[outcome])


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of nested mappings by their keys, joined by dots."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
