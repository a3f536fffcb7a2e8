"""Benchmarks are run by hand, so that nothing else tells when a name they need has moved."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PACKAGES = {"agents", "envs", "eval", "schedules", "train"}


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.py")), ids=lambda file: file.stem)
def test_what_a_benchmark_imports_of_the_project_is_there(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            wanted = {node.module: [alias.name for alias in node.names]}
        elif isinstance(node, ast.Import):
            wanted = {alias.name: [] for alias in node.names}
        else:
            continue
        for module, names in wanted.items():
            if module.split(".")[0] in PACKAGES:
                found = importlib.import_module(module)
                missing = [name for name in names if not hasattr(found, name)]
                assert not missing, f"{module} has no {', '.join(missing)}"
