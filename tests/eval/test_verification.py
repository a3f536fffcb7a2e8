"""`python -m eval verify`: replaying a run between its snapshots."""

import json
from itertools import pairwise

import pytest

from agents import ConfigError, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from eval import verify_run
from eval.__main__ import main
from tests.agents.test_damaged_snapshots import flip_a_bit, write_manifest

pytestmark = pytest.mark.slow


def files(run):
    return {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["sac", "ppo"])
def test_every_stretch_of_a_run_replays_to_the_same_bits(name, request):
    run = request.getfixturevalue(name)
    before = files(run)

    replays = list(verify_run(run))

    steps = (0, *snapshot_steps(run))
    assert [(r.start, r.stop) for r in replays] == list(pairwise(steps))
    assert all(replay.agrees for replay in replays)
    assert [r.expected for r in replays] == [
        read_snapshot(run, step).state_sha256 for step in steps[1:]
    ]
    assert files(run) == before


def test_a_branch_is_replayed_from_its_fork(branched):
    branch = type(branched).open(branched.path / "branches" / "held-1")
    (replay,) = verify_run(branch)
    assert (replay.start, replay.stop) == snapshot_steps(branch)
    assert replay.agrees


def test_a_forged_state_is_found(sac, capsys):
    first, second, *_ = snapshot_steps(sac)
    path = sac.snapshots_path / str(second) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["state_sha256"] = "0" * 64
    write_manifest(path, manifest)

    with pytest.raises(SystemExit) as caught:
        main(["verify", str(sac.path), "--from-step", str(first)])

    out, err = capsys.readouterr()
    assert caught.value.code == 1
    assert "DIFFERS" in out
    assert err == f"python -m eval: 1 of the replayed stretches of {sac.path} differ\n"


def test_the_command_says_what_agrees(ppo, capsys):
    main(["verify", str(ppo.path), "--from-step", "0"])
    out, _ = capsys.readouterr()
    (step, *_) = snapshot_steps(ppo)
    assert out.split()[:3] == ["0", "to", str(step)]
    assert out.rstrip().endswith("agrees")


def test_a_step_without_a_snapshot_is_refused_with_the_valid_ones(sac):
    with pytest.raises(ConfigError, match=r"--from-step 5: .* can be replayed from 0, 199"):
        next(verify_run(sac, 5))


def test_a_damaged_snapshot_is_named(sac):
    step = snapshot_steps(sac)[0]
    flip_a_bit(sac.snapshots_path / str(step) / "state.json")
    with pytest.raises(RunError, match=r"state\.json does not match"):
        list(verify_run(sac))
