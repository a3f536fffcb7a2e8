"""Studies that take seconds, trained in this process, and outcomes made of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from agents import RunDirectory
from agents.runs.divergence import Diverged
from agents.studies.conduct import conduct
from agents.studies.manifest import segments_folder, study_folder, write_study
from agents.studies.plan import make_plan
from agents.studies.store import SegmentStore
from agents.studies.study import Study
from agents.training.loop import train_run
from agents.training.workers import Outcome
from eval.effects_csv import Boundary, Outcomes
from eval.study_outcomes import PhaseEnd, StudyOutcomes

QUIET = Console(quiet=True)
BASE: dict[str, Any] = {
    "env": "reach",
    "reward": "dense",
    "total_timesteps": 260,
    "decay_steps": 150,
    "constant_steps": None,  # the preset has a longer first phase
    "n_envs": 1,
    "her": {},
    "hyperparameters": {
        "buffer_size": 1_000,  # the default million takes seconds to make
        "learning_starts": 100,
        "batch_size": 16,
        "policy_kwargs": {"net_arch": [8]},
    },
}


class ThisProcess:
    """Trains runs one after the other in this process, which spares the start of others."""

    def __init__(self) -> None:
        self._submitted: list[RunDirectory] = []

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def capacity(self) -> int:
        return 1

    def submit(self, run: RunDirectory) -> None:
        self._submitted.append(run)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        run = self._submitted.pop(0)
        try:
            train_run(run, QUIET)
        except Diverged as error:
            return [Outcome(run.path, "diverged", str(error))]
        return [Outcome(run.path, "complete", "")]


def trained_study(root: Path, **changes: Any) -> Path:
    """Trains a study below a folder.

    Returns:
        The study's folder.
    """
    values = {"name": "small", "base": BASE, "seeds": [0, 1], "axes": {"decay_rate": [0.5, 0.1]}}
    plan = make_plan(Study.from_dict({**values, **changes}))
    folder = study_folder(plan.study, root)
    write_study(plan, folder)
    conduct(plan, folder, SegmentStore(segments_folder(root)), ThisProcess(), QUIET)
    return folder


def agents(generator, skill, seeds, episodes=20, failed=()):
    """Outcomes of agents that succeed with a probability around `skill`."""
    chance = np.clip(skill + 0.05 * generator.normal(size=(seeds, 1)), 0, 1)
    successes = generator.random((seeds, episodes)) < chance
    successes[list(failed)] = False
    lengths = generator.integers(5, 30, (seeds, episodes))
    return Outcomes(np.where(successes, -lengths, -50.0), successes)


def made_outcomes(arms, seeds=8, boundaries=True, notes=(), failed=()):
    """Outcomes of a study.

    Args:
        arms: By name of the arm its task, its axes, and its skill at the end of each of 2 phases.
    """
    generator = np.random.default_rng(0)
    ends, found = [], []
    for name, (task, _, skills) in arms.items():
        for phase, skill in enumerate(skills):
            states = [f"{name}-{phase}-{seed}" for seed in range(seeds)]
            lost = failed if phase else ()
            ends.append(
                PhaseEnd(
                    task=task,
                    arm=name,
                    phase=phase,
                    step=1_000 * (phase + 1),
                    learning_rate=1e-3 * 0.5**phase,
                    states=tuple(None if s in lost else state for s, state in enumerate(states)),
                    outcomes=agents(generator, skill, seeds, failed=lost),
                )
            )
        if boundaries and len(skills) > 1:
            held, decayed = (agents(generator, skill, seeds) for skill in skills)
            placebos = tuple(agents(generator, skills[0], seeds) for _ in range(2))
            found.append(
                Boundary(task, name, 1, 2_000, tuple(range(seeds)), held, decayed, placebos)
            )
    return StudyOutcomes(
        name="made",
        axes={name: axes for name, (_, axes, _) in arms.items()},
        seeds=tuple(range(seeds)),
        episodes=20,
        ends=tuple(ends),
        boundaries=tuple(found),
        notes=tuple(notes),
    )
