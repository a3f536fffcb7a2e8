"""The report of a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from agents import RunDirectory, RunError
from agents.presets import is_preset
from agents.runs.directory import is_complete, snapshot_steps
from agents.runs.divergence import read_divergence
from agents.runs.manifest import read_snapshot, sha256
from eval.comparison import (
    TRAINING_COLUMNS,
    Comparison,
    PhaseResult,
    stored_phases,
    summarise_phases,
)
from eval.held_branches import holding_forks
from eval.noise_floor import noise_floor
from eval.pages.charts import ForestRow, Span, forest_chart, learning_chart
from eval.pages.diagnosis import diagnosis_section
from eval.pages.page import Chart, Fold, Page, Section, Table, films, write_page
from eval.significance import seeds_for_sign_flips
from eval.statistics import Estimate, rolling_mean
from eval.stored_episodes import read_episodes
from eval.training_tables import Columns, read_training_table
from eval.verdicts import LEVEL

WINDOW = 100
MOST_VIEWS = 12


def write_run_report(run: RunDirectory) -> Path:
    """Writes the run's `report.html` from what is stored; plays nothing and trains nothing.

    Args:
        run: The run, which need not be complete or compared.

    Returns:
        Path of the file.

    Raises:
        RunError: If the file cannot be written.
    """
    return write_page(run.path, run_page(run))


def run_page(run: RunDirectory) -> Page:
    """Puts the report of a run together.

    Whatever is missing or damaged is named in it, and all else is shown.

    Args:
        run: The run.
    """
    missing: list[str] = []
    state = _state(run, missing)
    episodes = _table(run.episodes_path, (*TRAINING_COLUMNS, "step"), missing)
    updates = _table(run.metrics_path, ("step", "learning_rate"), missing)
    comparison = _comparison(run, episodes, missing)
    floors = _floors(run, comparison, missing) if comparison else {}
    verdict, certainty, command = _verdict(run, state, comparison)
    phases = tuple(Span(f"phase {phase.index}", phase.start, phase.stop) for phase in run.timeline)
    config = run.config
    sections = [
        _learning(run, phases, episodes, updates, comparison),
        *([] if comparison is None else [_phases(comparison), _effects(comparison, floors)]),
        diagnosis_section(run.evaluation_path / "diagnosis.json", missing),
        _films(run, comparison),
    ]
    return Page(
        title=run.path.resolve().name,
        subtitle=f"{config.env}, {config.algo}, seed {config.seed}",
        state=state,
        verdict=verdict,
        certainty=certainty,
        command=command,
        missing=tuple(line[:1].upper() + line[1:] for line in missing),
        facts=_facts(run, comparison),
        sections=tuple(section for section in sections if section is not None),
        folds=_folds(run, comparison),
    )


def _state(run: RunDirectory, missing: list[str]) -> str:
    steps = snapshot_steps(run)
    if is_complete(run):
        return "complete"
    try:
        divergence = read_divergence(run)
    except RunError as error:
        missing.append(str(error))
        return "incomplete"
    reached = f"its newest snapshot is at step {steps[-1]}" if steps else "it has no snapshot"
    if divergence is not None:
        missing.append(f"The run {divergence}; {reached}.")
        return "diverged"
    missing.append(
        f"The run is not complete: {reached} of {run.config.total_timesteps}. "
        "To go on: python train.py --resume RUN"
    )
    return "incomplete"


def _table(path: Path, columns: Sequence[str], missing: list[str]) -> Columns:
    try:
        table = read_training_table(path, columns)
    except RunError as error:
        missing.append(_within(error, path.parent))
        return {name: np.zeros(0) for name in columns}
    if not table[columns[0]].size:
        missing.append(f"{path.name} has no row yet.")
    return table


def _within(error: RunError, folder: Path) -> str:
    """A message without the place of the run, which may be moved."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "RUN")


