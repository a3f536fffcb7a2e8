"""The flags of `train.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import envs
from agents.algorithms import ALGORITHMS
from agents.config import DEVICES, VEC_ENVS, ConfigError, RunConfig
from agents.runs.directory import BRANCH_LENGTHS
from envs.choices import unknown_choice
from envs.manipulation import OBSERVATIONS, REWARDS
from envs.robots.robot import CONTROLS
from schedules import StaircaseSchedule

SCHEDULE_FLAGS = tuple(field.name for field in dataclasses.fields(StaircaseSchedule))
MAXIMUM_EPISODES = 10_000

_preset = tyro.conf.arg(help_behavior_hint="(default: from the preset)")
_optional = tyro.conf.arg(help_behavior_hint="(optional)")
_defaults = {field.name: field.default for field in dataclasses.fields(RunConfig)}
_off_policy = ", ".join(name for name, algorithm in ALGORITHMS.items() if algorithm.off_policy)
_on_policy = ", ".join(name for name, algorithm in ALGORITHMS.items() if not algorithm.off_policy)


def _choices(meaning: str, names: Iterable[str], default: str) -> Any:  # noqa: ANN401 (tyro's own)
    """Builds the help of a flag that takes one of the registered names."""
    return tyro.conf.arg(help=f"{meaning}: {', '.join(names)}.", help_behavior_hint=default)


def _default(field: str) -> str:
    return f"(default: {_defaults[field]})"


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
    seed: Annotated[int | None, tyro.conf.arg(help_behavior_hint=_default("seed"))] = None
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
    vec_env: Annotated[
        str | None,
        _choices(
            "How they are stepped, in turn or in a process each", VEC_ENVS, _default("vec_env")
        ),
    ] = None
    reward: Annotated[
        str | None,
        _choices(
            "Reward, 0 at success and else -1, or minus the distance to the goal",
            REWARDS,
            "(default: from the preset)",
        ),
    ] = None
    robot: Annotated[str | None, _choices("Robot", envs.ROBOTS, _default("robot"))] = None
    control: Annotated[
        str | None,
        _choices(
            "What actions move, the end effector or the joints",
            CONTROLS,
            "(default: from the preset)",
        ),
    ] = None
    observation: Annotated[
        str | None,
        _choices(
            "What the agent observes, numbers, a picture with the robot's own numbers, or all",
            OBSERVATIONS,
            _default("observation"),
        ),
    ] = None
    env_kwargs: Annotated[tuple[str, ...] | None, _preset] = None
    """What the task sets, or with a comma draws from in every episode, such as
    object_mass=0.5,2 action_noise=0.1; docs/environments.md lists the names."""
    device: Annotated[
        str | None,
        _choices("Torch device; exactness is promised on cpu alone", DEVICES, _default("device")),
    ] = None
    snapshot_every: Annotated[int | None, _preset] = None
    """Steps between periodic snapshots; each boundary and the end have one anyway."""
    keep_snapshots_every: Annotated[int | None, _optional] = None
    """Steps between snapshots that are kept, to fork from with --at-step."""
    observers: Annotated[tuple[str, ...] | None, _optional] = None
    """What watches the training: wandb, mlflow, or your own as module:Class; TensorBoard's files
    are written anyway."""
    output: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/ENV/ALGO-seedSEED-TIME)")
    ] = None
    """Run directory to create; one that holds anything is refused."""
    config: Annotated[Path | None, _optional] = None
    """YAML or JSON file with a config, or a run's run.json, to repeat it; flags go before it."""
    resume: Annotated[str | None, _optional] = None
    """Run to continue to its end: a path, or latest."""
    branch: Annotated[str | None, _optional] = None
    """Run to fork: a path, or latest. Give --at-phase or --at-step, and what changes: --held, new
    staircase values or --set; with none of these, the branch repeats the run."""
    at_phase: Annotated[int | None, _optional] = None
    """Phase (1, 2, ...) at whose beginning --branch forks."""
    at_step: Annotated[int | None, _optional] = None
    """Step of a snapshot at which --branch forks, instead of --at-phase."""
    set: Annotated[tuple[str, ...] | None, _optional] = None
    """With --branch: what else changes at the fork, such as batch_size=512 gamma=0.9; seed=7 gives
    all generators a new seed there."""
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
    seeds: Annotated[
        str | None, tyro.conf.arg(help_behavior_hint="(default: the one of --seed)")
    ] = None
    """Seeds of a study, such as 0-5 or 0,3,7-9: each is trained, and what they share once."""
    study: Annotated[Path | None, _optional] = None
    """YAML or JSON file with a study (a base config, seeds and axes: docs/studies.md), or a study's
    folder, to go on with it."""
    dry_run: bool = False
    """Of a study, print the plan and what it costs, and train nothing."""
    processes: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: one a core)")] = (
        None
    )
    """How many runs of a study are trained at once."""
    part: Annotated[int | None, _optional] = None
    """Train only this part (0, 1, ...) of a study: all that comes from one beginning."""
    cluster: Annotated[str | None, _optional] = None
    """Train a study on a Ray cluster: auto, or its address."""
    slurm: bool = False
    """Train nothing, but write a Slurm array script with a task for each part of the study."""
    or_resume: bool = False
    """With --output: go on with the run that is there, if there is one; a complete one is left."""
    episodes: int = 100
    """Evaluation episodes that the agent of each phase plays."""
    no_video: bool = False
    """Make no video."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


CONFIG_FLAGS = tuple(
    field.name for field in dataclasses.fields(RunConfig) if hasattr(TrainArguments, field.name)
)
"""Fields of a config that have flags."""


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
    if arguments.study is not None and (modes or arguments.seeds is not None):
        other = modes[0] if modes else "seeds"
        raise ConfigError(f"--study and {flag(other)} do not go together")
    if not is_study(arguments):
        for name in ("dry_run", "processes", "part", "cluster", "slurm"):
            if getattr(arguments, name) not in (None, False):
                raise ConfigError(f"{flag(name)} needs --seeds or --study")
    elif arguments.cluster is not None and arguments.processes is not None:
        raise ConfigError("--cluster and --processes do not go together: Ray knows its cores")
    elif arguments.processes is not None and arguments.processes < 1:
        raise ConfigError(f"--processes must be at least 1, got {arguments.processes}")
    if arguments.seeds is not None:
        for name in ("seed", "resume", "branch", "output", "or_resume"):
            if getattr(arguments, name) not in (None, False):
                raise ConfigError(f"--seeds and {flag(name)} do not go together")
    if arguments.study is not None:
        for name in ("output", "held_branches", "branch_length", "or_resume", *CONFIG_FLAGS):
            if getattr(arguments, name) not in (None, False):
                raise ConfigError(f"--study and {flag(name)} do not go together")
    if arguments.or_resume and (arguments.output is None or {"resume", "branch"} & set(modes)):
        raise ConfigError("--or-resume needs --output, and neither --resume nor --branch")
    forbidden: dict[str, tuple[str, ...]] = {
        "resume": ("output", "held_branches", "branch_length"),
        "branch": ("held_branches",),
    }
    for mode in modes:
        for name in forbidden.get(mode, ()):
            if getattr(arguments, name):
                raise ConfigError(f"{flag(name)} and {flag(mode)} do not go together")
    if arguments.branch is None:
        for name in ("at_phase", "at_step", "set", "held"):
            if getattr(arguments, name) not in (None, False):
                raise ConfigError(f"{flag(name)} needs --branch RUN")
        if arguments.branch_length is not None and not arguments.held_branches:
            raise ConfigError("--branch-length needs --branch RUN or --held-branches")
    elif (arguments.at_phase is None) == (arguments.at_step is None):
        raise ConfigError(
            "--branch needs either --at-phase K, the phase at whose beginning it forks, or "
            "--at-step N, the step of a snapshot"
        )
    if not 2 <= arguments.episodes <= MAXIMUM_EPISODES:
        raise ConfigError(
            f"--episodes must be from 2 to {MAXIMUM_EPISODES}, got {arguments.episodes}"
        )
    if arguments.branch_length not in (None, *BRANCH_LENGTHS):
        raise ConfigError(
            unknown_choice("--branch-length", arguments.branch_length, BRANCH_LENGTHS)
        )


def is_study(arguments: TrainArguments) -> bool:
    """Tells whether the flags ask for a study rather than for a run.

    Args:
        arguments: The flags.
    """
    return arguments.study is not None or arguments.seeds is not None


def given_flags(arguments: TrainArguments, names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the flags that were given, by field name.

    Args:
        arguments: The flags.
        names: Fields to look at.
    """
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def flag(name: str) -> str:
    """Returns the flag of a field.

    Args:
        name: Field of `TrainArguments`.
    """
    return "--" + name.replace("_", "-")
