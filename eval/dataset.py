"""Rollouts of an agent as a Minari dataset, to learn from offline."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from agents import ConfigError, RunDirectory, RunError
from agents.extras import require_extra
from eval.phase_ends import ended_phase, phase_ends
from eval.seeds import evaluation_seeds

_NAME = re.compile(r"[-\w]+(/[-\w]+)*-v\d+")


def dataset_name(run: RunDirectory, phase: int) -> str:
    """Names the dataset of a phase's agent if the user does not.

    Args:
        run: The run.
        phase: Index of the phase.

    Returns:
        A name as Minari wants it, with task, run and phase.
    """
    folder = re.sub(r"[^-\w]+", "-", run.path.resolve().name)
    return f"{run.config.env}/{folder}-phase{phase}-v0"


def record_dataset(
    run: RunDirectory, phase: int | None = None, episodes: int = 100, name: str | None = None
) -> tuple[str, Path]:
    """Plays evaluation episodes with a phase's agent and keeps every transition.

    The dataset is where Minari looks for its datasets: below `MINARI_DATASETS_PATH`, or below
    `~/.minari/datasets`. Pictures are stored without loss.

    Args:
        run: The run, which need not be complete.
        phase: Index of the phase whose final agent plays; `None` for the last that has ended.
        episodes: How many evaluation episodes, from 2 to 10 000.
        name: Identifier of the dataset, such as `"reach/sac-expert-v0"`; `None` for
            `dataset_name`.

    Returns:
        The identifier, for `minari.load_dataset`, and the folder.

    Raises:
        ConfigError: If Minari is not installed, there is no such phase, or `episodes` or `name` is
            invalid.
        RunError: If the phase has no agent, a file of the run is damaged, or the dataset exists
            already or cannot be written.
    """
    require_extra("a dataset", "minari", "minari")
    seeds = evaluation_seeds(episodes)
    phase = ended_phase(run, phase)
    name = dataset_name(run, phase) if name is None else name
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a dataset has a name such as reach/expert-v0, got {name!r}")
    agent = phase_ends(run).snapshots[phase]
    from minari.storage import get_dataset_path

    path = Path(get_dataset_path(name))
    if path.exists():
        raise RunError(f"there is a dataset {name} already, in {path}; --name gives another name")

    from minari import DataCollector

    from eval.rollouts import Rollouts

    collectors: list[Any] = []

    def recorded(env: Any) -> Any:  # noqa: ANN401
        # Without the episode recorder of training, of which Minari could not note how it is made.
        collectors.append(DataCollector(env.env, jpeg_encoding=False))
        return collectors[0]

    try:
        with Rollouts(run, recorded) as rollouts, warnings.catch_warnings():
            # Minari asks for an author and an address, which are not the run's to tell.
            warnings.filterwarnings("ignore", message="`", category=UserWarning)
            rollouts.load(agent)
            for seed in seeds:
                rollouts.play(seed)
            collectors[0].create_dataset(
                name,
                eval_env=collectors[0].env.spec,
                algorithm_name=run.config.algo,
                code_permalink=run.git_revision or "unknown",
                description=(
                    f"{episodes} episodes of {run.config.env}, played deterministically by the "
                    f"agent at step {agent.step} (end of phase {phase}) of a {run.config.algo} run "
                    f"with seed {run.config.seed}; its state has the SHA-256 {agent.state_sha256}."
                ),
                requirements=[f"{package}=={v}" for package, v in _needed(run).items()],
            )
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return name, path


def _needed(run: RunDirectory) -> dict[str, str]:
    """The versions that decide what an episode is like, where they are known."""
    names = ("staircase-lab", "pybullet", "gymnasium", "numpy")
    versions = {name: run.versions.get(name, "unknown") for name in names}
    return {name: version for name, version in versions.items() if version[0].isdecimal()}
