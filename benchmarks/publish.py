"""Makes an agent come with the lab: for `load_pretrained`, with its report in docs/pretrained/.

    python -m benchmarks.publish push [RUN ...]

A task is trained with the preset of SAC at seed 0, by `benchmarks.presets`, unless it already is; a
RUN is taken as it is and must be complete. Its last agent plays the 100 evaluation episodes, is
written to agents/pretrained/TASK, and replaces an older one. The table in docs/training.md is
written again, too.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from PIL import Image

import envs
from agents import RunDirectory, RunError, find_run, pretrained_names
from agents.pretrained.acting import publish
from agents.pretrained.catalogue import FOLDER, Pretrained, find_pretrained
from agents.runs.directory import is_complete
from benchmarks.presets import ROOT, trained
from eval import Comparison, DecayEffect, compare_phases, plot_run

DOCS = Path("docs")
ROW = "| [`"
"""The rows of the table begin so, and no others of the page."""


def ship(
    run: RunDirectory, folder: Path = FOLDER, docs: Path = DOCS, episodes: int = 100
) -> Pretrained:
    """Publishes the last agent of a run with its report."""
    if not is_complete(run):
        raise RunError(f"{run.path} is not complete: python train.py --resume {run.path}")
    comparison = compare_phases(run, episodes)
    last = asdict(comparison.phases[-1])
    kept = ("mean_return", "interquartile_mean_return", "success_rate")
    evaluation = {"episodes": episodes, **{name: last[name] for name in kept}}
    agent = publish(run, evaluation, folder)
    pages = docs / "pretrained"
    pages.mkdir(exist_ok=True)
    name = run.config.env
    (pages / f"{name}.md").write_text(report(agent, comparison), encoding="utf-8")
    png, _ = plot_run(run)
    (pages / f"{name}.png").write_bytes(small(png))
    page = docs / "training.md"
    page.write_text(with_table(page.read_text(encoding="utf-8"), folder), encoding="utf-8")
    return agent


def small(png: Path) -> bytes:
    """The picture in few colours, at a third of its size."""
    file = io.BytesIO()
    Image.open(png).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


def report(agent: Pretrained, comparison: Comparison) -> str:
    """The page about an agent."""
    config, versions = agent.config, agent.versions
    policy = sum((agent.folder / name).stat().st_size for name in agent.files)
    lines = [
        f"# The agent `{config.env}`",
        "",
        f"{config.algo.upper()} after {agent.step:,} steps on {config.env}, seed {config.seed}: "
        f"{results(agent)}.",
        "",
        f"![Learning curve]({config.env}.png)",
        "",
        "| phase | steps | rate | return | success | decayed − held |",
        "|---|---|---|---|---|---|",
        *(
            f"| {phase.phase} | {phase.start:,}–{phase.stop:,} | {phase.learning_rate:.3g} "
            f"| {phase.mean_return.value:.2f} "
            f"[{phase.mean_return.low:.2f}, {phase.mean_return.high:.2f}] "
            f"| {100 * phase.success_rate.value:.0f} % "
            f"| {effect(phase.decay_effect)} |"
            for phase in comparison.phases
        ),
        "",
        f"On the same {comparison.episodes} evaluation episodes, with 95 % intervals for other "
        "episodes.",
        "",
        f"Trained by `{agent.command}`, with",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        f"The files have {policy / 1000:,.0f} kB. State `{agent.state_sha256[:16]}`, code "
        f"`{(agent.git_revision or 'unknown')[:12]}`.",
        "",
    ]
    return "\n".join(lines)


def effect(decay: DecayEffect | None) -> str:
    """A decay effect, if there is one."""
    if decay is None:
        return "–"
    value = decay.effect
    return f"{value.value:+.2f} [{value.low:+.2f}, {value.high:+.2f}]"


def results(agent: Pretrained) -> str:
    """Success rate and return in words."""
    success, returned = agent.evaluation["success_rate"], agent.evaluation["mean_return"]
    return f"success {percent(success)}, return {returned['value']:.2f}"


def percent(rate: Mapping[str, float]) -> str:
    """A success rate with its interval."""
    return f"{100 * rate['value']:.0f} % [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"


def row(name: str, folder: Path = FOLDER) -> str:
    """A row of the table in docs/training.md."""
    agent = find_pretrained(name, folder)
    success, returned = agent.evaluation["success_rate"], agent.evaluation["mean_return"]
    size = sum(path.stat().st_size for path in agent.folder.iterdir())
    return (
        f"{ROW}{name}`](pretrained/{name}.md) | `{agent.config.algo}` | {agent.step:,} "
        f"| {percent(success)} "
        f"| {returned['value']:.2f} | {size / 1000:.0f} kB |"
    )


def with_table(page: str, folder: Path = FOLDER) -> str:
    """The page with the rows of all agents that there are."""
    lines = page.split("\n")
    places = [place for place, line in enumerate(lines) if line.startswith(ROW)]
    if not places:
        raise RunError("docs/training.md has lost its table of pretrained agents")
    rows = [row(name, folder) for name in pretrained_names(folder)]
    return "\n".join([*lines[: places[0]], *rows, *lines[places[-1] + 1 :]])


def main() -> None:
    """Publish and say what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("of", nargs="+", metavar="TASK|RUN")
    for name in parser.parse_args().of:
        try:
            agent = ship(trained(name, "sac", 0, ROOT) if name in envs.TASKS else find_run(name))
        except RunError as error:
            raise SystemExit(str(error)) from None
        print(f"{agent.folder}: {results(agent)}")


if __name__ == "__main__":
    main()