def _comparison(run: RunDirectory, training: Columns, missing: list[str]) -> Comparison | None:
    try:
        phases = stored_phases(run)
    except RunError as error:
        missing.append(_within(error, run.path))
        return None
    if phases is None:
        missing.append("The phases are not compared yet: python -m eval compare RUN")
        return None
    comparison = summarise_phases(run, phases, training)
    missing += [_within(RunError(note), run.path) for note in comparison.notes]
    if not phases.held and len(run.fork_steps):
        missing.append(
            "No held branch, so no decay effect: "
            "python train.py --branch RUN --at-phase 1 --held, then python -m eval compare RUN"
        )
    return comparison


def _floors(run: RunDirectory, comparison: Comparison, missing: list[str]) -> dict[int, float]:
    """Half the width of the placebo band at each phase whose boundary has placebo forks."""
    forks, _ = holding_forks(run)
    trunk = read_episodes(run)
    floors: dict[int, float] = {}
    for result in comparison.phases:
        if result.decay_effect is None:
            continue
        its = [fork for fork in forks if fork.phase == result.phase]
        step = result.decay_effect.step
        rows = {
            fork.run.path.name: [
                episode.episode_return
                for episode in sorted(read_episodes(fork.run).values(), key=lambda e: e.seed)
                if episode.step == step
            ][: comparison.episodes]
            for fork in its
        }
        decayed = [
            e.episode_return for e in sorted(trunk.values(), key=lambda e: e.seed) if e.step == step
        ][: comparison.episodes]
        held = rows[result.decay_effect.branch]
        placebos = [
            rows[fork.run.path.name]
            for fork in its
            if fork.is_placebo and len(rows[fork.run.path.name]) == comparison.episodes
        ]
        if placebos:
            effects = np.array([decayed]) - np.array([held])
            others = np.array([placebos]) - np.array(held)
            floors[result.phase] = noise_floor(effects, others).floor
    return floors


def _verdict(
    run: RunDirectory, state: str, comparison: Comparison | None
) -> tuple[str, tuple[str, ...], str]:
    if state == "diverged":
        return "The run diverged, so nothing after that can be judged.", (), ""
    if comparison is None:
        return "Nothing can be said about the decays yet.", ("See what is missing, below.",), ""
    effects = [
        (result.phase, result.decay_effect.effect)
        for result in comparison.phases
        if result.decay_effect is not None
    ]
    seeds = seeds_for_sign_flips(max(1, len(effects)), LEVEL)
    if not effects:
        return (*_without_effects(comparison), "")
    words = {"raised": 0, "lowered": 0, "did not change": 0}
    for _, effect in effects:
        words[_word(effect)] += 1
    if len(effects) == 1:
        ((phase, effect),) = effects
        sentence = f"The decay into phase {phase} {_did(effect)}, {_signed(effect)}."
    else:
        parts = [
            f"{count} {word} the return"
            if word != "did not change"
            else f"{count} cannot be told from no effect"
            for word, count in words.items()
            if count
        ]
        sentence = f"Of {len(effects)} decays, {_listed(parts)}."
    certainty = (
        f"How sure: each effect is the mean over the same {comparison.episodes} evaluation "
        "episodes, decayed minus held, and its 95 % interval covers other episodes. It does not "
        f"cover other seeds: this is seed {comparison.seed} alone, and another may answer "
        f"differently. One seed cannot give a verdict; that takes {seeds} or more:",
    )
    config = run.config
    if is_preset(config):
        how = f"--env {shlex.quote(config.env)} --algo {shlex.quote(config.algo)}"
    else:
        how = "--config config.yaml"
        certainty = (f"{certainty[0][:-1]} (config.yaml is the config at the end of this page):",)
    command = f"python train.py {how} --seeds 0-{seeds - 1} --held-branches"
    return sentence, certainty, command


def _without_effects(comparison: Comparison) -> tuple[str, tuple[str, ...]]:
    last = comparison.phases[-1]
    success = last.success_rate
    text = (
        f"The agent at the end of phase {last.phase} succeeds in {100 * success.value:.0f} % of "
        f"the evaluation episodes"
    )
    if last.difference is not None:
        text += f"; its return minus that of phase 0 is {_signed(last.difference)}"
    certainty = (
        f"How sure: the success rate lies between {100 * success.low:.0f} and "
        f"{100 * success.high:.0f} % at 95 %, for other episodes and this seed alone.",
        "What the decays did cannot be said: later phases have also trained longer, and only a "
        "held branch separates the two.",
    )
    return f"{text}.", certainty


