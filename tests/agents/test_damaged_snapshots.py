"""Damage to a snapshot is detected and named, and the newest good one is used."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from agents import RunDirectory, RunError, load_agent
from agents.learners.environments import make_training_envs
from agents.learners.sb3_learner import build_learner
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import (
    DamagedSnapshot,
    check_snapshot,
    newest_good_snapshot,
    read_snapshot,
)
from agents.runs.provenance import processor
from agents.snapshots.store import load_acting
from agents.training.loop import create_run, train_run
from tests.agents.small_runs import small_config

pytestmark = pytest.mark.slow

FILES = ("manifest.json", "agent.zip", "state.json", "arrays.npz", "vecnormalize.pkl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    config = small_config(
        "sac", total_timesteps=200, normalize={}, hyperparameters={"buffer_size": 120}
    )
    run = create_run(config, tmp_path_factory.mktemp("whole") / "run")
    train_run(run, Console(quiet=True))
    return run


@pytest.fixture
def run(whole: RunDirectory, tmp_path: Path) -> RunDirectory:
    """The run as it is when it was killed before its end."""
    shutil.copytree(whole.path, tmp_path / "run")
    copy = RunDirectory.open(tmp_path / "run")
    shutil.rmtree(copy.snapshots_path / str(snapshot_steps(copy)[-1]))
    return copy


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Writes a manifest as a forger would, with a checksum that fits."""
    manifest.pop("manifest_sha256")
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    manifest["manifest_sha256"] = hashlib.sha256(text).hexdigest()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_an_older_snapshot_used(
    damage: Callable[[Path], None], name: str, run: RunDirectory
) -> None:
    *_, older, newest = snapshot_steps(run)
    damage(run.snapshots_path / str(newest) / name)

    snapshot, complaints = newest_good_snapshot(run)

    assert snapshot is not None
    assert snapshot.step == older
    (complaint,) = complaints
    assert str(run.snapshots_path / str(newest)) in complaint
    assert name.partition(".")[0] in complaint


