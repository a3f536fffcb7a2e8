"""What is not installed is named with the command that installs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents import ConfigError
from agents.extras import require_extra

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["missing", "a folder of that name"])
def test_a_missing_package_is_named_with_the_extra(kind, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    if kind != "missing":
        (tmp_path / "no_such_package").mkdir()
    with pytest.raises(ConfigError) as caught:
        require_extra("a feature", "no_such_package", "hub")
    message = "a feature needs no_such_package: pip install 'staircase-lab[hub]'"
    assert str(caught.value) == message


def test_the_extras_that_the_code_names_exist() -> None:
    code = [file.read_text() for room in ("agents", "eval") for file in (ROOT / room).rglob("*.py")]
    named = set(re.findall(r'require_extra\("[^"]+", "\w+", "(\w+)"\)', "\n".join(code)))
    assert named == {"wandb", "mlflow", "tune", "hub", "minari"}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in named)