def _word(effect: Estimate) -> str:
    return "raised" if effect.low > 0 else "lowered" if effect.high < 0 else "did not change"


def _did(effect: Estimate) -> str:
    if _word(effect) == "did not change":
        return "cannot be told from no effect on the return"
    return f"{_word(effect)} the return"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3g} [{estimate.low:+.3g}, {estimate.high:+.3g}]"


def _interval(estimate: Estimate, scale: float = 1.0, digits: str = ".3g") -> str:
    value, low, high = (scale * x for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:{digits}} [{low:{digits}}, {high:{digits}}]"


def _facts(run: RunDirectory, comparison: Comparison | None) -> tuple[tuple[str, str], ...]:
    config = run.config
    reached = max(snapshot_steps(run), default=0)
    rates = " → ".join(f"{phase.learning_rate:.3g}" for phase in run.timeline[:6])
    facts = [
        ("Task", config.env),
        ("Algorithm", config.algo),
        ("Seed", str(config.seed)),
        ("Steps", f"{reached:,} of {config.total_timesteps:,}"),
        ("Rates", rates + (" → …" if len(run.timeline) > 6 else "")),
        ("Trained", run.created[:10] or "unknown"),
    ]
    if comparison is not None:
        facts.append(("Evaluation", f"{comparison.episodes} episodes"))
    if run.parent is not None:
        facts.append(("Branch of", f"{Path(run.parent.run).name}, step {run.parent.step:,}"))
    return tuple(facts)


def _learning(
    run: RunDirectory,
    phases: Sequence[Span],
    episodes: Columns,
    updates: Columns,
    comparison: Comparison | None,
) -> Section | None:
    training = {
        name: (episodes["step"], rolling_mean(episodes[name], WINDOW))
        for name in ("return", "success")
        if episodes["step"].size
    }
    results = () if comparison is None else comparison.phases
    evaluated = {
        "return": {result.step: result.mean_return for result in results},
        "success": {result.step: result.success_rate for result in results},
    }
    if not training and not results:
        return None
    stop = phases[-1].stop
    views = [("Whole run", 0.0, 1.01 * stop)]
    views += [(p.name.capitalize(), float(p.start), float(p.stop)) for p in phases]
    description = (
        f"Return and success of the last {WINDOW} training episodes and of the evaluation at the "
        "phase ends, over the learning rate that the optimizer had, on a logarithmic axis. Phases "
        "are numbered on top, and every other one is shaded."
    )
    if results:
        first, last = results[0], results[-1]
        description += (
            f" The evaluated return goes from {first.mean_return.value:.3g} in phase {first.phase} "
            f"to {last.mean_return.value:.3g} in phase {last.phase}."
        )
    chart = Chart(
        name="learning",
        title="Learning curve over the staircase",
        description=description,
        figure=learning_chart(
            phases, training, evaluated, (updates["step"], updates["learning_rate"]), WINDOW
        ),
        views=tuple(views) if 1 < len(phases) <= MOST_VIEWS else (),
    )
    return Section("Learning curve", charts=(chart,))


def _phases(comparison: Comparison) -> Section:
    def row(result: PhaseResult) -> tuple[str, ...]:
        recent = result.recent_training
        return (
            str(result.phase),
            f"{result.start:,}–{result.stop:,}",
            f"{result.learning_rate:.3g}",
            _interval(result.mean_return),
            _interval(result.interquartile_mean_return),
            _interval(result.success_rate, 100, ".0f"),
            "–" if result.difference is None else _signed(result.difference),
            "–" if recent.mean is None else f"{recent.mean:.3g}",
        )

    table = Table(
        caption=f"Agents at the ends of the phases, on the same {comparison.episodes} evaluation "
        "episodes",
        head=(
            *("Phase", "Steps", "Rate", "Return", "Interquartile mean", "Success %"),
            *("Minus phase 0", "Training return"),
        ),
        rows=tuple(row(result) for result in comparison.phases),
        notes=(
            "[..] is a 95 % interval for other episodes. Minus phase 0 is paired by episode; it "
            "includes further training as well as the lower rate. Training return: the last 100 "
            "training episodes of the phase, in which the agent explored.",
        ),
    )
    return Section("Phases", tables=(table,))


