"""Diagnoses the constant-rate phase of a run: a verdict, and what most likely is at fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from agents import RunDirectory, RunError
from agents.runs.files import write_atomically
from eval.checks import CHECKS
from eval.evidence import A_SIGNAL, FEWEST_ROWS, Evidence, read_evidence
from eval.goal_regions import Region
from eval.intervention_plan import SHARE
from eval.intervention_text import interventions_lines
from eval.interventions import Interventions, intervene
from eval.phase_verdict import PhaseVerdict, judge_phase

FORMAT = "staircase-lab diagnosis"
FORMAT_VERSION = 1
CAUSES: Mapping[str, str] = {check.kind: check.cause for check in CHECKS.values()}
"""The class of each kind of finding."""


@dataclass(frozen=True)
class Finding:
    """One suspect.

    Attributes:
        cause: Its class: `"hyperparameters"`, `"data"` or `"architecture"`.
        kind: What is at fault, a key of `CAUSES`.
        strength: From 0, at the threshold, to 1.
        symptom: Whether other faults bring it about, too.
        evidence: What was found, in words with numbers.
        threshold: What it was held against, and where that is from.
        remedy: What to try, as a command where one can do it.
        values: The numbers by name.
    """

    cause: str
    kind: str
    strength: float
    symptom: bool
    evidence: str
    threshold: str
    remedy: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Diagnosis:
    """What is known of the constant-rate phase of a run.

    Attributes:
        run: Path of the run.
        env: Task of the run.
        algo: Algorithm of the run.
        seed: Seed of the run.
        learning_rate: Rate of the phase.
        steps: Steps that the phase was trained for.
        verdict: Whether decays can be judged.
        findings: Suspects: those that are no mere symptoms first, then the strongest first.
        notes: A line for each thing that is missing, and what that leaves unsaid.
        regions: Success by the region of the goal, if enough evaluation episodes were played.
        interventions: What came of changing things, if that was tried.
    """

    run: Path
    env: str
    algo: str
    seed: int
    learning_rate: float
    steps: int
    verdict: PhaseVerdict
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    regions: tuple[Region, ...] = ()
    interventions: Interventions | None = None

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON data, without the path: a run may be moved."""
        data = asdict(self)
        del data["run"]
        if self.interventions is not None:
            data["interventions"] = self.interventions.to_dict()
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **data}


def diagnosis_path(run: RunDirectory) -> Path:
    """Where the diagnosis of a run is written.

    Args:
        run: The run.
    """
    return run.evaluation_path / "diagnosis.json"


def diagnose(run: RunDirectory) -> Diagnosis:
    """Judges the constant-rate phase, looks for what is at fault, and stores both.

    Nothing is trained or played: evaluation episodes count if they were played before. The result
    is written to `evaluation/diagnosis.json`, which keeps the interventions of earlier calls.

    Args:
        run: The run, which need not be complete.

    Returns:
        The diagnosis.

    Raises:
        RunError: If no update meets phase 0, nothing of it was trained yet, a table is damaged, or
            `evaluation/` cannot be written.
    """
    evidence = read_evidence(run)
    if not len(evidence.metrics["step"]):
        raise RunError(f"{run.path} has no update in its constant-rate phase yet: train it first")
    verdict = judge_phase(evidence)
    findings, silent = _findings(evidence)
    diagnosis = Diagnosis(
        run=run.path,
        env=run.config.env,
        algo=run.config.algo,
        seed=run.config.seed,
        learning_rate=evidence.phase.learning_rate,
        steps=evidence.steps,
        verdict=verdict,
        findings=findings,
        notes=_notes(evidence, silent),
        regions=evidence.regions,
    )
    _write(run, diagnosis)
    return diagnosis


