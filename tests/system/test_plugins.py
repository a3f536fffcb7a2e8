"""Tasks and robots of another package do all that the lab's own do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import envs
from agents import RunDirectory
from envs.tasks import Reach
from tests.system.commands import ROOT, command

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "docs" / "examples" / "nudge"
SMALL = """
env: nudge
robot: bare_iiwa
algo: sac
total_timesteps: 260
n_envs: 2
vec_env: subproc
schedule:
  type: StaircaseSchedule
  initial_learning_rate: 1.0e-3
  decay_steps: 160
  decay_rate: 0.5
her: {n_sampled_goal: 4, goal_selection_strategy: future}
hyperparameters:
  learning_starts: 100
  batch_size: 32
  buffer_size: 1000
  policy_kwargs: {net_arch: [16]}
"""


def install(package: Path, folder: Path) -> Path:
    """Installs a package as pip does, but into a folder of its own."""
    source = shutil.copytree(package, folder / "source")  # setuptools builds where it reads
    options = ["--no-deps", "--no-build-isolation", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", source],
        check=True,
    )
    return folder / "site"


def run(site: Path, cwd: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), str(site)))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(EXAMPLE, tmp_path_factory.mktemp("plugin"))


def test_the_environments_tests_hold_for_them_too(site: Path) -> None:
    # The example leaves out the tables of observations and actions.
    which = "(nudge and (panda or bare) or reach and bare) and not docstring"
    words = [sys.executable, "-m", "pytest", "tests/envs", "-n", "0", "-k", which]
    # How firmly it holds and presses is each robot's own affair.
    words += ["--ignore", "tests/envs/test_env_physics.py"]
    done = run(site, ROOT, [*words, "-p", "no:cacheprovider"])
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_a_run_is_trained_resumed_forked_evaluated_and_filmed(site: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SMALL)
    evaluate = [sys.executable, "-m", "eval"]
    quick = ["--quiet", "--no-video", "--episodes", "2"]
    for words in (
        command("--config", "config.yaml", "--output", "run", "--held-branches", *quick),
        command("--resume", "run", *quick),
        command("--branch", "run", "--at-phase", "1", "--output", "branch", *quick),
        [*evaluate, "compare", "run", "--episodes", "2"],
        [*evaluate, "video", "run"],
    ):
        done = run(site, tmp_path, words)
        assert done.returncode == 0, done.stderr
    trunk, branch = (final_state_of(tmp_path / name) for name in ("run", "branch"))
    assert trunk == branch
    assert (tmp_path / "run" / "videos" / "phase-1.mp4").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"nudge.* not registered"):
        RunDirectory.open(tmp_path / "run")


def final_state_of(path: Path) -> str:
    """The state that a run ended in, read without the plug-in."""
    manifest = (path / "snapshots" / "260" / "manifest.json").read_text()
    state: str = json.loads(manifest)["state_sha256"]
    return state


def test_they_are_listed_in_help_and_in_answers_to_mistakes(site: Path, tmp_path: Path) -> None:
    shown = run(site, tmp_path, command("--help")).stdout
    assert "nudge" in shown
    assert "bare_iiwa" in shown
    refused = run(site, tmp_path, command("--env", "nugde"))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "did you mean 'nudge'?" in refused.stderr


def test_a_broken_one_is_named_and_leaves_the_others(site: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text(
        "[staircase_lab.tasks]\nlost = no_such_module:Lost\nreach = nudge:Nudge\n"
    )
    script = "import envs; print(*envs.TASKS)"
    done = run(
        site, tmp_path, [sys.executable, "-c", f"import sys; sys.path.append('.'); {script}"]
    )
    assert done.stdout == "reach push slide pick_and_place stack flip nudge\n"
    assert "lost = 'no_such_module:Lost' of broken" in done.stderr
    assert "No module named 'no_such_module'" in done.stderr
    assert "task 'reach' is registered already, as envs.tasks.reach.Reach" in done.stderr


class Hover(Reach):
    """A task without a registration."""


@pytest.mark.parametrize(
    ("name", "task", "error", "message"),
    [
        ("reach", Hover, ValueError, "task 'reach' is registered already, as envs.tasks.reach.R"),
        ("Hover", Hover, ValueError, "lower-case letters, digits and underscores, got 'Hover'"),
        ("../hover", Hover, ValueError, "lower-case letters"),
        ("hover", Hover(), TypeError, "must be a class of envs.Task, got <"),
        ("hover", envs.Task, TypeError, "does not define achieved_goal, load, reset"),
        ("hover", envs.Robot, TypeError, "must be a class of envs.Task"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, task, error, message) -> None:
    before = dict(envs.TASKS)
    with pytest.raises(error, match=message):
        envs.register_task(name, task)
    assert before == envs.TASKS


def test_registering_twice_is_registering_once() -> None:
    before = dict(envs.TASKS)
    envs.register_task("reach", Reach)
    assert before == envs.TASKS
