"""Runs in Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from agents.extras import require_extra
from agents.training.trackers.follower import Row, TrackedRun
from agents.training.trackers.tracker import Tracker

require_extra("observer wandb", "wandb", "wandb")


class WeightsAndBiases(Tracker):
    """Shows a training in Weights & Biases, as its environment variables say.

    `WANDB_PROJECT` names the project; with `WANDB_MODE=offline` nothing is sent, and `wandb sync`
    sends it later.
    """

    name = "wandb"
    sink = f"{__name__}:WandbSink"


class WandbSink:
    """Talks to Weights & Biases."""

    def __init__(self) -> None:
        self._run: Any = None

    def open(self, run: TrackedRun, known: str | None) -> str:
        """Begins or resumes the W&B run, whose id follows from the run."""
        import wandb

        identity = known or run.identity[:16]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "staircase-lab"),
            id=identity,
            resume="allow",
            name=run.name,
            config=dict(run.config),
            dir=run.path / "trackers",
            # This process is not the training: neither its output nor its load is of interest.
            settings=wandb.Settings(console="off", x_disable_stats=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        return identity

    def send(self, rows: Sequence[Row]) -> None:
        """Logs rows, over their own steps: W&B's would not go back after a kill."""
        for row in rows:
            self._run.log(dict(row))

    def close(self, outcome: str) -> None:
        """Marks the run as finished, or as failed if it is not complete."""
        self._run.finish(exit_code=0 if outcome == "complete" else 1)
