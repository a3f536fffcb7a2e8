"""The report of a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import yaml

from agents import RunError
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.studies.manifest import run_path
from eval.comparison import evenly
from eval.crossed import unseen_share
from eval.pages.charts import ForestRow, Line, forest_chart, lines_chart, rates_chart
from eval.pages.page import Chart, Fold, Page, Section, Table, write_page
from eval.profiles import performance_profile
from eval.significance import seeds_for_sign_flips
from eval.statistics import Estimate
from eval.study import StudyRuns
from eval.study_comparison import (
    InitialRates,
    JudgedDecays,
    StudyComparison,
    run_scores,
    summarise_study,
)
from eval.study_curves import LABELS, MAXIMUM_CURVES, WINDOW, Array, training_curves
from eval.study_effects import SUCCESS, DecayOverSeeds
from eval.study_outcomes import StudyOutcomes, stored_study
from eval.verdicts import LEVEL

MOST_ROWS = 30
MOST_SENTENCES = 4
WORDS = ("better", "worse", "equivalent", "undetermined")


def write_study_report(runs: StudyRuns) -> Path:
    """Writes the study's `report.html` from what is stored; plays nothing and trains nothing.

    Args:
        runs: The study, which need not be complete or compared.

    Returns:
        Path of the file.

    Raises:
        RunError: If the file cannot be written.
    """
    return write_page(runs.folder, study_page(runs))


def study_page(runs: StudyRuns) -> Page:
    """Puts the report of a study together.

    Whatever is missing or damaged is named in it, and all else is shown.

    Args:
        runs: The study.
    """
    missing: list[str] = []
    outcomes = _outcomes(runs, missing)
    comparison = None if outcomes is None else summarise_study(outcomes, _margins(runs.folder))
    missing += comparison.notes if comparison else runs.notes
    verdict, certainty = _verdict(runs, comparison)
    study = runs.study
    configs = [arm.config for arm in runs.arms]
    sections = [_curves(runs, missing)]
    if outcomes is not None and comparison is not None:
        sections += [
            *(_effects(judged, place) for place, judged in enumerate(comparison.effects)),
            _phases(comparison),
            _whole_runs(comparison, outcomes, missing),
            _rates(comparison),
        ]
    return Page(
        title=study.name,
        subtitle=f"study of {_words(c.env for c in configs)}, {_words(c.algo for c in configs)}",
        state="complete" if runs.is_complete else "incomplete",
        verdict=verdict,
        certainty=certainty,
        command="",
        missing=tuple(line[:1].upper() + line[1:] for line in dict.fromkeys(missing)),
        facts=(
            ("Arms", f"{len(runs.arms)} of {len(study.arms())}"),
            ("Seeds", f"{len(runs.seeds)} of {len(study.seeds)}"),
            ("Axes", ", ".join(study.axes) or "none"),
            ("Held branches", study.held_branches or "none"),
            ("Placebo forks", str(study.placebos)),
            ("Evaluation", f"{comparison.episodes} episodes" if comparison else "none yet"),
        ),
        sections=tuple(section for section in sections if section is not None),
        folds=_folds(runs, comparison),
    )


def _outcomes(runs: StudyRuns, missing: list[str]) -> StudyOutcomes | None:
    try:
        outcomes = stored_study(runs)
    except RunError as error:
        missing.append(str(error).replace(f"{runs.folder}/", ""))
        return None
    if outcomes is None:
        missing.append("The study is not compared yet: python -m eval compare STUDY")
    return outcomes


def _margins(folder: Path) -> dict[str, float]:
    """The margins with which the study was compared, where one holds for all its effects."""
    try:
        summary = json.loads((folder / "evaluation" / "summary.json").read_bytes())
        margins = {
            (judged["quantity"], decay["verdict"]["margin"])
            for judged in summary["effects"]
            for decay in judged["decays"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    several = Counter(quantity for quantity, _ in margins)
    return {
        quantity: float(margin)
        for quantity, margin in margins
        if several[quantity] == 1 and isinstance(margin, float) and margin > 0
    }


def _verdict(runs: StudyRuns, comparison: StudyComparison | None) -> tuple[str, tuple[str, ...]]:
    if comparison is None:
        return "Nothing can be said yet.", ("See what is missing, below.",)
    seeds = len(comparison.seeds)
    judged = next((j for j in comparison.effects if j.quantity == SUCCESS), None)
    unseen = (
        f"What none of the {seeds} seeds showed, such as a collapse, may still befall up to "
        f"{100 * unseen_share(seeds):.0f} % of all seeds."
    )
    if judged is None:
        best = max(comparison.runs, key=lambda run: run.interquartile_mean.value)
        sentence = (
            f"The highest success rate at the end is that of {best.label}: "
            f"{_interval(best.interquartile_mean, 100)} %."
        )
        return sentence, (
            "How sure: this is the interquartile mean with a 95 % interval over resampled seeds, "
            "which is too short with few seeds. The study has no held branches, so it says nothing "
            "of the decays themselves.",
            unseen,
        )
    sentence = " ".join(_decided(judged) for judged in comparison.effects[:MOST_SENTENCES])
    needed = seeds_for_sign_flips(len(judged.decays), LEVEL)
    few = "" if seeds >= needed else f" No verdict is possible with fewer than {needed} seeds."
    return sentence, (
        f"How sure: {seeds} seed{'s' * (seeds > 1)}, {comparison.episodes} evaluation episodes "
        "each. A decay is better or worse if an exact sign-flip test and a crossed t test both "
        f"give p ≤ {LEVEL:g} after Holm's correction over all decays, and equivalent if it is "
        f"shown to lie within ±{100 * judged.decays[0].verdict.margin:.3g} points.{few}",
        unseen,
    )


def _decided(judged: JudgedDecays) -> str:
    percent = judged.quantity == SUCCESS
    of = f"{LABELS[judged.quantity]}{f' at {judged.task}' if judged.task else ''}"
    if len(judged.decays) == 1:
        (decay,) = judged.decays
        effect = f"{_effect(decay, 100)} points" if percent else _effect(decay, 1)
        return f"On the {of}, the decay is {decay.verdict.word}: {effect}."
    counts = Counter(decay.verdict.word for decay in judged.decays)
    parts = [f"{counts[word]} {word}" for word in WORDS if counts[word]]
    return f"On the {of}, of {len(judged.decays)} decays: {', '.join(parts)}."


def _curves(runs: StudyRuns, missing: list[str]) -> Section | None:
    try:
        found = training_curves(runs, missing)
    except RunError as error:
        missing.append(str(error).replace(f"{runs.folder}/", ""))
        return None
    charts = []
    for place, curves in enumerate(found):
        percent = curves.quantity == SUCCESS
        scale = 100.0 if percent else 1.0
        lines = []
        for curve in curves.curves:
            band = curve.band(curves.limits)
            ends = (None, None) if band is None else (scale * band[0], scale * band[1])
            lines.append(Line(curve.label, curve.steps, scale * curve.values.mean(axis=0), *ends))
        name = f"{LABELS[curves.quantity]}{' (%)' if percent else ''}"
        charts.append(
            Chart(
                name=f"curves-{place}",
                title=f"{curves.task}: {LABELS[curves.quantity]} in training",
                description=f"Mean over {len(runs.seeds)} seeds of the last {WINDOW} training "
                "episodes; bands are 95 % intervals over seeds, at each step by itself. Dotted "
                "lines are decays. At the end: "
                + "; ".join(f"{line.label} {line.y[-1]:.3g}" for line in lines)
                + ".",
                figure=lines_chart(
                    lines,
                    "step (environment timesteps)",
                    name,
                    curves.boundaries,
                    xaxis={"tickformat": "~s"},
                ),
            )
        )
    return Section("Learning curves", charts=tuple(charts)) if charts else None


def _effects(judged: JudgedDecays, place: int) -> Section:
    percent = judged.quantity == SUCCESS
    scale = 100.0 if percent else 1.0
    unit = "success rate (points)" if percent else "return"
    where = f" at {judged.task}" if judged.task else ""
    shown = judged.decays[:MOST_ROWS]
    margin = scale * shown[0].verdict.margin
    rows = [
        ForestRow(
            decay.label,
            _scaled(decay.verdict.effect, scale),
            None if decay.floor is None else scale * decay.floor.floor,
            decay.verdict.word,
        )
        for decay in shown
    ]
    table = Table(
        caption=f"Decay effects over seeds: {unit}{where}, decayed minus held",
        head=("Decay", "Verdict", "Effect", "Seeds that gained", "Placebo band", "p", "p equal"),
        rows=tuple(
            (
                decay.label,
                decay.verdict.word,
                _effect(decay, scale),
                f"{decay.verdict.positive_seeds} of {decay.verdict.seeds}",
                "–" if decay.floor is None else f"±{scale * decay.floor.floor:.2g}",
                f"{decay.verdict.adjusted_p:.2g}",
                f"{decay.verdict.equivalence_p:.2g}",
            )
            for decay in shown
        ),
        notes=(
            "[..] is a 95 % interval for other seeds and episodes. p: of no effect; p equal: of "
            f"one beyond ±{margin:.2g}; both corrected over all of these. An effect within the "
            "placebo band is no more than luck.",
            *(f"{decay.label}: {decay.verdict.sentence}." for decay in shown),
            *_left_out(judged.decays),
        ),
    )
    chart = Chart(
        name=f"effects-{place}",
        title=f"Decay effects on the {LABELS[judged.quantity]}{where}",
        description="Points are mean effects with 95 % intervals for other seeds and episodes; "
        "right of the dotted zero line the decay helped. The shaded margin is too small to matter.",
        figure=forest_chart(rows, unit, margin),
    )
    return Section(f"Decay effects: {LABELS[judged.quantity]}{where}", (), (chart,), (table,))


def _phases(comparison: StudyComparison) -> Section:
    seeds = len(comparison.seeds)
    own = [phase for phase in comparison.phases if phase.same_as is None]
    several = len({phase.task for phase in own}) > 1
    table = Table(
        caption=f"Agents at the ends of the phases, over {seeds} seeds",
        head=("Arm", "Phase", "Until step", "Rate", "Return", "Success %", "Failed"),
        rows=tuple(
            (
                f"{phase.task}, {phase.arm}" if several else phase.arm,
                str(phase.phase),
                f"{phase.step:,}",
                f"{phase.learning_rate:.3g}",
                _interval(phase.mean_return),
                _interval(phase.success_rate, 100),
                f"{phase.failed} of {seeds}",
            )
            for phase in own[:MOST_ROWS]
        ),
        notes=(
            "[..] is a 95 % interval for other seeds and episodes. Agents that two arms share, as "
            "the arms had not parted yet, are shown once. A run that diverged has failed.",
            *_left_out(own),
        ),
    )
    return Section("Phases", tables=(table,))


def _whole_runs(
    comparison: StudyComparison, outcomes: StudyOutcomes, missing: list[str]
) -> Section:
    scores = run_scores(outcomes)
    labels = evenly(list(scores), MAXIMUM_CURVES)
    if len(labels) < len(scores):
        missing.append(f"profiles: {len(labels)} of {len(scores)} arms are drawn, spread evenly")
    thresholds: Array = np.linspace(0, 1, 41, dtype=np.float64)
    lines = []
    for label in labels:
        profile = performance_profile(scores[label], thresholds)
        ends = (100 * profile.low, 100 * profile.high) if len(scores[label]) > 1 else (None, None)
        lines.append(Line(label, 100 * thresholds, 100 * profile.share, *ends))
    chart = Chart(
        name="profiles",
        title="Performance profiles",
        description="Share of runs whose success rate at the end is above a threshold, with 95 % "
        "bands over resampled seeds. A curve above another everywhere is better whatever one asks; "
        "where it falls early, some runs fail.",
        figure=lines_chart(lines, "success rate above (%)", "share of runs (%)"),
    )
    table = Table(
        caption="Success rate of whole runs at their end",
        head=("Arm", "Interquartile mean %", "Better than the first arm"),
        rows=tuple(
            (
                run.label,
                _interval(run.interquartile_mean, 100),
                "–" if run.improvement is None else f"{_interval(run.improvement, 100)} %",
            )
            for run in comparison.runs[:MOST_ROWS]
        ),
        notes=("[..] is a 95 % percentile interval over seeds.", *_left_out(comparison.runs)),
    )
    return Section("Whole runs", charts=(chart,), tables=(table,))


def _rates(comparison: StudyComparison) -> Section | None:
    if not comparison.rates:
        return None
    charts, tables = [], []
    for place, found in enumerate(comparison.rates[: 2 * MAXIMUM_CURVES]):
        percent = found.quantity == SUCCESS
        name = f"{LABELS[found.quantity]}{' (%)' if percent else ''}"
        scale = 100.0 if percent else 1.0
        sensitivity = found.sensitivity
        low, high = sensitivity.good_range
        charts.append(
            Chart(
                name=f"rates-{place}",
                title=f"Initial rates, {found.label}: {LABELS[found.quantity]}",
                description=f"At the end of the constant-rate phase, with 95 % intervals. The star "
                f"is the best; rates from {low:.3g} to {high:.3g} cannot be told from it.",
                figure=rates_chart(
                    sensitivity.rates,
                    [_scaled(score, scale) for score in sensitivity.scores],
                    sensitivity.best,
                    name,
                ),
            )
        )
        tables.append(_rates_table(found, name, scale))
    lost = tuple(
        f"One rate for all of {_words(over.tasks)} instead of the best for each costs "
        f"{_interval(over.lost)} of the range of the {LABELS[over.quantity]} {over.label}".rstrip()
        + "."
        for over in comparison.rates_over_tasks
    )
    return Section("Initial rates", lost, tuple(charts), tuple(tables))


def _rates_table(found: InitialRates, name: str, scale: float) -> Table:
    sensitivity = found.sensitivity
    cells = zip(sensitivity.rates, sensitivity.scores, sensitivity.p_against_best, strict=True)
    return Table(
        caption=f"{found.label}: {name}",
        head=("Rate", name, "p against the best"),
        rows=tuple(
            (
                f"{rate:.3g}",
                _interval(score, scale),
                "best" if place == sensitivity.best else f"{p:.2g}",
            )
            for place, (rate, score, p) in enumerate(cells)
        ),
    )


def _folds(runs: StudyRuns, comparison: StudyComparison | None) -> tuple[Fold, ...]:
    plan = yaml.safe_dump(runs.study.to_dict(), sort_keys=False, allow_unicode=True)
    episodes = 100 if comparison is None else comparison.episodes
    commands = (
        "# STUDY is the folder of this study, study.yaml the plan below\n"
        "python train.py --study study.yaml\n"
        f"python -m eval compare STUDY --episodes {episodes}\n"
        "python -m eval report STUDY\n"
    )
    made: dict[str, Counter[str]] = {}
    rows = []
    for (arm, seed), found in runs.runs.items():
        run = found.run
        code = run.git_revision or "unknown"
        for what, version in {**run.versions, **run.processor, "code": code}.items():
            made.setdefault(what, Counter())[version] += 1
        step = max(snapshot_steps(run), default=None)
        try:
            state = "–" if step is None else read_snapshot(run, step).state_sha256
        except RunError as error:
            state = str(error).replace(f"{runs.folder}/", "")
        rows.append((str(run_path(arm, seed)), "–" if step is None else f"{step:,}", state))
    versions = tuple((what, ", ".join(sorted(found))) for what, found in made.items())
    return (
        Fold("Commands that repeat it", commands),
        Fold("Plan", plan),
        Fold("Versions", table=Table("What trained the runs", ("What", "Versions"), versions)),
        Fold(
            "Checksums",
            table=Table(
                "SHA-256 of the state in the newest snapshot of each run",
                ("Run", "Step", "SHA-256"),
                tuple(rows),
            ),
        ),
    )


def _left_out(rows: Sequence[object]) -> tuple[str, ...]:
    more = len(rows) - MOST_ROWS
    return (f"{more} more are in evaluation/summary.json.",) if more > 0 else ()


def _words(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    return Estimate(scale * estimate.value, scale * estimate.low, scale * estimate.high)


def _effect(decay: DecayOverSeeds, scale: float) -> str:
    return _interval(decay.verdict.effect, scale, "+.3g")


def _interval(estimate: Estimate, scale: float = 1.0, digits: str = ".3g") -> str:
    value, low, high = (scale * x for x in (estimate.value, estimate.low, estimate.high))
    if not np.isfinite(low):
        return f"{value:{digits}}"
    return f"{value:{digits}} [{low:{digits}}, {high:{digits}}]"
