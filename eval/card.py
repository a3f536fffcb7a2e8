"""An agent as a repository of the Hugging Face Hub: a model card and the files to upload."""

from __future__ import annotations

import shlex
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

import envs
from agents import RunDirectory, RunError
from agents.config import FIRST_EVALUATION_SEED
from agents.extras import require_extra
from agents.runs.directory import is_complete
from agents.runs.divergence import read_divergence
from agents.runs.manifest import Snapshot, check_files, sha256
from eval.phase_ends import ended_phase, phase_ends
from eval.statistics import bootstrap_mean, wilson_interval
from eval.stored_episodes import StoredEpisode, read_episodes

_TABLES = ("metrics.csv", "episodes.csv")
_TAGS = (
    *("reinforcement-learning", "deep-reinforcement-learning", "robotics"),
    *("stable-baselines3", "pybullet", "staircase-lab"),
)


def write_card(run: RunDirectory, phase: int | None = None, *, overwrite: bool = False) -> Path:
    """Writes the folder of a phase's agent for the Hugging Face Hub.

    The folder is a run directory with the agent's snapshot alone and no replay buffer: it can be
    loaded, evaluated and reported like the run itself. Its `README.md` is the model card. Results
    are those of the evaluation episodes that are stored; without any, the card has no number.

    Args:
        run: The run, which need not be complete.
        phase: Index of the phase whose final agent is meant; `None` for the last that has ended.
        overwrite: Whether to replace a folder that exists.

    Returns:
        The folder, `card/` in that of the run.

    Raises:
        ConfigError: If `huggingface_hub` is not installed or there is no such phase.
        RunError: If the phase has no agent, a file of the run is damaged, the folder exists already
            or cannot be written.
    """
    require_extra("a model card", "huggingface_hub", "hub")
    phase = ended_phase(run, phase)
    folder = run.path / "card"
    if folder.exists() and not overwrite:
        raise RunError(f"{folder} exists already; --overwrite replaces it")
    snapshot = phase_ends(run).snapshots[phase]
    check_files(snapshot)
    played = _played(run, snapshot)
    temporary = run.path / ".card.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        _copy_files(run, phase, snapshot, temporary)
        card = _card(run, phase, snapshot, played, temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def upload_command(run: RunDirectory, folder: Path) -> str:
    """The command that uploads a folder of `write_card`.

    Args:
        run: The run.
        folder: The folder.
    """
    return f"hf upload USER/{run.config.algo}-{run.config.env} {shlex.quote(str(folder))} ."


def _played(run: RunDirectory, snapshot: Snapshot) -> list[StoredEpisode]:
    """The agent's stored evaluation episodes, from the first on without a gap."""
    stored = read_episodes(run)
    played: list[StoredEpisode] = []
    while (
        episode := stored.get((snapshot.state_sha256, FIRST_EVALUATION_SEED + len(played)))
    ) is not None:
        played.append(episode)
    return played if len(played) > 1 else []


def _copy_files(run: RunDirectory, phase: int, snapshot: Snapshot, target: Path) -> None:
    (target / "snapshots" / str(snapshot.step)).mkdir(parents=True)
    (target / "evaluation").mkdir()
    wanted = [run.path / "run.json", *(run.path / name for name in _TABLES)]
    wanted += [snapshot.path / name for name in (*snapshot.files, "manifest.json")]
    evaluation = ("episodes.csv", "summary-*.json", "learning-curve.png")
    wanted += [path for name in evaluation for path in sorted(run.evaluation_path.glob(name))]
    for path in wanted:
        shutil.copyfile(path, target / path.relative_to(run.path))
    if (video := run.videos_path / f"phase-{phase}.mp4").exists():
        shutil.copyfile(video, target / "replay.mp4")  # the name that the Hub plays


def _card(
    run: RunDirectory,
    phase: int,
    snapshot: Snapshot,
    played: Sequence[StoredEpisode],
    folder: Path,
) -> str:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    config, task = run.config, envs.TASKS[run.config.env]
    data = ModelCardData(
        library_name="stable-baselines3",
        pipeline_tag="reinforcement-learning",
        tags=[*_TAGS, task],
        model_name=f"{config.algo} on {config.env}",
        eval_results=[
            EvalResult(
                task_type="reinforcement-learning",
                dataset_type=task,
                dataset_name=task,
                metric_type=kind,
                metric_name=name,
                metric_value=value,
            )
            for kind, name, value in _metrics(played)
        ]
        or None,
    )
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(run, phase, snapshot, played, folder)}")
    return str(card.content)


