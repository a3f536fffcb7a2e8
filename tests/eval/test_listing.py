"""`python -m eval list`: each run and study below a folder, in its state, at once."""

import json
import shutil
import subprocess
import sys

import pytest

from agents import RunDirectory
from agents.runs.directory import snapshot_steps
from agents.runs.divergence import Divergence, write_divergence
from agents.runs.lock import is_locked, locked
from eval import compare_phases
from eval.__main__ import main
from eval.listing import chosen, list_folder
from tests.eval.conftest import copied

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(trained_sac, trained_ppo, tmp_path):
    """Runs in all states; the complete one is compared, and has a branch."""
    root = tmp_path / "runs"
    compare_phases(copied(trained_sac, root / "reach" / "complete"), 5)
    interrupted = copied(trained_ppo, root / "reach" / "interrupted")
    shutil.rmtree(interrupted.snapshots_path / str(snapshot_steps(interrupted)[-1]))
    diverged = copied(trained_sac, root / "reach" / "diverged")
    shutil.rmtree(diverged.snapshots_path / "600")
    write_divergence(diverged, Divergence(450, 2, 1e-3, "the loss critic_loss is nan"))
    broken = copied(trained_sac, root / "elsewhere" / "deep" / "broken")
    (broken.path / "run.json").write_text("{}")
    return root


def listed(folder):
    return {entry.path.name: entry for entry in list_folder(folder)}


def test_each_run_is_listed_in_its_state(folder):
    entries = listed(folder)
    assert {name: entry.state for name, entry in entries.items()} == {
        "complete": "complete",
        "interrupted": "interrupted",
        "diverged": "diverged",
        "broken": "unreadable",
    }
    assert entries["complete"].done == entries["complete"].planned == 600
    assert entries["interrupted"].done < entries["interrupted"].planned
    assert "critic_loss" in entries["diverged"].problem
    assert "run.json" in entries["broken"].problem


def test_a_run_is_running_while_a_process_holds_it_and_listing_does_not_disturb(folder):
    run = RunDirectory.open(folder / "reach" / "interrupted")
    with locked(run):
        assert listed(folder)["interrupted"].state == "running"
        assert is_locked(run)
    assert listed(folder)["interrupted"].state == "interrupted"


def test_success_and_effects_are_those_of_the_largest_comparison(folder):
    run = RunDirectory.open(folder / "reach" / "complete")
    comparison = compare_phases(run, 7)
    entry = listed(folder)["complete"]
    assert entry.episodes == 7
    assert entry.success == comparison.phases[-1].success_rate.value
    (effect,) = entry.effects
    found = comparison.phases[1].decay_effect.effect
    assert (effect.of, effect.value, effect.low) == ("into phase 1", found.value, found.low)
    assert listed(folder)["interrupted"].success is None


def test_filters_keep_what_fits(folder):
    entries = list_folder(folder)
    assert [e.path.name for e in chosen(entries, states=["diverged"])] == ["diverged"]
    assert [e.path.name for e in chosen(entries, algorithms=["ppo"])] == ["interrupted"]
    assert not chosen(entries, tasks=["push"])
    assert len(chosen(entries, tasks=["reach"])) == 3


def test_a_damaged_summary_is_named_and_hides_nothing(folder):
    (folder / "reach" / "complete" / "evaluation" / "summary-5.json").write_text("{")
    entry = listed(folder)["complete"]
    assert (entry.state, entry.success) == ("complete", None)
    assert "summary" in entry.problem


def test_the_command_prints_a_table_or_json(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    main(["list", str(folder)])
    table = capsys.readouterr().out
    assert all(word in table for word in ("complete", "diverged", "into phase 1", "critic_loss"))
    main(["list", str(folder), "--state", "complete", "diverged", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in data["entries"]] == ["complete", "diverged"]
    main(["list", str(folder), "--algo", "td3"])
    assert "no such run" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["list", str(tmp_path / "nowhere")])
    assert stop.value.code == 1
    assert capsys.readouterr().err == f"python -m eval: there is no folder {tmp_path / 'nowhere'}\n"


def test_the_list_is_answered_without_the_slow_imports(folder):
    script = (
        "import sys; from eval.__main__ import main; main(['list', sys.argv[1]]); "
        "slow = {'torch', 'stable_baselines3', 'scipy.stats', 'pandas', 'matplotlib'}; "
        "assert not slow & sys.modules.keys(), slow & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
