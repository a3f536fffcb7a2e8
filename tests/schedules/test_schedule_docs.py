"""What the docstrings show runs, and shows what it says."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import schedules

MODULES = [module.name for module in pkgutil.iter_modules(schedules.__path__)]


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
