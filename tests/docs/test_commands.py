"""Every command on the pages is one that its program accepts, and the quick ones run."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from pip._internal.commands import create_command

import envs
from agents import RunDirectory
from agents.cli.command_line import parse_arguments
from agents.cli.flags import TrainArguments, check_modes, is_study
from agents.cli.resolve import describe_fork, resolve_config, resolve_study
from agents.runs.forks import changed_config
from agents.studies.plan import make_plan
from eval.__main__ import Arguments, Compare, Diagnose, List, Plot, Report
from eval.__main__ import main as evaluate
from tests.docs.conftest import RUN
from tests.docs.pages import PAGES, ROOT, Command, commands

pytestmark = pytest.mark.slow

# What pages write for a name that the reader fills in.
PLACEHOLDERS = {
    "RUN": str(RUN),
    "latest": str(RUN),
    "runs/reach/my-run": str(RUN),
    "FOLDER": "runs",
    "TASK": "push",
    "NAME": "td3",
    "SEED": "1",
    "K": "1",
}
ALL = [command for page in PAGES for command in commands(page)]


@pytest.fixture
def nudge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package, as if it were installed."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples" / "nudge")
    task = importlib.import_module("nudge").Nudge
    for registry, name, value in (
        (envs.TASKS, "nudge", "bullet/Nudge-v0"),
        (envs.TASK_TYPES, "nudge", task),
        (envs.ROBOTS, "bare_iiwa", importlib.import_module("bare_iiwa").BareIiwa),
    ):
        monkeypatch.setitem(registry, name, value)


@pytest.mark.usefixtures("nudge")
@pytest.mark.parametrize("command", ALL, ids=str)
def test_a_command_is_accepted(
    command: Command, workplace: Path, long_run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    words = [PLACEHOLDERS.get(word, word) for word in command.words]
    accept([word.replace("~", str(workplace)) for word in words], long_run)


def accept(words: Sequence[str], long_run: RunDirectory) -> None:
    """Runs a command, or has it parsed by its program; fails on one that no test knows."""
    match words:
        case ["python", "train.py", *rest] | ["staircase-train", *rest]:
            accept_training(rest, long_run)
        case ["python", "-m", "eval", *rest] | ["staircase-eval", *rest]:
            accept_evaluation(rest)
        case ["python", "-m", module, *rest] if module.startswith("benchmarks."):
            accept_benchmark(Path(*module.split(".")).with_suffix(".py"), rest)
        case ["python", script, *rest] if script.startswith("benchmarks/"):
            accept_benchmark(Path(script), rest)
        case ["python", "-m", "rl_zoo3.train" | "rl_zoo3.enjoy", *rest]:
            accept_zoo(rest)
        case ["python", "-c", code, *rest] if "rl_zoo3" in code:
            compile(code, "", "exec")
            accept_zoo(rest)
        case ["pip", "install", *rest]:
            accept_install(rest)
        case ["docker", "run", *options, "staircase-train", "--env", env]:
            assert "staircase-lab" in options
            accept_training(["--env", env], long_run)
        case ["docker", "build", "-t", "staircase-lab", "."]:
            (step,) = re.findall(r"^RUN pip (.*)$", Path("Dockerfile").read_text(), re.MULTILINE)
            accept(["pip", *shlex.split(step)], long_run)
        case ["mkdir", "-p", folder]:
            Path(folder).mkdir(parents=True, exist_ok=True)
        case ["sbatch", script]:
            assert script.startswith("runs/studies/")
            assert script.endswith("/slurm.sh")
        case ["pytest"] | ["mkdocs", "serve"]:
            pass
        case [script]:
            assert Path(script).exists()
        case _:
            pytest.fail("no test knows how to check this command")


def parsed(arguments: type, prog: str, words: Sequence[str]) -> Any:
    """What the real parser makes of the words; None where they only ask for help or completion."""
    try:
        return parse_arguments(arguments, prog, words)
    except SystemExit as stop:
        if stop.code:
            raise
        return None


def accept_training(words: Sequence[str], long_run: RunDirectory) -> None:
    arguments = parsed(TrainArguments, "train.py", words)
    if arguments is None:
        return
    check_modes(arguments)
    if is_study(arguments):
        study = arguments.study
        if study is not None and study.parts[:2] == ("runs", "studies"):  # one that is trained
            return
        assert make_plan(resolve_study(arguments)).runs
    elif arguments.resume is not None:
        return  # any path will do
    elif arguments.branch is not None:
        changed_config(long_run, describe_fork(arguments, long_run).changes)
    else:
        resolve_config(arguments)


def accept_evaluation(words: Sequence[str]) -> None:
    arguments = parsed(Arguments, "python -m eval", words)
    quick = Compare | Diagnose | List | Plot | Report
    if arguments is None or not isinstance(arguments.command, quick):
        return
    trains = "--intervene" in words
    if (str(RUN) in words or "list" in words) and not trains:
        evaluate([*words, *(["--episodes", "2"] if "compare" in words else [])])


def accept_benchmark(script: Path, words: Sequence[str]) -> None:
    source = script.read_text(encoding="utf-8")
    assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == []


def accept_zoo(words: Sequence[str]) -> None:
    flags = dict(pairwise(words))
    assert gymnasium.spec(flags["--env"]).id == flags["--env"]
    if "--conf-file" in flags:
        assert flags["--env"] in importlib.import_module(flags["--conf-file"]).hyperparams


def accept_install(words: Sequence[str]) -> None:
    """Has pip parse the words, and looks for what they name in the checkout."""
    options, packages = create_command("install").parse_args(list(words))
    local = [
        *options.editables,
        *(name for name in packages if name.startswith(("staircase", "."))),
    ]
    for path in (*options.constraints, *(name.split("[")[0] for name in options.editables)):
        assert Path(path).exists(), path
    project = Path("pyproject.toml").read_text(encoding="utf-8")
    for name in local:
        for extra in re.findall(r"\[(.*)\]", name):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
