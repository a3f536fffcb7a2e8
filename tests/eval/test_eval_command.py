"""`python -m eval`: what it prints, its exit codes, and that mistakes cost one line."""

import json
import shutil
import subprocess
import sys

import pytest

from agents.runs.lock import locked
from eval import compare_phases
from eval.__main__ import main

pytestmark = pytest.mark.slow


def run_main(capsys, *args):
    """Exit code, standard output and standard error of the command, run in this process."""
    code = 0
    try:
        main([str(arg) for arg in args])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_compare_in_a_process_of_its_own_plays_the_same_bits(sac, ppo, trained_sac, tmp_path):
    command = [sys.executable, "-m", "eval", "compare", str(sac.path), "--episodes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "minus phase 0" in done.stdout
    here = type(sac).open(shutil.copytree(trained_sac.path, tmp_path / "here"))
    shutil.rmtree(here.path / "branches")
    compare_phases(ppo, 2)  # what was played before in the same process does not matter
    compare_phases(here, 3)
    for name in ("episodes.csv", "summary-3.json"):
        there = (sac.evaluation_path / name).read_bytes()
        assert there == (here.evaluation_path / name).read_bytes()


def test_several_runs_get_their_tables_in_order(sac, ppo, capsys):
    code, out, err = run_main(capsys, "compare", ppo.path, sac.path, "--episodes", 2)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert 0 <= words.index("reach, ppo, seed 0") < words.index("reach, sac, seed 0")


def test_latest_is_the_newest_run_below_runs(sac, tmp_path, capsys, monkeypatch):
    shutil.copytree(sac.path, tmp_path / "runs" / "reach" / "only")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_main(capsys, "plot", "latest")
    assert code == 0
    assert "runs/reach/only/evaluation/learning-curve.png" in out
    assert (tmp_path / "runs/reach/only/evaluation/learning-curve.svg").exists()


def test_video_says_that_it_kept_one(sac, capsys):
    sac.videos_path.mkdir()
    video = sac.videos_path / "phase-2.mp4"
    video.write_bytes(b"precious")
    code, out, err = run_main(capsys, "video", sac.path)
    assert (code, err) == (0, "")
    assert out == f"kept {video}; --overwrite films it again\n"
    assert video.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        (["compare", "RUN", "--episodes", "1"], 2, "episodes must be from 2 to 10000, got 1"),
        (["compare", "RUN", "--episodes", "many"], 2, "--episodes"),
        (["compare", "RUN", "--episode", "5"], 2, "--episode"),
        (["compare"], 2, "compare needs at least one RUN"),
        (["video", "RUN", "--phase", "9"], 2, "valid phases are 0, 1, 2"),
        (["film", "RUN"], 2, "film"),
        ([], 2, "card, compare, dataset, diagnose, enjoy, list, plot, rates, report, tune"),
        (["compare", "RUN/nowhere"], 1, "there is no run at"),
        (["plot", "RUN/snapshots"], 1, "is not a run"),
        (["video", "RUN/snapshots"], 1, "is not a run"),
    ],
)
def test_a_mistake_costs_one_line_and_writes_nothing(sac, capsys, args, code, complaint):
    before = sorted(sac.path.rglob("*"))
    args = [arg.replace("RUN", str(sac.path)) for arg in args]
    result, out, err = run_main(capsys, *args)
    assert (result, out) == (code, "")
    assert err.startswith("python -m eval: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert sorted(sac.path.rglob("*")) == before


ASK_ALL = """
import json, sys
from {module} import main
for args in json.loads(sys.argv[1]):
    try:
        main(args)
    except SystemExit:
        slow = {{"torch", "stable_baselines3", "scipy.stats", "pandas", "matplotlib"}}
        assert not slow & sys.modules.keys(), (args, slow & sys.modules.keys())
    else:
        sys.exit(f"{{args}} is no mistake")
"""


def ask_all(module, mistakes):
    script = ASK_ALL.format(module=module)
    command = [sys.executable, "-c", script, json.dumps(mistakes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_mistakes_are_answered_before_the_slow_imports(sac, tmp_path):
    shutil.copytree(sac.path, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "snapshots")
    (tmp_path / "begun" / "episodes.csv").unlink()
    shutil.rmtree(sac.snapshots_path / "600")
    run, begun, nowhere = str(sac.path), str(tmp_path / "begun"), str(tmp_path / "nowhere")
    mistakes = [
        ["compare", nowhere],
        ["compare", run, "--episodes", "1"],
        ["compare", run, "--episodes", "many"],
        ["compare", begun],
        ["compare"],
        ["plot", nowhere],
        ["plot", begun],
        ["video", nowhere],
        ["video", run, "--gif"],
        ["report", nowhere],
        ["list", nowhere],
        ["enjoy", nowhere],
        ["enjoy", run, "--episodes", "1"],
        ["video", begun],
        ["video", run, "--phase", "9"],
        ["video", run, "--phase", "2"],
        ["verify", nowhere],
        ["verify", begun],
        ["verify", run, "--from-step", "7"],
        ["card", nowhere],
        ["card", begun],
        ["card", run, "--phase", "9"],
        ["dataset", begun],
        ["dataset", run, "--episodes", "1"],
        ["tune"],
        ["tune", "--env", "nowhere"],
        ["tune", "--env", "reach", "--trials", "0"],
        ["tune", "--env", "reach", "--episodes", "1"],
        ["film", run],
        [],
    ]
    assert len(ask_all("eval.__main__", mistakes)) == len(mistakes)
    ask_all("eval.__main__", [["--help"], ["compare", "--help"], ["video", "--help"]])


def test_mistakes_in_training_are_answered_before_the_slow_imports(sac, tmp_path):
    run, nowhere = str(sac.path), str(tmp_path / "nowhere")
    shutil.rmtree(sac.snapshots_path / "399")
    with locked(sac):
        mistakes = [
            ["--env", "nowhere"],
            ["--env", "reach", "--algo", "nothing"],
            ["--env", "reach", "--seed", "one"],
            ["--env", "reach", "--decay-rate", "2"],
            ["--env", "reach", "--episodes", "1"],
            ["--env", "reach", "--output", run],
            ["--config", nowhere],
            ["--resume", nowhere],
            ["--resume", run],
            ["--resume", run, "--seed", "7"],
            ["--branch", nowhere, "--at-phase", "1"],
            ["--branch", run, "--at-phase", "2", "--held"],
            ["--branch", run, "--at-phase", "7", "--held"],
            ["--branch", run, "--at-phase", "1", "--held", "--output", run],
            ["--flag"],
        ]
        assert len(ask_all("train", mistakes)) == len(mistakes)
    ask_all("train", [["--help"]])


def test_a_broken_run_among_several_stops_before_anything_is_played(sac, ppo, capsys):
    (ppo.path / "run.json").write_text("{}")
    code, out, err = run_main(capsys, "compare", sac.path, ppo.path)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert not sac.evaluation_path.exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--help"], ["compare", "plot", "video"]),
        (["compare", "--help"], ["RUN", "--episodes", "evaluation/episodes.csv", "latest"]),
        (["plot", "--help"], ["RUN", "learning-curve.svg"]),
        (["video", "--help"], ["RUN", "--phase", "--overwrite", "(default: the last)"]),
    ],
)
def test_help_tells_what_a_command_does(capsys, args, words):
    code, out, err = run_main(capsys, *args)
    assert (code, err) == (0, "")
    assert all(word in out for word in words)
