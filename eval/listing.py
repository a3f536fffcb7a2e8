"""Lists the runs and studies below a folder, and what is known of them; imports nothing slow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from agents import RunDirectory, RunError
from agents.runs.directory import is_complete, snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.lock import is_locked
from agents.runs.tables import last_row
from agents.studies.manifest import read_noted_runs, read_study, segments_folder
from agents.studies.study import Study
from eval.comparison import FORMAT as COMPARISON_FORMAT
from eval.study_comparison import FORMAT as STUDY_COMPARISON_FORMAT
from eval.tables import simple_table

FORMAT = "staircase-lab list"
FORMAT_VERSION = 1
STATES = ("running", "interrupted", "complete", "diverged", "unreadable")
SHOWN = 4
"""How many decay effects of a run or study the table shows."""


@dataclass(frozen=True)
class ListedEffect:
    """A decay effect on the return, or in a study on the success rate, as it was evaluated.

    Attributes:
        of: Which decay: `"into phase 1"`, in a study with its arm.
        value: Decayed minus held.
        low: Lower end of the 95 % interval; `None` where there is none, as from one seed.
        high: Upper end of it.
        verdict: The verdict over seeds; `None` for a run, which is one seed.
    """

    of: str
    value: float
    low: float | None
    high: float | None
    verdict: str | None


@dataclass(frozen=True)
class Listed:
    """A run or a study.

    Attributes:
        path: Its folder.
        kind: `"run"` or `"study"`.
        state: One of `STATES`. A study is interrupted if something is left to train, complete if
            all is trained, and diverged if all is trained or lost and a run was lost.
        env: Its task; several of a study are joined by commas.
        algo: Its algorithm; the same.
        done: Steps trained so far, or at the newest snapshot of an interrupted run; of a study,
            runs at their end.
        planned: Steps, or runs, that are planned.
        created: UTC time, ISO 8601; `None` of a study.
        episodes: Evaluation episodes of the newest evaluation; `None` without one.
        success: Success rate there at the end of the run, or the mean over the arms of a study.
        effects: The decay effects that were evaluated.
        problem: What is wrong with it, in a line; `None` if nothing is.
    """

    path: Path
    kind: str
    state: str
    env: str = ""
    algo: str = ""
    done: int = 0
    planned: int = 0
    created: str | None = None
    episodes: int | None = None
    success: float | None = None
    effects: tuple[ListedEffect, ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON data."""
        return {**asdict(self), "path": str(self.path)}


def list_folder(folder: Path) -> tuple[Listed, ...]:
    """Lists the runs and studies below a folder.

    Branches belong to their run, and runs of a study to it, so they have no entry of their own.

    Args:
        folder: The folder.

    Returns:
        An entry for each, in the order of the paths.

    Raises:
        RunError: If there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}")
    return tuple(
        _study(path) if (path / "study.json").exists() else _run(path) for path in _found(folder)
    )


def chosen(
    entries: Sequence[Listed],
    states: Collection[str] = (),
    tasks: Collection[str] = (),
    algorithms: Collection[str] = (),
) -> tuple[Listed, ...]:
    """Keeps the entries that fit; an empty filter fits all.

    Args:
        entries: The entries.
        states: States to keep.
        tasks: Tasks to keep; one of a study's is enough.
        algorithms: Algorithms to keep; the same.
    """

    def fits(words: str, wanted: Collection[str]) -> bool:
        return not wanted or bool(set(words.split(", ")) & set(wanted))

    return tuple(
        entry
        for entry in entries
        if fits(entry.state, states) and fits(entry.env, tasks) and fits(entry.algo, algorithms)
    )


def listing_json(entries: Sequence[Listed]) -> str:
    """Writes entries as JSON.

    Args:
        entries: The entries.
    """
    data = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "entries": [entry.to_dict() for entry in entries],
    }
    return json.dumps(data, indent=2, allow_nan=False)


def listing_table(entries: Sequence[Listed], folder: Path) -> RenderableType:
    """Lays entries out as a table.

    Args:
        entries: At least one.
        folder: The folder that paths are relative to.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    table = simple_table("run or study", "state", "task", "algo", "done", "success %")
    for column in table.columns[:4]:
        column.justify = "left"
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    for entry in entries:
        table.add_row(
            Text(str(entry.path.relative_to(folder))),
            Text(entry.state),
            Text(entry.env),
            Text(entry.algo),
            _done(entry),
            "-" if entry.success is None else f"{100 * entry.success:.0f}",
        )
    parts: list[RenderableType] = [table]
    if any(entry.effects for entry in entries):
        parts += ["", "Decay effects: of runs on the return, of studies on the success rate"]
    for entry in entries:
        parts += [Text(f"{entry.path.relative_to(folder)} {line}") for line in _effects(entry)]
    notes = (f"{entry.path}: {entry.problem}" for entry in entries if entry.problem)
    return Group(*parts, *(Text(note, style="yellow") for note in notes))


def _done(entry: Listed) -> str:
    if not entry.planned:
        return "-"
    unit = " runs" if entry.kind == "study" else ""
    return f"{entry.done}/{entry.planned}{unit}"


def _effects(entry: Listed) -> Iterator[str]:
    for effect in entry.effects[:SHOWN]:
        interval = ""
        if effect.low is not None and effect.high is not None:
            interval = f" [{effect.low:+.2g}, {effect.high:+.2g}]"
        word = f" {effect.verdict}" if effect.verdict else ""
        yield f"{effect.of}: {effect.value:+.2g}{interval}{word}"
    if len(entry.effects) > SHOWN:
        yield f"and {len(entry.effects) - SHOWN} more"


