"""What a study will cost: core-hours and disk, from measured rates."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents.config import RunConfig
from agents.learners.trial import try_config
from agents.runs.directory import RunError
from agents.runs.manifest import read_snapshot
from agents.studies.plan import Plan
from agents.studies.store import SegmentStore
from agents.studies.tree import Segment
from agents.training.disk_use import kept_bytes
from agents.training.loop import create_run, train_run
from schedules import ConstantSchedule

_MEASURED_STEPS = 400


@dataclass(frozen=True)
class Cost:
    """What is left to do of a study.

    Attributes:
        segments: Segments that are still to be trained.
        steps: Their environment timesteps.
        core_hours: Hours of one core that they take.
        disk_bytes: What they add to the disk.
    """

    segments: int
    steps: int
    core_hours: float
    disk_bytes: int

    def __str__(self) -> str:
        """The cost in words."""
        return (
            f"{self.segments} segments, {self.steps:,} steps, about {self.core_hours:.1f} "
            f"core-hours and {self.disk_bytes / 1e6:,.0f} MB"
        )


def estimate(plan: Plan, store: SegmentStore) -> Cost:
    """Estimates what a study still needs.

    Rates are those of segments that were trained before, or else those of a short training.

    Args:
        plan: The plan.
        store: Where segments are kept; those that are trained cost nothing.

    Returns:
        The cost.

    Raises:
        ConfigError: If a config cannot be trained.
    """
    missing = [s for s in plan.tree.segments if store.state(s) not in ("trained", "diverged")]
    alike: dict[str, list[Segment]] = {}
    for segment in missing:
        alike.setdefault(_kind(segment.line.config), []).append(segment)
    seconds, size = 0.0, 0.0
    for kind, segments in alike.items():
        config, steps = segments[0].line.config, sum(s.steps for s in segments)
        snapshot, step = _snapshot_and_step_bytes(config)
        trained = [s for s in plan.tree.segments if _kind(s.line.config) == kind]
        seconds += steps * (_known_rate(trained, store) or _seconds_per_step(config))
        size += steps * step + snapshot * sum(map(_kept_snapshots, segments))
    return Cost(len(missing), sum(s.steps for s in missing), seconds / 3600, round(size))


def _kind(config: RunConfig) -> str:
    """Is equal for configs whose steps cost the same: all but seed, schedule and length."""
    alike = dataclasses.replace(config, seed=0, schedule=ConstantSchedule(1e-3), total_timesteps=1)
    return json.dumps(alike.to_dict(), sort_keys=True)


def _known_rate(segments: Sequence[Segment], store: SegmentStore) -> float | None:
    """Seconds a step of a segment that is trained; `None` if there is none."""
    for segment in segments:
        if (run := store.find(segment, segment.stop)) is not None:
            return read_snapshot(run, segment.stop).elapsed_s / segment.stop
    return None


def _kept_snapshots(segment: Segment) -> int:
    return 1 + sum(turn.step > segment.start for turn in segment.turns)


def check_disk(cost: Cost, folder: Path) -> None:
    """Checks that a study is likely to fit the disk.

    Args:
        cost: What is left to do.
        folder: Where it is written; it need not exist yet.

    Raises:
        RunError: If less is free than the study needs.
    """
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if cost.disk_bytes > free:
        raise RunError(
            f"the study needs about {cost.disk_bytes / 1e6:,.0f} MB, and {existing} has "
            f"{free / 1e6:,.0f} MB free"
        )


def _seconds_per_step(config: RunConfig) -> float:
    """Times a short training once its updates have begun."""
    with TemporaryDirectory() as folder:
        probe = dataclasses.replace(
            config,
            schedule=ConstantSchedule(config.schedule(0)),
            total_timesteps=1,
            snapshot_every=10**9,
            observers=(),
        )
        interval, first_update, _ = try_config(probe)
        total = first_update + max(interval, _MEASURED_STEPS // interval * interval)
        run = create_run(dataclasses.replace(probe, total_timesteps=total), Path(folder) / "run")
        train_run(run, Console(quiet=True))
        with run.metrics_path.open() as file:
            rows = list(csv.DictReader(file))
    first, last = rows[0], rows[-1]
    steps = int(last["step"]) - int(first["step"])
    return (float(last["wall_time_s"]) - float(first["wall_time_s"])) / steps


def _snapshot_and_step_bytes(config: RunConfig) -> tuple[float, float]:
    """Returns the bytes of a snapshot, and the bytes that a step adds to the replay log."""
    near, far = config.n_envs, config.n_envs * _MEASURED_STEPS
    small, large = kept_bytes(config, [near]), kept_bytes(config, [far])
    return small, (large - small) / (far - near)
