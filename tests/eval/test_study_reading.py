"""A study on disk, trained for real: what is read, played once, missing, diverged or damaged."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eval import rollouts
from eval.effects_csv import COLUMNS
from eval.stored_episodes import read_episodes
from eval.study import open_study
from eval.study_comparison import compare_study
from eval.study_outcomes import play_study
from eval.study_report import report_study
from schedules import PiecewiseConstantSchedule
from tests.eval.small_studies import BASE, trained_study
from tests.eval.test_eval_command import run_main

pytestmark = pytest.mark.slow

ARMS = ("decay-rate-0.5", "decay-rate-0.1")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 2 arms and 2 seeds, with held branches and placebos; not to be changed."""
    return trained_study(tmp_path_factory.mktemp("study"), held_branches="phase", placebos=1)


@pytest.fixture(scope="module")
def played(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, compared on 3 episodes; not to be changed either."""
    folder = copied(original, tmp_path_factory.mktemp("played"))
    compare_study(folder, 3)
    return folder


@pytest.fixture
def study(played: Path, tmp_path: Path) -> Path:
    return copied(played, tmp_path)


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "small"))


def test_a_study_has_every_agent_that_its_questions_compare(original: Path) -> None:
    runs = open_study(original)
    assert runs.is_complete
    assert [arm.name for arm in runs.arms] == list(ARMS)
    assert runs.seeds == (0, 1)
    for arm in ARMS:
        found = runs.runs[arm, 1]
        assert [(i, end.step) for i, end in found.ends.items()] == [(0, 149), (1, 260)]
        boundary = found.boundaries[1]
        assert boundary.decayed == found.ends[1]
        assert boundary.held.run.path.name == "held-1"
        assert list(boundary.placebos) == ["placebo-1-0"]
        ends = (boundary.decayed, boundary.held, *boundary.placebos.values())
        assert {end.step for end in ends} == {260}
        assert len({end.snapshot.state_sha256 for end in ends if end.snapshot}) == 3


def test_agents_in_the_same_state_play_once(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, count = copied(original, tmp_path), 0
    play = rollouts.Rollouts.play

    def counted(self, seed):
        nonlocal count
        count += 1
        return play(self, seed)

    monkeypatch.setattr(rollouts.Rollouts, "play", counted)
    outcomes = play_study(open_study(folder), 2)
    # A seed has 5 agents: at the end of phase 0, two decayed, one held and one placebo.
    assert count == 2 * 5 * 2
    play_study(open_study(folder), 2)
    assert count == 2 * 5 * 2
    # What was not played is with its run as well, so the run can be compared by itself.
    runs = open_study(folder).runs
    for arm in ARMS:
        assert len(read_episodes(runs[arm, 0].run)) == 2 * 2
    first, second = (b for b in outcomes.boundaries)
    np.testing.assert_array_equal(first.held.returns, second.held.returns)
    assert not np.array_equal(first.decayed.returns, second.decayed.returns)


def test_comparing_writes_what_it_prints_and_again_the_same_bytes(study, capsys) -> None:
    before = (study / "evaluation" / "summary.json").read_bytes()
    code, out, err = run_main(capsys, "compare", study, "--episodes", 3)
    assert (code, err) == (0, "")
    for words in (
        "study small: 2 seeds, 3 evaluation episodes each",
        "Agents at the ends of the phases, over seeds",
        "Decay effects over seeds: return, decayed minus held",
        "no verdict is possible with fewer than 6",
    ):
        assert words in " ".join(out.split())
    assert (study / "evaluation" / "summary.json").read_bytes() == before
    assert json.loads(before)["seeds"] == [0, 1]
    header, *rows = (study / "evaluation" / "effects.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert len(rows) == 2 * 2 * 2 * 3  # arms, forks, seeds, episodes


def test_a_margin_is_the_users(study, capsys) -> None:
    code, out, _ = run_main(capsys, "compare", study, "--episodes", 3, "--return-margin", 7)
    assert code == 0
    assert "beyond ±7, corrected" in " ".join(out.split())


def test_plot_draws_curves_and_after_a_comparison_the_rest(original, study, tmp_path, capsys):
    bare = copied(original, tmp_path / "bare")
    code, out, err = run_main(capsys, "plot", bare)
    assert (code, err) == (0, "")
    assert "not compared yet" in out
    assert sorted(path.stem for path in (bare / "evaluation").glob("*.png")) == [
        "curves-reach-return",
        "curves-reach-success",
    ]
    code, out, err = run_main(capsys, "plot", study)
    assert (code, err) == (0, "")
    drawn = {path.name for path in (study / "evaluation").glob("*.svg")}
    assert drawn > {"effects-success.svg", "effects-reach-return.svg", "profile.svg"}
    assert all(name.replace("svg", "png") in out for name in drawn)


def test_branches_that_go_to_the_end_are_compared_there(tmp_path: Path) -> None:
    base = {**BASE, "decay_steps": 110, "total_timesteps": 250}
    folder = trained_study(tmp_path, base=base, seeds=[0], axes={}, held_branches="end", placebos=0)
    boundaries = play_study(open_study(folder), 2).boundaries
    assert [(b.phase, b.until_step) for b in boundaries] == [(1, 250), (2, 250)]
    np.testing.assert_array_equal(boundaries[0].decayed.returns, boundaries[1].decayed.returns)


def test_what_is_missing_is_named_and_the_rest_compared_over_common_seeds(study, capsys) -> None:
    shutil.rmtree(study / ARMS[1] / "seed-0")
    runs = open_study(study)
    assert not runs.is_complete
    assert runs.seeds == (1,)
    assert "not trained yet: decay-rate-0.1, seed 0" in runs.notes
    assert "trained, but not at every arm, so not compared: decay-rate-0.5 seed 0" in runs.notes
    code, out, err = run_main(capsys, "compare", study, "--episodes", 3)
    assert (code, err) == (0, "")
    assert "1 seed is compared" in out
    assert "inf" not in out
    assert "nan" not in out
    assert '"low": null' in (study / "evaluation" / "summary.json").read_text()
    shutil.rmtree(study / ARMS[1] / "seed-1")
    runs = open_study(study)
    assert [arm.name for arm in runs.arms] == [ARMS[0]]
    assert runs.seeds == (0, 1)
    assert "not trained yet: decay-rate-0.1, all seeds" in runs.notes


def test_only_a_complete_study_is_reported_others_say_what_they_lack(study) -> None:
    text = io.StringIO()
    console = Console(file=text, width=200)
    report_study(study, console, 3)
    assert "Agents at the ends" in text.getvalue()
    shutil.rmtree(study / ARMS[1] / "seed-0")
    text.truncate(0)
    report_study(study, console, 3)
    assert "not trained yet: decay-rate-0.1, seed 0" in text.getvalue()
    assert "Agents at the ends" not in text.getvalue()


def test_a_placebo_or_branch_that_is_missing_is_named(study) -> None:
    shutil.rmtree(study / ARMS[0] / "seed-0" / "branches" / "placebo-1-0")
    shutil.rmtree(study / ARMS[1] / "seed-1" / "branches" / "held-1")
    outcomes = play_study(open_study(study), 3)
    first, second = outcomes.boundaries
    assert (first.seeds, first.placebos) == ((0, 1), ())
    assert (second.seeds, len(second.placebos)) == ((0,), 1)
    notes = "\n".join(outcomes.notes)
    assert "decay-rate-0.5: placebo-1-0 left out, as some seeds lack it" in notes
    assert (
        "no decay effect into phase 1: its held branch is missing (decay-rate-0.1/seed-1)" in notes
    )


def test_damage_is_one_line_and_never_a_traceback(study, capsys) -> None:
    run = study / ARMS[0] / "seed-0"
    (run / "run.json").write_text("{}")
    assert any("left out" in note and "run.json" in note for note in open_study(study).notes)
    (study / ARMS[1] / "seed-1" / "snapshots" / "260" / "manifest.json").write_text("{")
    for command in ("compare", "plot"):
        code, out, err = run_main(capsys, command, study)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "has no seed that is trained in every arm" in err
    for arm in ARMS:
        shutil.rmtree(study / arm)
    code, _, err = run_main(capsys, "compare", study)
    assert (code, err.count("\n")) == (1, 1)
    assert "has no run to compare: not trained yet: all arms, all seeds" in err
    for text in ("{", "[]", '{"format": "staircase-lab study", "format_version": 1}'):
        (study / "study.json").write_text(text)
        code, _, err = run_main(capsys, "compare", study)
        assert (code, err.count("\n")) == (1, 1)
        assert "study.json" in err


def test_a_run_of_another_plan_is_left_out(study) -> None:
    shutil.rmtree(study / ARMS[0] / "seed-0")
    shutil.copytree(study / ARMS[1] / "seed-0", study / ARMS[0] / "seed-0")
    assert any("is not the run of the plan" in note for note in open_study(study).notes)


def test_a_run_that_diverges_counts_as_a_failure(tmp_path: Path) -> None:
    calm = PiecewiseConstantSchedule((130,), (1e-3, 1e-4))
    exploding = PiecewiseConstantSchedule((130, 190), (1e-3, 1e30, 1e-3))
    base = {key: BASE[key] for key in BASE if key not in ("decay_steps", "constant_steps")}
    folder = trained_study(
        tmp_path,
        base={**base, "algo": "sac"},
        seeds=[0],
        axes={"schedule": [calm.to_dict(), exploding.to_dict()]},
        held_branches="phase",
        placebos=0,
    )
    runs = open_study(folder)
    assert any(note.startswith("failed: schedule-1/seed-0: diverged at") for note in runs.notes)
    outcomes = play_study(runs, 3)
    ends = {(end.arm, end.phase): end for end in outcomes.ends}
    failed = ends["schedule-1", 1]
    assert failed.states == (None,)
    assert not failed.outcomes.successes.any()
    assert ends["schedule-1", 2].states == (None,)
    played = [end.outcomes for end in ends.values()] + [b.held for b in outcomes.boundaries]
    lowest = np.min([agents.returns for agents in played], axis=0)
    np.testing.assert_array_equal(failed.outcomes.returns, lowest)
    # The run never came to the boundary into phase 2, so there is no effect.
    (boundary,) = (b for b in outcomes.boundaries if b.arm == "schedule-1")
    assert boundary.phase == 1
    np.testing.assert_array_equal(boundary.decayed.returns, failed.outcomes.returns)
    assert np.isfinite(boundary.held.returns).all()


def test_rates_are_judged_and_drawn(tmp_path: Path, capsys) -> None:
    folder = trained_study(
        tmp_path, axes={"initial_learning_rate": [1e-4, 1e-2]}, phases=1, seeds=[0, 1]
    )
    code, out, err = run_main(capsys, "rates", folder, "--episodes", 3)
    assert (code, err) == (0, "")
    assert "Initial rates, at the end of the constant-rate phase: reach" in out
    assert "cannot be told from the best" in out
    assert (folder / "evaluation" / "rates-reach-success.png").exists()


def test_rates_need_such_an_axis(study, capsys) -> None:
    code, out, err = run_main(capsys, "rates", study)
    assert (code, out) == (2, "")
    assert "has no axis initial_learning_rate; its axes are decay_rate" in err