def _found(folder: Path) -> Iterator[Path]:
    if (folder / "study.json").exists() or (folder / "run.json").exists():
        if not (folder / "segment.json").exists():
            yield folder
        return
    try:
        inner = sorted(
            path
            for path in folder.iterdir()
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        )
    except OSError:
        return
    for path in inner:
        yield from _found(path)


def _run(path: Path) -> Listed:
    try:
        run = RunDirectory.open(path)
        state, problem = _state(run)
        listed = Listed(
            path=path,
            kind="run",
            state=state,
            env=run.config.env,
            algo=run.config.algo,
            done=_trained_steps(run, state),
            planned=run.config.total_timesteps,
            created=run.created,
            problem=problem,
        )
        return _evaluated_run(listed, run)
    except RunError as error:
        return Listed(path=path, kind="run", state="unreadable", problem=str(error))


def _state(run: RunDirectory) -> tuple[str, str | None]:
    if is_complete(run):
        return "complete", None
    if is_locked(run):
        return "running", None
    divergence = read_divergence(run)
    return ("interrupted", None) if divergence is None else ("diverged", str(divergence))


def _trained_steps(run: RunDirectory, state: str) -> int:
    newest = max(snapshot_steps(run), default=0)
    if state in ("interrupted", "complete"):
        return newest  # an interrupted run goes on from there
    step = last_row(run.metrics_path).get("step", "")
    return max(newest, int(step) if step.isdecimal() else 0)


def _evaluated_run(listed: Listed, run: RunDirectory) -> Listed:
    data = _newest_summary(run)
    if data is None:
        return listed
    try:
        effects = tuple(
            ListedEffect(
                of=f"into phase {phase['phase']}",
                verdict=None,
                **{end: float(effect["effect"][end]) for end in ("value", "low", "high")},
            )
            for phase in data["phases"]
            if (effect := phase["decay_effect"]) is not None
        )
        return dataclasses.replace(
            listed,
            episodes=int(data["episodes"]),
            success=float(data["phases"][-1]["success_rate"]["value"]),
            effects=effects,
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return dataclasses.replace(listed, problem="its evaluation summary is damaged")


def _newest_summary(run: RunDirectory) -> dict[str, Any] | None:
    """The summary over the most episodes."""
    files: dict[int, Path] = {}
    for file in run.evaluation_path.glob("summary-*.json"):
        episodes = file.stem.removeprefix("summary-")
        if episodes.isdecimal():
            files[int(episodes)] = file
    return _json(files[max(files)], COMPARISON_FORMAT) if files else None


def _study(path: Path) -> Listed:
    try:
        study = read_study(path)
        noted = [note for note in read_noted_runs(path) if note.path.parent.name != "branches"]
    except RunError as error:
        return Listed(path=path, kind="study", state="unreadable", problem=str(error))
    states = [_state_of_noted(path / note.path) for note in noted]
    ended = sum(state in ("complete", "diverged") for state in states)
    if ended < len(states):
        state = "running" if _is_trained_now(study, path) else "interrupted"
    else:
        state = "diverged" if "diverged" in states else "complete"
    configs = [arm.config for arm in study.arms()]
    lost = states.count("diverged")
    listed = Listed(
        path=path,
        kind="study",
        state=state,
        env=", ".join(dict.fromkeys(config.env for config in configs)),
        algo=", ".join(dict.fromkeys(config.algo for config in configs)),
        done=ended,
        planned=len(states),
        problem=f"{lost} of its runs diverged" if lost else None,
    )
    return _evaluated_study(listed)


def _state_of_noted(path: Path) -> str:
    try:
        return _state(RunDirectory.open(path))[0]
    except RunError:
        return "interrupted"


def _is_trained_now(study: Study, folder: Path) -> bool:
    """Whether a segment of a study is in training, which lies beside all studies."""
    arms = study.arms()
    for file in segments_folder(folder.parent.parent).glob("*/run.json"):
        try:
            run = RunDirectory.open(file.parent)
        except RunError:
            continue
        if not is_locked(run) or run.config.seed not in study.seeds:
            continue
        for arm in arms:
            config = dataclasses.replace(
                arm.config,
                seed=run.config.seed,
                schedule=run.config.schedule,
                total_timesteps=run.config.total_timesteps,
            )
            if config == run.config:
                return True
    return False


def _evaluated_study(listed: Listed) -> Listed:
    file = listed.path / "evaluation" / "summary.json"
    data = _json(file, STUDY_COMPARISON_FORMAT) if file.exists() else None
    if data is None:
        return listed
    try:
        ends = {phase["arm"]: float(phase["success_rate"]["value"]) for phase in data["phases"]}
        effects = tuple(
            _study_effect(decay)
            for judged in data["effects"]
            if judged["quantity"] == "success"
            for decay in judged["decays"]
        )
        return dataclasses.replace(
            listed,
            episodes=int(data["episodes"]),
            success=sum(ends.values()) / len(ends),
            effects=effects,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return dataclasses.replace(listed, problem="its evaluation summary is damaged")


def _study_effect(decay: Mapping[str, Any]) -> ListedEffect:
    verdict = decay["verdict"]
    low, high = verdict["effect"]["low"], verdict["effect"]["high"]
    return ListedEffect(
        of=str(decay["label"]),
        value=float(verdict["effect"]["value"]),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        verdict=str(verdict["word"]),
    )


def _json(file: Path, kind: str) -> dict[str, Any] | None:
    """A summary; `None` if it is of another format, and an empty one if it cannot be read."""
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return data if data.get("format") == kind else None
