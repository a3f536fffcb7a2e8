"""From the flags of `train.py` to a config, or to a fork of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import envs
from agents.cli.flags import CONFIG_FLAGS, SCHEDULE_FLAGS, TrainArguments, flag, given_flags
from agents.config import ConfigError, RunConfig, read_schedule
from agents.parsing import parse_json, parse_yaml
from agents.presets import load_preset
from agents.runs.directory import RunDirectory
from agents.runs.manifest import canonical_json
from agents.studies.study import Study, read_seeds
from agents.training.branch_schedules import (
    branch_total,
    decayed_schedule,
    held_schedule,
    held_schedule_at,
)
from schedules import Schedule, StaircaseSchedule


def resolve_config(arguments: TrainArguments, run: RunDirectory | None = None) -> RunConfig:
    """Builds the config of a run: flags, over the config file, over the preset.

    Args:
        arguments: The flags.
        run: The run to resume or fork: its config is the base, and no flag may contradict it.

    Returns:
        The checked config.

    Raises:
        ConfigError: If a flag, the file or their combination is invalid.
    """
    given = given_flags(arguments, CONFIG_FLAGS)
    if arguments.env_kwargs is not None:
        given["env_kwargs"] = read_ranges(arguments.env_kwargs)
    if run is None and arguments.config is None and arguments.env is None:
        raise ConfigError(f"--env is missing; valid: {', '.join(sorted(envs.TASKS))}")
    try:
        if run is not None:
            values = run.config.to_dict()
        elif arguments.config is not None:
            values = read_config_file(arguments.config)
        else:
            values = load_preset(
                arguments.algo or "sac", str(arguments.env), arguments.observation or "state"
            )
        values.update(given)
        if run is None and isinstance(values.get("training_env_kwargs"), Mapping):
            # A flag overrides what a preset or a file sets for training only.
            values["training_env_kwargs"] = {
                name: value
                for name, value in values["training_env_kwargs"].items()
                if name not in given.get("env_kwargs", ())
            }
        if "schedule" in values:
            values["schedule"] = changed_schedule(values["schedule"], arguments)
        config = RunConfig.from_dict(values)
    except ConfigError as error:
        raise ConfigError(_name_flags(str(error), given)) from error
    if run is not None and config != run.config:
        old, new = ({**c.to_dict(), **c.schedule.to_dict()} for c in (run.config, config))
        name = next(n for n in (*CONFIG_FLAGS, *SCHEDULE_FLAGS) if old.get(n) != new.get(n))
        raise ConfigError(
            f"{flag(name)} {new[name]} contradicts {run.path}, which has {old.get(name)}"
        )
    return config


def check_same_config(run: RunDirectory, config: RunConfig) -> None:
    """Refuses to resume a run whose config differs from the flags.

    Args:
        run: The run.
        config: The config that the flags give.

    Raises:
        ConfigError: If the two differ.
    """
    old, new = run.config.to_dict(), config.to_dict()
    for name in new:
        if old[name] != new[name]:
            raise ConfigError(
                f"{run.path} is there already, with {name} {old[name]!r} instead of {new[name]!r}"
            )


@dataclass(frozen=True)
class Fork:
    """How to fork a run.

    Attributes:
        step: Step of the snapshot at the fork.
        changes: The changes for `agents.training.forks.fork_at`.
        name: Name of the fork, unique among the forks of the run.
    """

    step: int
    changes: Mapping[str, Any]
    name: str


def describe_fork(arguments: TrainArguments, run: RunDirectory) -> Fork:
    """Reads from the flags how to fork a run.

    Args:
        arguments: The flags, after `check_modes`.
        run: The run to be forked.

    Returns:
        Where it parts from the run, and what changes there.

    Raises:
        ConfigError: If the run has no such phase or a flag is invalid or contradicts the run.
        RunError: If the run has not come that far.
    """
    staircase = given_flags(arguments, SCHEDULE_FLAGS)
    if arguments.held and staircase:
        raise ConfigError(f"--held and {flag(next(iter(staircase)))} do not go together")
    without_changes: dict[str, Any] = dict.fromkeys(SCHEDULE_FLAGS)
    resolve_config(dataclasses.replace(arguments, **without_changes), run)
    settings = read_settings(arguments.set or ())
    schedule = run.config.schedule
    try:
        if arguments.at_step is not None:
            step, where = arguments.at_step, f"at-{arguments.at_step}"
            boundary = step + run.steps_per_update
            phase = run.phase_at(boundary).index
            if arguments.held:
                schedule = held_schedule_at(run, step)
        else:
            asked = arguments.at_phase
            if asked is None or asked not in run.fork_steps:
                raise ConfigError(f"--at-phase {asked}: {run.why_no_fork(asked)}")
            phase, where = asked, str(asked)
            step, boundary = run.fork_steps[phase], run.phases[phase].start
            if arguments.held:
                schedule = held_schedule(run, phase)
        if staircase:
            schedule = decayed_schedule(run, boundary, staircase)
    except ConfigError as error:
        raise ConfigError(_name_flags(str(error), staircase)) from error
    length = arguments.branch_length or ("phase" if arguments.held else "end")
    changes = {
        "schedule": schedule,
        "total_timesteps": branch_total(run, phase, schedule, length),
        **settings,
    }
    words = ["held"] if arguments.held else []
    words += [f"{key}-{value:g}" for key, value in staircase.items()]
    words += [f"{key}-{value}" for key, value in settings.items()]
    name = re.sub(r"[^\w.+-]+|_", "-", "-".join(words or ["control"]))
    return Fork(step, changes, f"{name}-{where}")


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Reads the values of `--set`.

    Args:
        words: Each a name, an equals sign and a value as in YAML.

    Returns:
        The values by name.

    Raises:
        ConfigError: If a word is of another form.
    """
    settings: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals or name in settings:
            raise ConfigError(f"--set takes each name once, as name=value, got {word!r}")
        try:
            settings[name] = parse_yaml(value)
        except ValueError as error:
            raise ConfigError(f"--set {word}: {error}") from error
    return settings


