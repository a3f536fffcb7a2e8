"""The diagnosis of a study counts healthy seeds and the faults that they share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agents import RunError
from eval.diagnosis import diagnosis_path
from eval.study import open_study
from eval.study_diagnosis import diagnose_study
from tests.eval.small_studies import BASE, trained_study
from tests.eval.test_eval_command import run_main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one arm with batches of 4 and two seeds; not to be changed."""
    base = {
        **BASE,
        "total_timesteps": 160,
        "hyperparameters": {**BASE["hyperparameters"], "batch_size": 4},
    }
    return trained_study(tmp_path_factory.mktemp("study"), base=base, axes={})


@pytest.fixture
def study(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "small"))


def test_healthy_seeds_and_shared_faults_are_counted_per_arm(study: Path, capsys) -> None:
    code, out, err = run_main(capsys, "diagnose", study)
    assert (code, err) == (0, "")
    assert "0 of 2 runs of" in out
    assert "0 of 2 seeds healthy [0, 66] %: 2 unknown" in out
    assert "batch_too_small (hyperparameters) at 2 of 2 seeds (0, 1)" in out
    data = json.loads((study / "evaluation" / "diagnosis.json").read_text())
    (arm,) = data["arms"]
    assert arm["states"] == {"unknown": 2}
    assert arm["healthy"]["value"] == 0
    assert [fault["kind"] for fault in arm["faults"]] == ["batch_too_small"]
    assert arm["faults"][0]["seeds"] == [0, 1]
    for run in open_study(study).runs.values():
        assert diagnosis_path(run.run).exists()


def test_seeds_that_are_not_trained_or_damaged_are_named_and_not_counted(study: Path) -> None:
    (first, second) = (run.run for run in open_study(study).runs.values())
    second.metrics_path.write_text("step,phase\n1,x\n")
    (arm,) = diagnose_study(study).arms
    assert arm.seeds == (0,)
    assert "damaged" in arm.missing[1]
    shutil.rmtree(first.path)
    with pytest.raises(RunError, match="has no run to diagnose"):
        diagnose_study(study)


def test_a_study_takes_no_interventions(study: Path, capsys) -> None:
    code, _, err = run_main(capsys, "diagnose", study, "--intervene")
    assert code == 2
    assert "is a study: --intervene takes runs" in err