def diagnose_by_intervention(
    run: RunDirectory,
    share: float = SHARE,
    episodes: int | None = None,
    processes: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Diagnosis:
    """Diagnoses a run, and tries what it does if one thing is changed; see `intervene`.

    Args:
        run: The run, which need not be complete.
        share: Part of the run's compute that probes may take.
        episodes: How many evaluation episodes each plays, from 2 to 10 000; what half of the share
            pays for if `None`.
        processes: How many probes train at once; one per core if `None`.
        tell: Told in words how far it is.

    Returns:
        The diagnosis, with the interventions; stored as by `diagnose`.

    Raises:
        ConfigError: If the share or the number of episodes is out of range.
        RunError: As `diagnose` and `intervene` do.
        TrainingInterrupted: If SIGINT or SIGTERM came; the same call goes on.
    """
    diagnosis = diagnose(run)
    kinds = [finding.kind for finding in diagnosis.findings]
    found = intervene(read_evidence(run), kinds, share, episodes, processes, tell)
    diagnosis = replace(diagnosis, interventions=found)
    _write(run, diagnosis)
    return diagnosis


def _findings(evidence: Evidence) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings in order, and the kinds that lack the signals they need."""
    found, silent = [], []
    for check in CHECKS.values():
        if check.needs and not any(
            len(evidence.values(name)) >= FEWEST_ROWS for name in check.needs
        ):
            silent.append(check.kind)
            continue
        suspicion = check.look(evidence)
        if suspicion is not None:
            found.append(Finding(check.cause, check.kind, **_fields(suspicion)))
    found.sort(key=lambda finding: (finding.symptom, -finding.strength))
    return tuple(found), tuple(silent)


def _fields(suspicion: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    fields = {name: getattr(suspicion, name) for name in suspicion.__dataclass_fields__}
    return {**fields, "strength": min(1.0, fields["strength"])}


def _notes(evidence: Evidence, silent: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    count = len(evidence.values(A_SIGNAL))
    if A_SIGNAL not in evidence.metrics:
        notes.append(
            "metrics.csv has no signals, it is from an older version: the verdict rests on the "
            "episodes, and only the config was looked at for suspects"
        )
    elif count < FEWEST_ROWS:
        notes.append(
            f"signals were taken {count} times in the phase, and {FEWEST_ROWS} are needed: only "
            "the config was looked at for suspects"
        )
    elif silent:
        notes.append(f"{evidence.config.algo} has no signals for: {', '.join(silent)}")
    if evidence.evaluated is None:
        notes.append(
            "the agent at the phase's end has not been evaluated, so exploring episodes were "
            f"judged: python -m eval compare {evidence.run.path}"
        )
    return tuple(notes)


def _write(run: RunDirectory, diagnosis: Diagnosis) -> None:
    path, content = diagnosis_path(run), diagnosis.to_dict()
    if diagnosis.interventions is None:
        content["interventions"] = _stored_interventions(path)
    data = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    try:
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _stored_interventions(path: Path) -> object:
    try:
        return json.loads(path.read_bytes()).get("interventions")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def phase_warning(run: RunDirectory) -> str | None:
    """A line for whoever compares the phases of a run whose first one is no baseline.

    Args:
        run: The run.

    Returns:
        The line, with the command that says more; `None` if phase 0 looks healthy, or too little of
        it is known.

    Raises:
        RunError: If a table is damaged.
    """
    evidence = _trained_evidence(run)
    if evidence is None:
        return None
    verdict = judge_phase(evidence)
    if verdict.state in ("healthy", "unknown"):
        return None
    return f"phase 0 is {verdict.state}: {verdict.sentence}; python -m eval diagnose {run.path}"


def _trained_evidence(run: RunDirectory) -> Evidence | None:
    """What there is of phase 0; `None` if no update meets it."""
    met = bool(run.effective_phases) and run.effective_phases[0].index == 0
    evidence = read_evidence(run) if met else None
    return evidence if evidence is not None and len(evidence.metrics["step"]) else None


def diagnosis_text(diagnosis: Diagnosis) -> RenderableType:
    """The diagnosis for a terminal.

    Args:
        diagnosis: The diagnosis.
    """
    verdict = diagnosis.verdict
    lines = [
        Text(f"{verdict.state}: {verdict.sentence}", style="bold"),
        Text(
            f"constant-rate phase of {diagnosis.run}: {diagnosis.algo} on {diagnosis.env}, rate "
            f"{diagnosis.learning_rate:g}, {diagnosis.steps} steps, {verdict.episodes} episodes"
        ),
    ]
    if diagnosis.regions:
        shares = (f"{region.where}: {region.success.value:.0%}" for region in diagnosis.regions)
        lines.append(Text(f"success by where the goal lies, in m: {'; '.join(shares)}"))
    if not diagnosis.findings:
        lines.append(Text("no suspects"))
    for place, finding in enumerate(diagnosis.findings, start=1):
        lines += [
            Text(f"{place}. {finding.kind} ({finding.cause}, strength {finding.strength:.2f})"),
            Text(f"   {finding.evidence}"),
            Text(f"   threshold: {finding.threshold}"),
            Text(f"   try: {finding.remedy}"),
        ]
    if diagnosis.interventions is not None:
        lines += map(Text, interventions_lines(diagnosis.interventions))
    lines += [Text(f"note: {note}") for note in diagnosis.notes]
    return Group(*lines)
