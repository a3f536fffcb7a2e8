"""A study in the list: one entry, whatever it is made of."""

import shutil

import pytest

from agents import RunDirectory
from agents.runs.lock import locked
from eval.listing import list_folder
from eval.study_comparison import compare_study
from tests.eval.small_studies import trained_study

pytestmark = pytest.mark.slow


def test_a_study_is_one_entry_with_its_verdicts(tmp_path):
    folder = trained_study(tmp_path / "runs", axes={}, held_branches="phase", placebos=0)
    (entry,) = list_folder(tmp_path / "runs")
    assert (entry.kind, entry.state, entry.env, entry.algo) == ("study", "complete", "reach", "sac")
    assert (entry.done, entry.planned) == (2, 2)
    comparison = compare_study(folder, 2)
    (entry,) = list_folder(tmp_path / "runs")
    decays = comparison.effects[0].decays
    assert [effect.of for effect in entry.effects] == [decay.label for decay in decays]
    assert [effect.verdict for effect in entry.effects] == [d.verdict.word for d in decays]
    ends = next(folder.glob("*/seed-1"))
    shutil.rmtree(ends / "snapshots" / "260")
    (entry,) = list_folder(tmp_path / "runs")
    assert (entry.state, entry.done) == ("interrupted", 1)
    segment = next(p.parent for p in (tmp_path / "runs" / "segments").glob("*/run.json"))
    run = RunDirectory.open(segment)
    shutil.rmtree(run.snapshots_path / str(run.config.total_timesteps))
    with locked(run):
        (entry,) = list_folder(tmp_path / "runs")
    assert entry.state == "running"
