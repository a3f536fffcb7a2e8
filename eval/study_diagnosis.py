"""Diagnoses the constant-rate phases of a study: how many are healthy, which faults they share."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from agents import RunDirectory, RunError
from agents.runs.files import write_atomically
from agents.runs.spans import spans
from agents.studies.manifest import read_study, run_path
from eval.diagnosis import Diagnosis, diagnose
from eval.statistics import Estimate, wilson_interval

FORMAT = "staircase-lab study diagnosis"
FORMAT_VERSION = 1
HEALTHY = "healthy"


@dataclass(frozen=True)
class SharedFault:
    """A suspect of some seeds of an arm.

    Attributes:
        kind: What is at fault.
        cause: Its class.
        symptom: Whether other faults bring it about, too.
        seeds: The seeds that have it.
        strength: Median over these seeds.
        remedy: What to try, for the first of them.
    """

    kind: str
    cause: str
    symptom: bool
    seeds: tuple[int, ...]
    strength: float
    remedy: str


@dataclass(frozen=True)
class ArmDiagnosis:
    """The constant-rate phases of an arm.

    Attributes:
        arm: Its name.
        seeds: The seeds that were diagnosed.
        states: How many of them have each verdict.
        healthy: Share of them that is healthy, with a 95 % Wilson interval; `None` without any.
        faults: Suspects, those of most seeds first; of as many, no mere symptoms first.
        missing: Why other seeds were not diagnosed, by seed.
    """

    arm: str
    seeds: tuple[int, ...]
    states: Mapping[str, int]
    healthy: Estimate | None
    faults: tuple[SharedFault, ...]
    missing: Mapping[int, str]


@dataclass(frozen=True)
class StudyDiagnosis:
    """The constant-rate phases of a study.

    Attributes:
        folder: Folder of the study.
        name: Name of the study.
        arms: Its arms.
    """

    folder: Path
    name: str
    arms: tuple[ArmDiagnosis, ...]

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON data, without the path: a study may be moved."""
        data = asdict(self)
        del data["folder"]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **data}


def diagnose_study(folder: Path) -> StudyDiagnosis:
    """Diagnoses every run of a study that there is, and counts.

    The diagnosis of each run is stored with it, and the whole in the study's
    `evaluation/diagnosis.json`.

    Args:
        folder: Folder of the study, which need not be complete.

    Returns:
        The diagnosis.

    Raises:
        RunError: If there is no study, no run of it can be diagnosed, or `evaluation/` cannot be
            written.
    """
    study = read_study(folder)
    arms = tuple(_arm(folder, arm.name, study.seeds) for arm in study.arms())
    if not any(arm.seeds for arm in arms):
        reasons = Counter(reason for arm in arms for reason in arm.missing.values())
        ((reason, _),) = reasons.most_common(1)
        raise RunError(f"{folder} has no run to diagnose: {reason}")
    diagnosis = StudyDiagnosis(folder, study.name, arms)
    path = folder / "evaluation" / "diagnosis.json"
    data = json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return diagnosis


def _arm(folder: Path, arm: str, seeds: Sequence[int]) -> ArmDiagnosis:
    found: dict[int, Diagnosis] = {}
    missing: dict[int, str] = {}
    for seed in seeds:
        path = folder / run_path(arm, seed)
        try:
            if not path.exists():
                raise RunError("not trained yet")
            found[seed] = diagnose(RunDirectory.open(path))
        except RunError as error:
            missing[seed] = str(error)
    states = Counter(diagnosis.verdict.state for diagnosis in found.values())
    return ArmDiagnosis(
        arm=arm,
        seeds=tuple(found),
        states=dict(states.most_common()),
        healthy=wilson_interval(states[HEALTHY], len(found)) if found else None,
        faults=_faults(found),
        missing=missing,
    )


def _faults(found: Mapping[int, Diagnosis]) -> tuple[SharedFault, ...]:
    by_kind = defaultdict(list)
    for seed, diagnosis in found.items():
        for finding in diagnosis.findings:
            by_kind[finding.kind].append((seed, finding))
    faults = [
        SharedFault(
            kind=kind,
            cause=its[0][1].cause,
            symptom=its[0][1].symptom,
            seeds=tuple(seed for seed, _ in its),
            strength=median(finding.strength for _, finding in its),
            remedy=its[0][1].remedy,
        )
        for kind, its in by_kind.items()
    ]
    faults.sort(key=lambda fault: (-len(fault.seeds), fault.symptom, -fault.strength))
    return tuple(faults)


def study_diagnosis_text(diagnosis: StudyDiagnosis) -> RenderableType:
    """The diagnosis of a study for a terminal.

    Args:
        diagnosis: The diagnosis.
    """
    counted = sum(len(arm.seeds) for arm in diagnosis.arms)
    healthy = sum(arm.states.get(HEALTHY, 0) for arm in diagnosis.arms)
    lines = [
        Text(
            f"{healthy} of {counted} runs of {diagnosis.folder} have a healthy constant-rate phase"
            + ("" if healthy == counted else ": decays can be judged at these alone"),
            style="bold",
        )
    ]
    for arm in diagnosis.arms:
        lines += map(Text, _arm_lines(arm))
    return Group(*lines)


def _arm_lines(arm: ArmDiagnosis) -> list[str]:
    lines = []
    if arm.healthy is not None:
        states = ", ".join(f"{count} {state}" for state, count in arm.states.items())
        lines.append(
            f"{arm.arm}: {arm.states.get(HEALTHY, 0)} of {len(arm.seeds)} seeds healthy "
            f"[{100 * arm.healthy.low:.0f}, {100 * arm.healthy.high:.0f}] %: {states}"
        )
        lines += [
            f"   {fault.kind} ({fault.cause}{', a symptom' if fault.symptom else ''}) at "
            f"{len(fault.seeds)} of {len(arm.seeds)} seeds ({spans(list(fault.seeds))}), strength "
            f"{fault.strength:.2f}"
            for fault in arm.faults
        ] or ["   no suspects"]
    else:
        lines.append(f"{arm.arm}: no seed can be diagnosed")
    reasons = defaultdict(list)
    for seed, reason in arm.missing.items():
        reasons[reason].append(seed)
    lines += [f"   seed {spans(seeds)}: {reason}" for reason, seeds in reasons.items()]
    return lines
