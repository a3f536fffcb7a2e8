"""What the docs and docstrings show runs, and shows what it says."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import schedules

MODULES = [module.name for module in pkgutil.iter_modules(schedules.__path__)]
PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    result = doctest.testmod(importlib.import_module(f"schedules.{name}"))
    assert result.failed == 0


def test_every_public_schedule_and_adapter_has_an_example():
    finder = doctest.DocTestFinder()
    without = [
        name
        for name in schedules.__all__
        if name not in ("Phase", "Schedule")
        and not any(test.examples for test in finder.find(getattr(schedules, name), name))
    ]
    assert without == []


def test_the_examples_of_the_page_show_what_they_say():
    # Without the fences, which would be taken for output.
    examples = re.sub(r"^```.*$", "", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(examples, {}, PAGE.name, str(PAGE), 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "script",
    re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ),
    ids=lambda script: script.splitlines()[0],
)
def test_the_scripts_of_the_page_run(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(script, str(PAGE), "exec"), {"__name__": "page"})


def test_importing_the_package_imports_neither_sb3_nor_torch():
    code = "import sys, schedules; print({'stable_baselines3', 'torch'} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(schedules.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == "set()"