def read_ranges(words: Sequence[str]) -> dict[str, float | list[float]]:
    """Reads the values of `--env-kwargs`.

    Args:
        words: Each a name, an equals sign and a number, or two numbers separated by a comma.

    Returns:
        Numbers and pairs by name.

    Raises:
        ConfigError: If a word is of another form.
    """
    ranges: dict[str, float | list[float]] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            numbers = [_read_number(number) for number in value.split(",")]
        except ValueError:
            numbers = []
        if name in ranges or not numbers:
            raise ConfigError(
                f"--env-kwargs takes each name once, as name=number or name=low,high, got {word!r}"
            )
        ranges[name] = numbers[0] if len(numbers) == 1 else numbers
    return ranges


def _read_number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def changed_schedule(schedule: Schedule | Mapping[str, Any], arguments: TrainArguments) -> Schedule:
    """Applies the staircase flags to a schedule.

    Args:
        schedule: A schedule or its dictionary.
        arguments: The flags.

    Returns:
        The schedule, unchanged if no staircase flag was given.

    Raises:
        ConfigError: If a value is invalid or the schedule is not a staircase.
    """
    if not isinstance(schedule, Schedule):
        schedule = read_schedule(schedule)
    given = given_flags(arguments, SCHEDULE_FLAGS)
    if not given:
        return schedule
    if not isinstance(schedule, StaircaseSchedule):
        flags = ", ".join(flag(name) for name in given)
        raise ConfigError(f"{flags}: the config's schedule is no staircase but {schedule!r}")
    try:
        return dataclasses.replace(schedule, **given)
    except ValueError as error:
        raise ConfigError(_name_flags(str(error), given)) from error


def read_config_file(path: Path) -> dict[str, Any]:
    """Reads a config from YAML or JSON, by itself or inside a `run.json`.

    Args:
        path: The file; JSON if its name ends in `.json`.

    Returns:
        Fields of a `RunConfig` by name.

    Raises:
        ConfigError: If it cannot be read or is no mapping.
    """
    data: object = read_mapping(path, "--config")
    if isinstance(data, Mapping) and "format_version" in data:
        data = data.get("config")
    if not isinstance(data, Mapping):
        raise ConfigError(f"--config {path} must hold keys and values, such as `env: reach`")
    return dict(data)


def read_mapping(path: Path, flag: str) -> dict[str, Any]:
    """Reads keys and values from YAML or JSON.

    Args:
        path: The file; JSON if its name ends in `.json`.
        flag: The flag that named the file, for messages.

    Raises:
        ConfigError: If it cannot be read or is no mapping.
    """
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = parse_json(text) if kind == "JSON" else parse_yaml(text)
    except OSError as error:
        raise ConfigError(f"{flag} {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{flag} {path} is not {kind}: {error}") from error
    if not isinstance(data, Mapping):
        raise ConfigError(f"{flag} {path} must hold keys and values, such as `env: reach`")
    return dict(data)


def _name_flags(message: str, given: Mapping[str, Any]) -> str:
    """Replaces the name of a field in a message by the flag that was given."""
    # The whole name, and where it is what the message is about.
    for name in given:
        message = re.sub(rf"(?<![\w-]){name}(?= |: |\.)", flag(name), message)
    return message


def resolve_study(arguments: TrainArguments) -> Study:
    """Builds the study that the flags ask for.

    Args:
        arguments: The flags, after `check_modes`.

    Returns:
        The study of `--study`, or else the run of the other flags with each of `--seeds`. Its name
        depends only on the flags, so repeating the command finds it again.

    Raises:
        ConfigError: If a flag, the file or a value in it is invalid.
    """
    if arguments.study is not None:
        file = arguments.study
        if file.is_dir():
            file = file / "study.json"
        data = read_mapping(file, "--study")
        if "format_version" in data:
            return Study.from_dict(data.get("study"))
        return Study.from_dict({"name": file.stem, **data})
    config = resolve_config(arguments)
    base = config.to_dict()
    del base["seed"]
    held = (arguments.branch_length or "phase") if arguments.held_branches else None
    digest = hashlib.sha256(canonical_json([base, held])).hexdigest()
    return Study(
        name=f"{config.env}-{config.algo}-{digest[:8]}",
        base=base,
        seeds=read_seeds(arguments.seeds or ""),
        held_branches=held,
    )
