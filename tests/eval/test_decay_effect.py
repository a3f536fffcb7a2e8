"""What a decay did: the run's agent against a branch that went on at the old rate."""

import csv
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from agents import RunDirectory
from agents.branch_schedules import held_schedule
from agents.branching import branch_path, create_branch
from agents.training import train_run
from eval import compare_phases
from eval.statistics import bootstrap_mean


def returns(run, phase):
    with (run.evaluation_path / "episodes.csv").open() as file:
        return np.array([float(r["return"]) for r in csv.DictReader(file) if r["phase"] == phase])


def edit_run_json(branch, **changes):
    file = branch / "run.json"
    data = json.loads(file.read_text())
    for name, value in changes.items():
        data["parent" if name in data["parent"] else "config"][name] = value
    file.write_text(json.dumps(data))


def test_decay_effect_is_decayed_minus_held_by_episode(branched):
    comparison = compare_phases(branched, episodes=4)
    held = RunDirectory.open(branched.path / "branches" / "held-1")
    held_returns = returns(held, "0")
    assert len(held_returns) == 4
    before, after, last = comparison.phases
    effect = after.decay_effect
    assert effect.effect == bootstrap_mean(returns(branched, "1") - held_returns)
    assert effect.effect.value != 0
    assert effect.held_mean_return == held_returns.mean()
    assert (effect.branch, effect.step, effect.learning_rate) == ("held-1", 399, 1e-3)
    assert before.decay_effect is None
    assert last.decay_effect is None
    assert comparison.notes == ()


def test_a_branch_held_to_the_end_of_the_run_is_compared_there(sac):
    branch = create_branch(sac, 1, held_schedule(sac, 1), "end", branch_path(sac, "held-1"))
    train_run(branch, Console(quiet=True))
    comparison = compare_phases(sac, episodes=2)
    effect = comparison.phases[1].decay_effect
    assert effect.step == 600
    assert effect.effect == bootstrap_mean(returns(sac, "2") - returns(branch, "0"))


def test_a_branch_that_does_not_hold_the_rate_is_passed_over(sac):
    branch = create_branch(sac, 1, sac.config.schedule, "phase", branch_path(sac, "control"))
    train_run(branch, Console(quiet=True))
    comparison = compare_phases(sac, episodes=2)
    assert all(result.decay_effect is None for result in comparison.phases)
    assert comparison.notes == ()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"run": "../../../elsewhere"}, "names another parent"),
        ({"reward": "sparse"}, "its reward is not the parent's"),
        ({"phase": 7}, "no boundary into phase 7"),
    ],
)
def test_a_branch_that_does_not_belong_is_named_and_left_out(branched, changes, complaint):
    edit_run_json(branched.path / "branches" / "held-1", **changes)
    comparison = compare_phases(branched, episodes=2)
    assert all(result.decay_effect is None for result in comparison.phases)
    (note,) = comparison.notes
    assert note.startswith("branch held-1 is left out")
    assert complaint in note


def test_an_incomplete_branch_is_named_and_left_out(branched):
    shutil.rmtree(branched.path / "branches" / "held-1" / "snapshots" / "399")
    (note,) = compare_phases(branched, episodes=2).notes
    assert note.startswith("branch held-1 is left out")


def test_a_branch_whose_rival_is_missing_is_named_and_left_out(branched):
    shutil.rmtree(branched.snapshots_path / "399")
    comparison = compare_phases(branched, episodes=2)
    assert [result.phase for result in comparison.phases] == [0, 2]
    assert "ends at step 399, where its parent has no agent" in comparison.notes[-1]


def test_a_foreign_folder_and_a_second_branch_are_named_and_left_out(branched):
    branches = branched.path / "branches"
    (branches / "a-folder").mkdir()
    shutil.copytree(branches / "held-1", branches / "held-1-again")
    comparison = compare_phases(branched, episodes=2)
    assert comparison.phases[1].decay_effect.branch == "held-1"
    assert [note.split(":")[0] for note in comparison.notes] == [
        "branch a-folder is left out",
        "branch held-1-again is left out",
    ]
