"""Segments on disk: trained once, and found again by whatever study needs them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from agents.runs.directory import RunDirectory, RunError, snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.files import write_atomically
from agents.runs.manifest import check_snapshot, read_snapshot
from agents.studies.tree import Segment, Turn
from agents.training.forks import fork_at
from agents.training.loop import create_run

_NOTE = "segment.json"


@dataclass(frozen=True)
class _Stored:
    """A segment on disk."""

    path: Path
    identity: str
    turns: tuple[Turn, ...]
    stop: int

    def agrees(self, segment: Segment, step: int) -> bool:
        """Tells whether at a step it is in the state that another segment goes through."""
        wanted = segment.line.before(step)
        return self.identity == segment.line.identity and (
            tuple(turn for turn in self.turns if turn.step < step) == wanted
        )


class SegmentStore:
    """Keeps segments as run directories, named by what determines them.

    Args:
        root: Folder of all segments, such as `runs/segments`; created with the first one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stored: dict[Path, _Stored] = {}
        self._good: set[tuple[Path, int]] = set()

    def path(self, segment: Segment) -> Path:
        """Returns where a segment is kept.

        Args:
            segment: The segment.
        """
        return self._root / f"{segment.line.config.env}-{segment.key[:20]}"

    def state(self, segment: Segment) -> str:
        """Returns how far a segment has come.

        Args:
            segment: The segment.

        Returns:
            `"trained"`, `"diverged"`, `"begun"` or `"missing"`.
        """
        if self.find(segment, segment.stop) is not None:
            return "trained"
        if not (self.path(segment) / _NOTE).exists():
            return "missing"
        run = RunDirectory.open(self.path(segment))
        return "begun" if read_divergence(run) is None else "diverged"

    def find(self, segment: Segment, step: int) -> RunDirectory | None:
        """Finds a stored run that has a good snapshot of the segment's line at a step.

        Args:
            segment: The segment; where it is stored itself, that is preferred.
            step: The step.
        """
        self._read()
        own = self.path(segment)
        alike = [s for s in self._stored.values() if s.stop >= step and s.agrees(segment, step)]
        for stored in sorted(alike, key=lambda stored: (stored.path != own, stored.path)):
            run = RunDirectory.open(stored.path)
            if step in snapshot_steps(run) and self._is_good(run, step):
                return run
        return None

    def newest(self, segment: Segment) -> RunDirectory:
        """Finds the stored run that has come farthest towards the end of a segment.

        Args:
            segment: The segment; it is trained or has diverged.

        Raises:
            RunError: If nothing of it is stored.
        """
        for past in segment.backwards():
            if (run := self.find(past, past.stop)) is not None:
                return run
            if (self.path(past) / _NOTE).exists():
                return RunDirectory.open(self.path(past))
        raise RunError(f"nothing of the segment {self.path(segment).name} is trained")

    def create(self, segment: Segment) -> RunDirectory:
        """Opens the run that trains a segment, and creates it if there is none.

        It begins at the newest snapshot that any stored run has of the segment's line.

        Args:
            segment: The segment; its parent is trained.

        Returns:
            The run, for `train_run`.

        Raises:
            ConfigError: If the segment cannot be trained.
            RunError: If the run cannot be created.
        """
        path = self.path(segment)
        if (path / _NOTE).exists():
            return RunDirectory.open(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        config = segment.config()
        source = self._source(segment)
        if source is None:
            create_run(config, temporary)
        else:
            run, step = source
            changes: dict[str, Any] = {
                "schedule": config.schedule,
                "total_timesteps": config.total_timesteps,
            }
            turn = next((turn for turn in segment.turns if turn.step == step), None)
            if turn is not None and turn.generator_seed is not None:
                changes["seed"] = turn.generator_seed
            fork_at(run, step, changes, temporary)
        note = {
            "identity": segment.line.identity,
            "turns": [astuple(turn) for turn in segment.turns],
            "stop": segment.stop,
        }
        write_atomically(temporary / _NOTE, json.dumps(note, indent=1).encode())
        try:
            temporary.rename(path)
        except OSError:
            # Another study has created it meanwhile.
            if not (path / _NOTE).exists():
                raise
            shutil.rmtree(temporary)
        return RunDirectory.open(path)

    def _source(self, segment: Segment) -> tuple[RunDirectory, int] | None:
        """Finds the newest snapshot of the segment's line in any stored run, before its end."""
        self._read()
        steps: set[int] = set()
        for stored in self._stored.values():
            if stored.identity == segment.line.identity:
                steps |= set(snapshot_steps(RunDirectory.open(stored.path)))
        # Between two turns any snapshot will do; one at a turn begins with what the turn changes.
        for step in sorted((s for s in steps if s < segment.stop), reverse=True):
            run = self.find(segment, step)
            if run is not None:
                return run, step
        return None

    def _is_good(self, run: RunDirectory, step: int) -> bool:
        if (run.path, step) not in self._good:
            try:
                check_snapshot(run, read_snapshot(run, step))
            except RunError:
                return False
            self._good.add((run.path, step))
        return True

    def _read(self) -> None:
        if not self._root.is_dir():
            return
        for path in sorted(self._root.iterdir()):
            if path in self._stored or path.name.startswith("."):
                continue
            try:
                note = json.loads((path / _NOTE).read_bytes())
                turns = tuple(Turn(*turn) for turn in note["turns"])
                self._stored[path] = _Stored(path, note["identity"], turns, note["stop"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