def test_a_run_with_a_damaged_snapshot_still_ends_identically(
    run: RunDirectory, whole: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    flip_a_bit(run.snapshots_path / str(snapshot_steps(run)[-1]) / "arrays.npz")

    train_run(run, Console(quiet=True))

    assert "arrays.npz does not match its checksum; an older one is used" in caplog.text
    assert snapshot_steps(run) == snapshot_steps(whole)
    for step in snapshot_steps(whole):
        check_snapshot(run, read_snapshot(run, step))
        assert read_snapshot(run, step).state_sha256 == read_snapshot(whole, step).state_sha256


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject, whole: RunDirectory) -> None:
    step = snapshot_steps(whole)[-1]
    path = whole.snapshots_path / str(step) / data.draw(st.sampled_from(FILES))
    original = path.read_bytes()
    flipped = bytearray(original)
    flipped[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        with pytest.raises(RunError):
            check_snapshot(whole, read_snapshot(whole, step))
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("part", ["replay", "metrics.csv", "episodes.csv"])
def test_chunks_and_tables_are_checked_too(
    damage: Callable[[Path], None], part: str, run: RunDirectory
) -> None:
    path = run.path / part
    damage(max(path.iterdir()) if path.is_dir() else path)
    step = snapshot_steps(run)[-1]
    if damage is truncate and path.is_file():
        truncate_to = read_snapshot(run, step).tables[part]["bytes"] - 1
        path.write_bytes(path.read_bytes()[:truncate_to])

    with pytest.raises(DamagedSnapshot, match=part):
        check_snapshot(run, read_snapshot(run, step))


def test_no_good_snapshot_is_one_line(run: RunDirectory) -> None:
    for step in snapshot_steps(run):
        empty(run.snapshots_path / str(step) / "manifest.json")
    with pytest.raises(RunError, match=r"no snapshot of .* is good") as caught:
        train_run(run, Console(quiet=True))
    assert "\n" not in str(caught.value)


def test_a_vanished_snapshot_is_passed_over(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = snapshot_steps(run)
    monkeypatch.setattr("agents.runs.manifest.snapshot_steps", lambda run: (*steps, 199))
    snapshot, complaints = newest_good_snapshot(run)
    assert snapshot is not None
    assert snapshot.step == steps[-1]
    assert len(complaints) == 1


def test_an_unknown_format_is_refused_and_not_passed_over(run: RunDirectory) -> None:
    path = run.snapshots_path / str(snapshot_steps(run)[-1]) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["format_version"] = 99
    path.write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="version 99; this code reads"):
        train_run(run, Console(quiet=True))


def test_other_package_versions_warn(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    path = run.snapshots_path / str(snapshot_steps(run)[-1]) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["versions"]["torch"] = "1.0"
    write_manifest(path, manifest)

    train_run(run, Console(quiet=True))

    assert "made with other versions (torch 1.0 -> " in caplog.text


RESUME_WITHOUT_AVX = """
import os, sys
import numpy
found = numpy.show_config(mode="dicts")["SIMD Extensions"]["found"]
if "NPY_DISABLE_CPU_FEATURES" not in os.environ:
    os.environ["NPY_DISABLE_CPU_FEATURES"] = " ".join(f for f in found if "AVX" in f or "FMA" in f)
    os.execv(sys.executable, [sys.executable, *sys.argv])
from train import main
sys.exit(main(["--resume", sys.argv[1], "--no-video", "--episodes", "2", "--quiet"]))
"""


def test_a_processor_with_other_instructions_warns(run: RunDirectory, tmp_path: Path) -> None:
    if "AVX2" not in processor()["instruction_set"].split():
        pytest.skip("this processor has no instructions to do without")
    script = tmp_path / "resume.py"
    script.write_text(RESUME_WITHOUT_AVX)
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, script, run.path],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0
    (line,) = process.stderr.splitlines()
    assert f"{run.path} was made on another processor (without AVX" in line
    assert line.endswith("so it may go on differently")


def test_another_model_of_processor_warns_and_an_unknown_one_does_not(
    run: RunDirectory, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = run.snapshots_path / str(snapshot_steps(run)[-1]) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["processor"]["model"] = "Abacus 3000"
    write_manifest(path, manifest)
    shutil.copytree(run.path, tmp_path / "old")
    old = RunDirectory.open(tmp_path / "old")

    train_run(run, Console(quiet=True))

    model = processor()["model"]
    assert f"on another processor (Abacus 3000 -> {model}), so it may" in caplog.text
    caplog.clear()
    del manifest["processor"]
    write_manifest(
        old.snapshots_path / path.parent.name / "manifest.json", {**manifest, "manifest_sha256": ""}
    )
    described = json.loads((old.path / "run.json").read_text())
    del described["processor"]
    (old.path / "run.json").write_text(json.dumps(described))
    train_run(RunDirectory.open(old.path), Console(quiet=True))
    assert not caplog.text


@pytest.mark.parametrize("key", ["files", "tables"])
@pytest.mark.parametrize("name", ["../outside", "/outside", "sub/file", ".."])
def test_a_manifest_cannot_name_a_file_outside_the_run(
    key: str, name: str, run: RunDirectory
) -> None:
    step = snapshot_steps(run)[-1]
    path = run.snapshots_path / str(step) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest[key][name] = next(iter(manifest[key].values()))
    write_manifest(path, manifest)
    with pytest.raises(DamagedSnapshot, match="is not the name of a file of the run"):
        read_snapshot(run, step)


def test_an_incomplete_manifest_is_damage(run: RunDirectory) -> None:
    step = snapshot_steps(run)[-1]
    path = run.snapshots_path / str(step) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["tables"]
    write_manifest(path, manifest)
    with pytest.raises(DamagedSnapshot, match="the manifest is incomplete"):
        read_snapshot(run, step)


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("unpickled"),))


@pytest.mark.parametrize("member", ["data", "policy.pth", "pytorch_variables.pth"])
def test_nothing_in_a_snapshot_is_unpickled(
    member: str, run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = run.snapshots_path / str(snapshot_steps(run)[-1])
    trap = pickle.dumps(_Trap(), protocol=2)
    poisoned = io.BytesIO()
    with (
        zipfile.ZipFile(path / "agent.zip") as archive,
        zipfile.ZipFile(poisoned, "w") as forged,
    ):
        for name in archive.namelist():
            forged.writestr(name, trap if name == member else archive.read(name))
    (path / "agent.zip").write_bytes(poisoned.getvalue())
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"]["agent.zip"] = hashlib.sha256(poisoned.getvalue()).hexdigest()
    write_manifest(path / "manifest.json", manifest)
    learner = build_learner(run.config, make_training_envs(run.config))
    snapshot = read_snapshot(run, int(path.name))
    check_snapshot(run, snapshot)

    if member == "data":
        load_acting(snapshot, learner)
    else:
        with pytest.raises(pickle.UnpicklingError):
            load_acting(snapshot, learner)

    assert not Path("unpickled").exists()


def test_the_statistics_in_sb3s_form_are_never_read(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = run.snapshots_path / str(snapshot_steps(run)[-1])
    trap = pickle.dumps(_Trap())
    (path / "vecnormalize.pkl").write_bytes(trap)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"]["vecnormalize.pkl"] = hashlib.sha256(trap).hexdigest()
    write_manifest(path / "manifest.json", manifest)

    load_agent(run)
    train_run(run, Console(quiet=True))

    assert snapshot_steps(run)[-1] > int(path.name)
    assert not Path("unpickled").exists()
