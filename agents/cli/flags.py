"""The flags of `train.py`, and how they become a config."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import envs
from agents.algorithms import ALGORITHMS
from agents.config import ConfigError, RunConfig, read_schedule
from agents.parsing import parse_json, parse_yaml
from agents.presets import load_preset
from agents.runs.directory import BRANCH_LENGTHS, RunDirectory
from agents.training.branch_schedules import decayed_schedule, held_schedule
from envs.choices import unknown_choice
from schedules import Schedule, StaircaseSchedule

SCHEDULE_FLAGS = tuple(field.name for field in dataclasses.fields(StaircaseSchedule))
CONFIG_FLAGS = (
    "env",
    "algo",
    "seed",
    "total_timesteps",
    "n_envs",
    "vec_env",
    "reward",
    "robot",
    "control",
    "observation",
    "env_kwargs",
    "device",
    "snapshot_every",
)
MAXIMUM_EPISODES = 10_000

_preset = tyro.conf.arg(help_behavior_hint="(default: from the preset)")
_optional = tyro.conf.arg(help_behavior_hint="(optional)")
_off_policy = ", ".join(name for name, algorithm in ALGORITHMS.items() if algorithm.off_policy)
_on_policy = ", ".join(name for name, algorithm in ALGORITHMS.items() if not algorithm.off_policy)


def _choices(meaning: str, names: Iterable[str], default: str) -> Any:  # noqa: ANN401 (tyro's own)
    """Help of a flag that takes one of the names, whatever is registered."""
    return tyro.conf.arg(help=f"{meaning}: {', '.join(names)}.", help_behavior_hint=default)


@dataclass(frozen=True)
class TrainArguments:
    """Train an SB3 agent on a PyBullet manipulation task under a staircase learning rate.

    The rate is constant until the first decay and is then multiplied by --decay-rate every
    --decay-steps. Afterwards the agent of each phase plays the same evaluation episodes, and a
    table, a plot and a video show what happened in the constant-rate phase and after each decay.

    Runs are bit-exact: the same flags give the same weights, --resume continues after any kill as
    if nothing had happened, and --branch forks a run at a boundary.
    """

    env: Annotated[
        str | None, _choices("Task to learn", envs.TASKS, "(required for a new run)")
    ] = None
    algo: Annotated[
        str | None,
        tyro.conf.arg(
            help=f"Algorithm: {_off_policy} (these with HER), {_on_policy}.",
            help_behavior_hint="(default: sac)",
        ),
    ] = None
    seed: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: 0)")] = None
    """Seed of weights, exploration and training environments."""
    total_timesteps: Annotated[int | None, _preset] = None
    """Environment timesteps to train for, summed over parallel environments."""
    initial_learning_rate: Annotated[float | None, _preset] = None
    """Learning rate of the constant-rate phase."""
    decay_rate: Annotated[float | None, _preset] = None
    """Factor applied at each decay, above 0 and at most 1; 1 keeps the rate constant."""
    decay_steps: Annotated[int | None, _preset] = None
    """Steps from one decay to the next."""
    constant_steps: Annotated[
        int | None, tyro.conf.arg(help_behavior_hint="(default: --decay-steps)")
    ] = None
    """Steps of the constant-rate phase, where it is longer or shorter than the others."""
    minimum_learning_rate: Annotated[float | None, _preset] = None
    """Floor below which the rate does not decay."""
    n_envs: Annotated[int | None, _preset] = None
    """Parallel training environments."""
    vec_env: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: dummy)")] = None
    """How they are stepped: dummy (in turn) or subproc (a process each)."""
    reward: Annotated[str | None, _preset] = None
    """Reward: sparse (0 at success, else -1) or dense (negative distance to the goal)."""
    robot: Annotated[str | None, _choices("Robot", envs.ROBOTS, "(default: panda)")] = None
    control: Annotated[str | None, _preset] = None
    """What actions move: ee (end effector) or joints."""
    observation: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: state)")] = None
    """What the agent observes: state (numbers), pixels (a picture and the robot's own numbers) or
    both."""
    env_kwargs: Annotated[tuple[str, ...] | None, _preset] = None
    """What the task sets, or with a comma draws from in every episode, such as
    object_mass=0.5,2 action_noise=0.1; docs/environments.md lists the names."""
    device: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: cpu)")] = None
    """Torch device, cpu or cuda; bit-exactness is promised on cpu."""
    snapshot_every: Annotated[int | None, _preset] = None
    """Steps between periodic snapshots; each boundary and the end have one anyway."""
    output: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/ENV/ALGO-seedSEED-TIME)")
    ] = None
    """Run directory to create; one that holds anything is refused."""
    config: Annotated[Path | None, _optional] = None
    """YAML or JSON file with a config, or a run's run.json, to repeat it; flags go before it."""
    resume: Annotated[str | None, _optional] = None
    """Run to continue to its end: a path, or latest."""
    branch: Annotated[str | None, _optional] = None
    """Run to fork: a path, or latest. Give --at-phase, and --held or new staircase values; with
    neither, the branch follows the run's own schedule."""
    at_phase: Annotated[int | None, _optional] = None
    """Phase (1, 2, ...) at whose beginning --branch forks."""
    held: bool = False
    """With --branch: keep the rate of the phase before."""
    held_branches: bool = False
    """Train beside the run, at each boundary, a branch that keeps the rate, and report what each
    decay did."""
    branch_length: Annotated[
        str | None,
        tyro.conf.arg(help_behavior_hint="(default: phase if the rate is held, else end)"),
    ] = None
    """How far a branch goes: phase (to the next boundary) or end."""
    episodes: int = 100
    """Evaluation episodes that the agent of each phase plays."""
    no_video: bool = False
    """Make no video."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


def check_modes(arguments: TrainArguments) -> None:
    """Refuses flags that do not go together.

    Args:
        arguments: The flags.

    Raises:
        ConfigError: If two flags contradict each other, or one lacks the other that it needs.
    """
    modes = [
        name for name in ("resume", "branch", "config") if getattr(arguments, name) is not None
    ]
    if len(modes) > 1:
        raise ConfigError(f"{flag(modes[0])} and {flag(modes[1])} do not go together")
    forbidden: dict[str, tuple[str, ...]] = {
        "resume": ("output", "held_branches", "branch_length"),
        "branch": ("held_branches",),
    }
    for mode in modes:
        for name in forbidden.get(mode, ()):
            if getattr(arguments, name):
                raise ConfigError(f"{flag(name)} and {flag(mode)} do not go together")
    if arguments.branch is None:
        for name in ("at_phase", "held"):
            if getattr(arguments, name) not in (None, False):
                raise ConfigError(f"{flag(name)} needs --branch RUN")
        if arguments.branch_length is not None and not arguments.held_branches:
            raise ConfigError("--branch-length needs --branch RUN or --held-branches")
    elif arguments.at_phase is None:
        raise ConfigError("--branch needs --at-phase K, the phase at whose beginning it forks")
    if not 2 <= arguments.episodes <= MAXIMUM_EPISODES:
        raise ConfigError(
            f"--episodes must be from 2 to {MAXIMUM_EPISODES}, got {arguments.episodes}"
        )
    if arguments.branch_length not in (None, *BRANCH_LENGTHS):
        raise ConfigError(
            unknown_choice("--branch-length", arguments.branch_length, BRANCH_LENGTHS)
        )


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
            # A flag goes over what a preset or a file says for training alone.
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


def describe_branch(arguments: TrainArguments, run: RunDirectory) -> tuple[int, str, Schedule, str]:
    """Reads from the flags how a run shall be forked.

    Args:
        arguments: The flags, after `check_modes`.
        run: The run to be forked.

    Returns:
        The phase at whose beginning it forks, a name that tells the branch from others, its
        schedule, and its length, `"phase"` or `"end"`.

    Raises:
        ConfigError: If the run has no such phase or a flag is invalid or contradicts the run.
    """
    changes = given_flags(arguments, SCHEDULE_FLAGS)
    if arguments.held and changes:
        raise ConfigError(f"--held and {flag(next(iter(changes)))} do not go together")
    without_changes: dict[str, Any] = dict.fromkeys(SCHEDULE_FLAGS)
    resolve_config(dataclasses.replace(arguments, **without_changes), run)
    phase = arguments.at_phase
    if phase is None or phase not in run.fork_steps:
        raise ConfigError(f"--at-phase {phase}: {run.why_no_fork(phase)}")
    try:
        if arguments.held:
            name, schedule = f"held-{phase}", held_schedule(run, phase)
        elif changes:
            values = "-".join(
                f"{key.replace('_', '-')}-{value:g}" for key, value in changes.items()
            )
            name, schedule = f"{values}-{phase}", decayed_schedule(run, phase, changes)
        else:
            name, schedule = f"control-{phase}", run.config.schedule
    except ConfigError as error:
        raise ConfigError(_name_flags(str(error), changes)) from error
    return phase, name, schedule, arguments.branch_length or ("phase" if arguments.held else "end")


def given_flags(arguments: TrainArguments, names: tuple[str, ...]) -> dict[str, Any]:
    """The flags that were given, by field name.

    Args:
        arguments: The flags.
        names: Fields to look at.
    """
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def read_ranges(words: Sequence[str]) -> dict[str, float | list[float]]:
    """Reads the values of `--env-kwargs`.

    Args:
        words: Each a name, an equals sign and a number, or two with a comma between.

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
    """Puts the staircase flags into a schedule.

    Args:
        schedule: A schedule or its dictionary.
        arguments: The flags.

    Returns:
        The schedule, the same where no staircase flag was given.

    Raises:
        ConfigError: If a value is invalid or the schedule is no staircase.
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
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from error
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise ConfigError(f"--config {path} is not {kind}: {error}") from error
    if isinstance(data, Mapping) and "format_version" in data:
        data = data.get("config")
    if not isinstance(data, Mapping):
        raise ConfigError(f"--config {path} must hold keys and values, such as `env: reach`")
    return dict(data)


def flag(name: str) -> str:
    """The flag of a field.

    Args:
        name: Field of `TrainArguments`.
    """
    return "--" + name.replace("_", "-")


def _name_flags(message: str, given: Mapping[str, Any]) -> str:
    """Calls what is wrong by the flag that was given."""
    # The whole name, and where it is what the message is about.
    for name in given:
        message = re.sub(rf"(?<![\w-]){name}(?= |: |\.)", flag(name), message)
    return message