def _effects(comparison: Comparison, floors: dict[int, float]) -> Section:
    found = [(r, r.decay_effect) for r in comparison.phases if r.decay_effect is not None]
    if not found:
        return Section(
            "Decay effects",
            text=(
                "A decay effect is the return of this run minus that of a branch that was held at "
                "the old rate from the same snapshot. This run has no held branch; one is trained "
                "and compared by:",
            ),
            code=(
                "python train.py --branch RUN --at-phase 1 --held\n"
                "python -m eval compare RUN\npython -m eval report RUN",
            ),
        )
    rows = [
        ForestRow(f"into phase {result.phase}", effect.effect, floors.get(result.phase))
        for result, effect in found
    ]
    table = Table(
        caption="Decay effects: return of this run minus that of the held branch",
        head=("Into phase", "Rate", "Held at", "Until step", "Held return", "Decay effect"),
        rows=tuple(
            (
                str(result.phase),
                f"{result.learning_rate:.3g}",
                f"{effect.learning_rate:.3g}",
                f"{effect.step:,}",
                f"{effect.held_mean_return:.3g}",
                _signed(effect.effect),
            )
            for result, effect in found
        ),
        notes=("Both went on from the same snapshot to the same step and play the same episodes.",),
    )
    numbers = "; ".join(f"{row.label} {_signed(row.effect)}" for row in rows)
    bands = " The band is what placebo forks show: luck alone." if floors else ""
    chart = Chart(
        name="effects",
        title="Decay effects",
        description="Points are effects with 95 % intervals for other episodes; right of the "
        f"dotted zero line the decay helped.{bands} {numbers[:1].upper()}{numbers[1:]}.",
        figure=forest_chart(rows, "return"),
    )
    return Section("Decay effects", charts=(chart,), tables=(table,))


def _films(run: RunDirectory, comparison: Comparison | None) -> Section | None:
    last = max(run.phase_end_steps, default=0)
    rates = {phase.index: phase.learning_rate for phase in run.effective_phases}
    wanted = [
        (f"Phase {index}, rate {rates[index]:.3g}", run.videos_path / f"phase-{index}.mp4")
        for index in dict.fromkeys((min(rates, default=0), last))
        if index in rates
    ]
    found = films(wanted)
    if not found:
        return None
    return Section(
        "Films",
        text=("The agents at the ends of the first and the last phase, in the same episodes.",)
        if len(found) > 1
        else (),
        films=found,
    )


def _folds(run: RunDirectory, comparison: Comparison | None) -> tuple[Fold, ...]:
    config = yaml.safe_dump(run.config.to_dict(), sort_keys=False, allow_unicode=True)
    rows = []
    for step in snapshot_steps(run):
        try:
            snapshot = read_snapshot(run, step)
            rows.append((f"{step:,}", snapshot.state_sha256))
        except RunError as error:
            rows.append((f"{step:,}", _within(error, run.path)))
    episodes = 100 if comparison is None else comparison.episodes
    held = "" if run.held_branch_length is None else " --held-branches"
    commands = (
        "# RUN is the folder of this run, config.yaml the config below\n"
        f"python train.py --config config.yaml{held} --episodes {episodes}\n"
        f"python -m eval compare RUN --episodes {episodes}\n"
        "python -m eval verify RUN        # trains again between snapshots, compares the bits\n"
        "python -m eval report RUN\n"
    )
    made = [*run.versions.items(), *(("processor: " + k, v) for k, v in run.processor.items())]
    made += [(f"learner: {key}", str(value)) for key, value in run.learner.items()]
    made.append(("code", run.git_revision or "unknown"))
    return (
        Fold("Commands that repeat it", commands),
        Fold("Config", config),
        Fold("Versions", table=Table("What trained it", ("What", "Version"), tuple(made))),
        Fold(
            "Checksums",
            table=Table(
                "SHA-256 of the state in each snapshot",
                ("Step", "SHA-256"),
                tuple(rows),
                (f"run.json: {sha256((run.path / 'run.json').read_bytes())}",),
            ),
        ),
    )
