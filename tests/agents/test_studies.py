"""A study's runs are those from scratch, bit for bit, however they were shared, killed or added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents import ConfigError, RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import newest_good_snapshot
from agents.studies.conduct import StudyResult, check_study, conduct
from agents.studies.manifest import read_study, segments_folder, study_folder, write_study
from agents.studies.plan import Plan, make_plan
from agents.studies.store import SegmentStore
from agents.studies.study import Study
from agents.training.loop import create_run, train_run
from agents.training.workers import RunPool
from eval.held_branches import held_branches
from eval.phase_ends import phase_ends
from schedules import ConstantSchedule, PiecewiseConstantSchedule, joined
from tests.agents.test_branches import final
from tests.agents.test_exact_resume import rows_without_time

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
BASE: dict[str, Any] = {
    "env": "reach",
    "total_timesteps": 260,
    "decay_steps": 150,
    "constant_steps": None,  # the preset has a longer first phase
    "hyperparameters": {
        "learning_starts": 100,
        "batch_size": 16,
        "policy_kwargs": {"net_arch": [8]},
    },
}


def study(**changes: Any) -> Study:
    values = {"name": "try", "base": BASE, "seeds": [3], "axes": {"decay_rate": [0.5, 0.1]}}
    return Study.from_dict({**values, **changes})


def conducted(plan: Plan, root: Path) -> StudyResult:
    folder = study_folder(plan.study, root)
    check_study(plan, folder)
    write_study(plan, folder)
    return conduct(plan, folder, SegmentStore(segments_folder(root)), RunPool(2), QUIET)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    conducted(make_plan(study(held_branches="phase", placebos=1)), root)
    return root


def test_every_run_of_a_study_is_the_run_from_scratch(root: Path, tmp_path: Path) -> None:
    for arm in study().arms():
        run = RunDirectory.open(root / "studies" / "try" / arm.name / "seed-3")
        scratch = create_run(run.config, tmp_path / arm.name)
        train_run(scratch, QUIET)

        assert final(run).state_sha256 == final(scratch).state_sha256
        assert rows_without_time(run.metrics_path) == rows_without_time(scratch.metrics_path)
        assert rows_without_time(run.episodes_path) == rows_without_time(scratch.episodes_path)
        assert set(phase_ends(run).snapshots) == {0, 1}
        newest, damaged = newest_good_snapshot(run)
        assert newest is not None
        assert newest.step == 260
        assert not damaged
        train_run(run, QUIET)  # has nothing to do


def test_arms_share_the_held_branch_and_it_is_one_of_each_run(root: Path) -> None:
    states = set()
    for arm in study().arms():
        run = RunDirectory.open(root / "studies" / "try" / arm.name / "seed-3")
        held, notes = held_branches(run, phase_ends(run).snapshots)
        assert not notes
        states.add(held[1].end.state_sha256)
        placebo = RunDirectory.open(run.path / "branches" / "placebo-1-0")
        states.add(final(placebo).state_sha256)
    assert len(states) == 2


def test_more_seeds_and_arms_train_only_what_is_new(root: Path) -> None:
    store = SegmentStore(segments_folder(root))
    before = {path: path.stat().st_mtime_ns for path in segments_folder(root).glob("*/metrics.csv")}
    more = make_plan(study(held_branches="phase", placebos=1, axes={"decay_rate": [0.5, 0.1, 0.2]}))
    missing = [s for s in more.tree.segments if store.state(s) == "missing"]
    assert [(segment.start, segment.stop) for segment in missing] == [(149, 260)]

    conducted(more, root)

    after = {path: path.stat().st_mtime_ns for path in segments_folder(root).glob("*/metrics.csv")}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1
    assert read_study(study_folder(more.study, root)) == more.study


def test_another_study_finds_the_segments_of_the_first(root: Path) -> None:
    store = SegmentStore(segments_folder(root))
    other = make_plan(study(name="other", axes={"decay_rate": [0.5]}))
    assert {store.state(segment) for segment in other.tree.segments} == {"trained"}


def test_a_study_with_another_plan_of_the_same_name_is_refused(root: Path) -> None:
    folder = study_folder(study(), root)
    fewer = make_plan(study(axes={"decay_rate": [0.5]}))
    with pytest.raises(
        ConfigError, match=r"has another plan, with the run .*held-1 that this one lacks"
    ):
        check_study(fewer, folder)
    otherwise = make_plan(
        study(base={**BASE, "total_timesteps": 300}, held_branches="phase", placebos=1)
    )
    with pytest.raises(ConfigError, match="that this one would train otherwise"):
        check_study(otherwise, folder)


def test_a_study_of_other_versions_is_not_mixed_with_these(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_folder(study(), root)
    monkeypatch.setattr("agents.studies.tree.installed_versions", lambda: {"torch": "0"})
    with pytest.raises(ConfigError, match="was trained with other versions of the packages"):
        check_study(make_plan(read_study(folder)), folder)


def test_an_arm_that_diverges_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    good, bad = PiecewiseConstantSchedule((130,), (1e-3, 1e-4)), ConstantSchedule(1e-3)
    exploding = joined(bad, 150, ConstantSchedule(1e30))
    base = {"algo": "sac", **BASE, "her": {}}
    del base["decay_steps"], base["constant_steps"]
    axes = {"schedule": [good.to_dict(), exploding.to_dict()]}
    plan = make_plan(study(seeds=[0], base=base, axes=axes))
    result = conducted(plan, tmp_path)

    trained, diverged = (
        RunDirectory.open(tmp_path / "studies/try" / arm.name / "seed-0")
        for arm in plan.study.arms()
    )
    assert snapshot_steps(trained)[-1] == 260
    assert list(result.diverged) == [diverged.path]
    assert "diverged at step" in result.diverged[diverged.path]
    # The same call again neither trains it again nor forgets it.
    assert conducted(plan, tmp_path).diverged == result.diverged


def test_a_segment_that_cannot_be_trained_is_named_and_what_depends_on_it_waits(
    tmp_path: Path,
) -> None:
    plan = make_plan(study(seeds=[0, 1], axes={"decay_rate": [0.5]}))
    store = SegmentStore(segments_folder(tmp_path))
    first = store.create(plan.tree.segments[0])
    (first.path / "lock").mkdir()

    with pytest.raises(RunError, match=f"could not train {first.path.name}: cannot write"):
        conducted(plan, tmp_path)
    (first.path / "lock").rmdir()
    assert len(conducted(plan, tmp_path).runs) == 2


def test_a_broken_study_file_is_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a study: it has no study"):
        read_study(tmp_path)
    for text in ("{", "[]", '{"format": "x", "format_version": 1}'):
        (tmp_path / "study.json").write_text(text)
        with pytest.raises(RunError) as caught:
            read_study(tmp_path)
        assert "\n" not in str(caught.value)
    data = json.loads((study_folder(study(), root) / "study.json").read_text())
    data["study"]["seeds"] = []
    (tmp_path / "study.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match="is broken: study seeds must be"):
        read_study(tmp_path)