def _metrics(played: Sequence[StoredEpisode]) -> list[tuple[str, str, Any]]:
    """Kind, name and value of each result; none without evaluation episodes."""
    if not played:
        return []
    returns, count = [episode.episode_return for episode in played], len(played)
    spread = f"{statistics.fmean(returns):.2f} +/- {statistics.stdev(returns):.2f}"
    rate = sum(episode.success for episode in played) / count
    return [
        ("mean_reward", f"return of {count} episodes, mean +/- standard deviation", spread),
        ("success_rate", f"share of {count} episodes that end at the goal", rate),
    ]


def _text(
    run: RunDirectory,
    phase: int,
    snapshot: Snapshot,
    played: Sequence[StoredEpisode],
    folder: Path,
) -> str:
    from agents.learners.environments import env_arguments

    config = run.config
    rate = next(p.learning_rate for p in run.effective_phases if p.index == phase)
    arguments = env_arguments(config, training=False)
    sections = [
        f"# {config.algo} on {config.env}",
        f"An agent that `{config.algo}` of Stable-Baselines3 trained on `{envs.TASKS[config.env]}` "
        f"for {snapshot.step:,} steps with seed {config.seed}, under a staircase learning rate. It "
        f"is the agent at the end of phase {phase}, whose rate was {rate:g}; phase 0 is the one "
        f"before the first decay.{_state(run)}",
        "## Results",
        _results(played),
        "## Use",
        "With Staircase Lab, to which this repository is a run directory:",
        _code(
            "python",
            f"""
            from pathlib import Path

            import gymnasium
            from huggingface_hub import snapshot_download

            import envs  # registers the tasks
            from agents import RunDirectory, load_agent

            folder = snapshot_download("USER/NAME")
            agent = load_agent(RunDirectory.open(Path(folder)))
            env = gymnasium.make("{envs.TASKS[config.env]}", **{arguments!r})
            observation, _ = env.reset(seed={FIRST_EVALUATION_SEED})
            over = False
            while not over:
                action, _ = agent.predict(observation, deterministic=True)
                observation, reward, terminated, truncated, info = env.step(action)
                over = terminated or truncated
            """,
        ),
        f"`snapshots/{snapshot.step}/agent.zip` is the model as Stable-Baselines3 saves it.",
        "## Config",
        _code("yaml", yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)),
        "`python train.py --config run.json` trains it again, bit for bit with the versions below "
        "on the same kind of processor.",
        "## Versions",
        _table(
            ("what", "version"),
            [*run.versions.items(), *run.processor.items(), ("code", run.git_revision or "-")],
        ),
        "## Checksums",
        f"SHA-256 of the agent's state: `{snapshot.state_sha256}`",
        _table(
            ("file", "SHA-256"),
            [
                (str(path.relative_to(folder)), sha256(path.read_bytes()))
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            ],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _state(run: RunDirectory) -> str:
    if is_complete(run):
        return ""
    divergence = read_divergence(run)
    return " The run is not complete." if divergence is None else f" The run {divergence}."


def _results(played: Sequence[StoredEpisode]) -> str:
    if not played:
        return "The agent is not evaluated."
    count = len(played)
    mean = bootstrap_mean([episode.episode_return for episode in played])
    success = wilson_interval(sum(episode.success for episode in played), count)
    return (
        f"In {count} episodes with the seeds {FIRST_EVALUATION_SEED} to "
        f"{FIRST_EVALUATION_SEED + count - 1}, none of which it trained on, with deterministic "
        "actions. The intervals are for other episodes (95 %); they say nothing of other training "
        "seeds.\n\n"
        + _table(
            ("", "value", "interval"),
            [
                ("return", f"{mean.value:.2f}", f"{mean.low:.2f} to {mean.high:.2f}"),
                (
                    "success",
                    f"{success.value:.0%}",
                    f"{success.low:.0%} to {success.high:.0%}",
                ),
            ],
        )
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _code(language: str, text: str) -> str:
    return f"```{language}\n{dedent(text).strip()}\n```"
