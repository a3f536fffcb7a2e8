"""What a decay did: the run's agent against a branch that went on at the old rate."""

import csv
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from agents import RunDirectory
from agents.runs.directory import branch_path
from agents.training.branch_schedules import held_schedule
from agents.training.branches import create_branch
from agents.training.loop import train_run
from eval import compare_phases
from eval.statistics import bootstrap_mean
from schedules import PiecewiseConstantSchedule, effective_phases
from tests.eval.conftest import PPO, trained

pytestmark = pytest.mark.slow


def trained_branch(run, phase, length):
    path = branch_path(run, f"held-{phase}")
    branch = create_branch(run, phase, held_schedule(run, phase), length, path)
    train_run(branch, Console(quiet=True))
    return branch


def returns(run, phase):
    with (run.evaluation_path / "episodes.csv").open() as file:
        return np.array([float(r["return"]) for r in csv.DictReader(file) if r["phase"] == phase])


def edit_run_json(branch, where, **changes):
    file = branch / "run.json"
    data = json.loads(file.read_text())
    place = data
    for name in where.split("."):
        place = place[name]
    place.update(changes)
    file.write_text(json.dumps(data))


def edit_manifest(snapshot, **changes):
    """Changes a manifest so that its own checksum fits again."""
    file = snapshot / "manifest.json"
    data = {**json.loads(file.read_text()), **changes}
    del data["manifest_sha256"]
    described = json.dumps(data, indent=1, sort_keys=True).encode()
    file.write_text(json.dumps({**data, "manifest_sha256": hashlib.sha256(described).hexdigest()}))


def the_note_that_leaves_the_branch_out(run):
    comparison = compare_phases(run, episodes=2)
    assert all(result.decay_effect is None for result in comparison.phases)
    (note,) = comparison.notes
    assert note.startswith("branch held-1 is left out: ")
    assert "\n" not in note
    return note


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
    branch = trained_branch(sac, 1, "end")
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
    ("where", "changes", "complaint"),
    [
        ("parent", {"run": "../../../elsewhere"}, "names another parent"),
        ("parent", {"phase": 7}, "no boundary into phase 7"),
        ("parent", {"step": 150}, "forked at step 150, but its parent's boundary into phase 1"),
        ("parent", {"state_sha256": "0" * 64}, "its parent's snapshot at step 199 is not the one"),
        ("parent", {"state_sha256": 7}, "parent.state_sha256 must be text"),
        ("config", {"reward": "sparse"}, "its reward is not the parent's: 'sparse' instead of"),
        ("config", {"seed": 1}, "its seed is not the parent's: 1 instead of 0"),
        ("config", {"snapshot_every": 7}, "its snapshot_every is not the parent's"),
        ("config.hyperparameters", {"gamma": 0.9}, "its hyperparameters gamma is not the parent's"),
        ("config.env_kwargs", {"goal_x": [0.0, 0.1]}, "its env_kwargs goal_x is not the parent's"),
        ("config", {"normalize": {}}, "its normalize is not the parent's: {} instead of None"),
        ("config", {"env": "push"}, "its env is not the parent's"),
    ],
)
def test_a_branch_that_does_not_belong_is_named_and_left_out(branched, where, changes, complaint):
    edit_run_json(branched.path / "branches" / "held-1", where, **changes)
    assert complaint in the_note_that_leaves_the_branch_out(branched)


def test_a_branch_must_have_its_parents_rates_up_to_the_fork(branched):
    branch = RunDirectory.open(branched.path / "branches" / "held-1")
    schedule = PiecewiseConstantSchedule((150,), (5e-3, 1e-3))
    phases = schedule.phases(branch.config.total_timesteps)
    edited = dataclasses.replace(
        branch,
        config=dataclasses.replace(branch.config, schedule=schedule),
        phases=phases,
        effective_phases=effective_phases(phases, 1, 101),
    )
    (branch.path / "run.json").write_bytes(edited.to_json())
    note = the_note_that_leaves_the_branch_out(branched)
    assert "its schedule is not the parent's before the fork" in note


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("snapshots/199", "its parent's snapshot at step 199 is not the one"),
        ("branches/held-1/snapshots/199", "its own snapshot at step 199 is not the one"),
    ],
)
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "created before it was noted"])
def test_parent_and_branch_must_have_the_state_of_the_fork(branched, folder, complaint, noted):
    edit_manifest(branched.path / folder, state_sha256="f" * 64)
    if not noted:
        edit_run_json(branched.path / "branches" / "held-1", "parent", state_sha256=None)
        complaint = "its own snapshot at step 199 is not the one"
    assert complaint in the_note_that_leaves_the_branch_out(branched)


def test_a_branch_from_before_the_state_of_the_fork_was_noted_is_compared(branched):
    file = branched.path / "branches" / "held-1" / "run.json"
    data = json.loads(file.read_text())
    assert len(data["parent"].pop("state_sha256")) == 64
    file.write_text(json.dumps(data))
    assert compare_phases(branched, episodes=2).phases[1].decay_effect is not None


def test_a_held_branch_keeps_the_rate_of_the_last_update_before_it(tmp_path):
    schedule = PiecewiseConstantSchedule((70, 100), (1e-3, 1e-4, 5e-4))
    config = dataclasses.replace(PPO, schedule=schedule, total_timesteps=256)
    run = trained(config, tmp_path / "run")
    assert [phase.index for phase in run.effective_phases] == [0, 2]
    held = trained_branch(run, 2, "end")
    with (held.path / "metrics.csv").open() as file:
        assert {float(row["learning_rate"]) for row in csv.DictReader(file)} == {1e-3}
    effect = compare_phases(run, episodes=2).phases[1].decay_effect
    assert (effect.learning_rate, effect.step) == (1e-3, 256)


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
