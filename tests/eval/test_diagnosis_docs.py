"""What docs/diagnosis.md says of checks and probes is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.checks import CHECKS, Suspicion, check
from eval.evidence import Evidence
from eval.probes import PROBES, Answer, Change, probe

TEXT = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
ROWS = [
    [re.findall(r"`(\w+)`", cell) for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|")
]


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_has_a_row(kind: str) -> None:
    assert any(kind in cell for row in ROWS for cell in row)


def test_the_table_of_probes_names_them_in_their_order_with_their_suspects() -> None:
    rows = [row for row in ROWS if len(row) == 3 and set(row[0]) & PROBES.keys()]
    assert [name for row in rows for name in row[0]] == list(PROBES)
    for names, _, suspects in rows:
        assert {kind for name in names for kind in PROBES[name].suspects} == set(suspects)
        assert set(suspects) <= CHECKS.keys()


def test_the_examples_of_a_new_check_and_a_new_probe_register() -> None:
    known = {each.__name__: each for each in (check, Suspicion, Evidence, Change, probe)}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(block, {**known, "Answer": Answer})
    try:
        assert "moved_goals" in CHECKS["untouched"].needs
        assert PROBES["more_noise"].suspects == ("untouched",)
    finally:
        del CHECKS["untouched"], PROBES["more_noise"]
