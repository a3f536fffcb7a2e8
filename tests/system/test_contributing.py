"""What CONTRIBUTING.md says of the house is true."""

from __future__ import annotations

import re

import pytest

import envs
from agents import ALGORITHMS
from schedules.registry import SCHEDULES
from tests.system.commands import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| a") and "`" in line
]


def test_every_file_that_the_text_names_exists() -> None:
    named = re.findall(r"`((?:agents|benchmarks|envs|eval|schedules|tests|\.ci)/[\w./]*)`", TEXT)
    assert len(named) > 15
    for name in named:
        assert "NAME" in name or (ROOT / name).exists(), name


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("an algorithm", ALGORITHMS),
        (
            "a task of the lab",
            [task.__module__.split(".")[-1] for task in envs.TASK_TYPES.values()],
        ),
        ("a robot of the lab", [robot.__module__.split(".")[-1] for robot in envs.ROBOTS.values()]),
        ("a schedule", [schedule.__module__.split(".")[-1] for schedule in SCHEDULES]),
    ],
)
def test_what_is_there_lies_where_the_table_says_and_is_named_where_it_says(what, names) -> None:
    (row,) = (row for row in ROWS if row[0] == what)
    (pattern,) = re.findall(r"`([^`]*)`", row[1])
    (registry,) = re.findall(r"`([^`]*)`", row[2])
    registered = (ROOT / registry).read_text(encoding="utf-8")
    for name in names:
        path = ROOT / pattern.replace("NAME", name)
        assert path.exists()
        kind = re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert any(word in registered for word in (*kind, f'"{name}"'))


def test_the_rooms_are_those_whose_imports_are_kept() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    kept = re.search(r'name = "Inside agents, too".*?layers = \[(.*?)\]', project, re.DOTALL)[1]
    order = re.search(r"\n(cli .*?)\n", TEXT)[1]
    rooms = [room for room in re.findall(r"agents\.(\w+)", kept) if room != "rl_zoo"]
    assert re.findall(r"\w+", order)[: len(rooms) - 2] == rooms[:-2]
