"""Probes and placebos are trained beside a run, compared fairly, and never twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import ConfigError, RunDirectory, RunError
from agents.runs.directory import snapshot_steps
from agents.runs.keeping import remove_snapshot
from agents.runs.manifest import read_snapshot
from agents.training.loop import create_run, train_run
from eval.diagnosis import diagnose, diagnose_by_intervention, diagnosis_path
from eval.evidence import Evidence, read_evidence
from eval.intervention_plan import PLACEBOS, ordered_probes, plan_interventions
from eval.interventions import compare_with_placebos
from eval.pages.diagnosis import diagnosis_section
from eval.probes import PROBES, Change, probe
from schedules import StaircaseSchedule
from tests.agents.small_runs import small_config
from tests.agents.test_forks import QUIET
from tests.eval.test_eval_command import run_main

pytestmark = pytest.mark.slow

EPISODES = 2
SHARE = 1.3


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of 400 steps, the last 60 of them decayed; not to be changed."""
    schedule = StaircaseSchedule(1e-3, decay_steps=340, decay_rate=0.5)
    config = small_config("sac", schedule, total_timesteps=400, reward="dense")
    run = create_run(config, tmp_path_factory.mktemp("probed") / "run")
    train_run(run, QUIET)
    return run


@pytest.fixture(scope="module")
def evidence(original: RunDirectory) -> Evidence:
    return read_evidence(original)


@pytest.fixture(scope="module")
def probed(original: RunDirectory) -> RunDirectory:
    """The run after one probe beside its placebos."""
    copy = RunDirectory.open(Path(shutil.copytree(original.path, original.path.parent / "probed")))
    diagnose_by_intervention(copy, SHARE, EPISODES, processes=1)
    return copy


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_run_is_not_touched_and_probes_are_runs_below_it(
    original: RunDirectory, probed: RunDirectory
) -> None:
    before, after = digests(original.path), digests(probed.path)
    new = {name for name in after if after[name] != before.get(name)}
    assert before.keys() <= after.keys()
    assert {name for name in new if not name.startswith("probes/")} == {"evaluation/diagnosis.json"}
    (folder,) = (probed.path / "probes").iterdir()
    forks = [RunDirectory.open(path) for path in sorted(folder.iterdir())]
    assert [fork.path.name for fork in forks] == [
        *(f"placebo-{number}" for number in range(1, PLACEBOS + 1)),
        "rate_x3",
    ]
    assert len({fork.parent.generator_seed for fork in forks if fork.parent}) == 1 + PLACEBOS
    ends = [read_snapshot(fork, snapshot_steps(fork)[-1]).state_sha256 for fork in forks]
    assert len(set(ends)) == 1 + PLACEBOS


def test_the_diagnosis_says_and_stores_what_came_of_it_and_what_it_cost(
    probed: RunDirectory,
) -> None:
    data = json.loads(diagnosis_path(probed).read_text())["interventions"]
    (rate,) = data["probes"]
    assert (rate["name"], rate["start"], rate["placebos"]) == ("rate_x3", "snapshot", PLACEBOS)
    assert rate["changes"] == {"learning_rate": 3e-3}
    assert rate["beats"] is (rate["comparison"]["p_corrected"] <= 0.05)
    assert data["step"] == 339
    assert data["spent"] <= data["share"]
    assert data["seconds"] > 0
    assert data["left_out"]["batch_x4"] == "the share does not pay for it"
    # A diagnosis without interventions keeps them.
    assert diagnose(probed).interventions is None
    assert json.loads(diagnosis_path(probed).read_text())["interventions"] == data


def test_the_report_shows_the_probes(probed: RunDirectory) -> None:
    missing: list[str] = []
    section = diagnosis_section(diagnosis_path(probed), missing)
    assert section is not None
    assert not missing
    ((probe, change, start, *_, beats),) = section.tables[-1].rows
    assert (probe, change, start) == ("rate_x3", "learning_rate = 0.003", "snapshot")
    assert beats in ("yes", "no")
    assert "Interventions: " in section.text[0]


def test_a_second_call_trains_nothing_and_a_killed_one_goes_on_to_the_same(
    probed: RunDirectory,
) -> None:
    before = digests(probed.path)
    again = diagnose_by_intervention(probed, SHARE, EPISODES, processes=1)
    assert digests(probed.path) == before
    assert again.interventions is not None
    fork = RunDirectory.open(probed.path / again.interventions.probes[0].path)
    end = snapshot_steps(fork)[-1]
    state = read_snapshot(fork, end).state_sha256
    remove_snapshot(fork.snapshots_path / str(end))
    after = diagnose_by_intervention(probed, SHARE, EPISODES, processes=2)
    assert read_snapshot(fork, end).state_sha256 == state
    assert after.interventions is not None
    assert after.interventions.probes == again.interventions.probes


def test_the_text_names_each_probe_and_why_others_are_left_out(probed, capsys) -> None:
    flags = ("--intervene", "--share", SHARE, "--episodes", EPISODES, "--processes", 1)
    code, out, _ = run_main(capsys, "diagnose", probed.path, *flags)
    assert code == 0
    assert "rate_x3 (learning_rate = 0.003)" in out
    assert f"its {PLACEBOS} placebos: return" in out
    assert "left out: denser_reward: the reward is dense" in out


def test_what_lies_in_the_way_is_not_overwritten(probed: RunDirectory, tmp_path: Path) -> None:
    copy = RunDirectory.open(Path(shutil.copytree(probed.path, tmp_path / "run")))
    (folder,) = (copy.path / "probes").iterdir()
    shutil.rmtree(folder / "rate_x3")
    shutil.copytree(folder / "placebo-1", folder / "rate_x3")
    with pytest.raises(RunError, match="rate_x3 is not the probe that belongs there"):
        diagnose_by_intervention(copy, SHARE, EPISODES, processes=1)


def test_without_a_snapshot_or_a_share_that_pays_one_line_says_what_is_missing(
    original: RunDirectory, evidence: Evidence, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"too short .* --share 2.59 allows one") as refused:
        plan_interventions(evidence, (), 0.25)
    assert "\n" not in str(refused.value)
    plan_interventions(evidence, (), 2.59)
    with pytest.raises(ConfigError, match="share must be above 0"):
        plan_interventions(evidence, (), 0)
    copy = RunDirectory.open(Path(shutil.copytree(original.path, tmp_path / "run")))
    for step in snapshot_steps(copy):
        if step < 340:
            remove_snapshot(copy.snapshots_path / str(step))
    with pytest.raises(RunError, match="has no good snapshot to fork from step 111 to 339"):
        diagnose_by_intervention(copy, SHARE, EPISODES, processes=1)
    assert not (copy.path / "probes").exists()


@given(share=st.floats(2.6, 10), suspects=st.lists(st.sampled_from(sorted(PROBES)), max_size=3))
def test_a_plan_keeps_within_its_share_and_gives_each_start_its_placebos(
    evidence: Evidence, share: float, suspects: list[str]
) -> None:
    plan = plan_interventions(evidence, suspects, share)
    assert plan.spent <= plan.budget <= share * 290
    assert len({fork.path for fork in plan.forks}) == len(plan.forks)
    for start in {fork.start for fork in plan.forks}:
        names = [fork.name for fork in plan.forks if fork.start == start]
        assert sum(name.startswith("placebo") for name in names) == PLACEBOS
        assert len(names) > PLACEBOS
    tried = {fork.name for fork in plan.forks} & PROBES.keys()
    assert tried | plan.left_out.keys() == PROBES.keys()
    assert not tried & plan.left_out.keys()


def test_probes_of_the_first_suspect_come_first() -> None:
    order = ordered_probes(["network_too_small", "batch_too_large"])
    assert order[:2] == ("wider", "batch_div4")
    assert sorted(order) == sorted(PROBES)


def test_only_what_keeps_no_agent_starts_from_the_replay_buffer(evidence: Evidence) -> None:
    suspects = ["input_scale", "network_too_small", "q_diverges"]
    plan = plan_interventions(evidence, suspects, 10, 2)
    starts = {fork.name: fork.start for fork in plan.forks if fork.name in PROBES}
    fresh = {name for name, start in starts.items() if start == "replay buffer"}
    assert fresh == {"normalised", "wider", "layer_norm"}
    assert starts["rate_div3"] == "snapshot"


def test_on_policy_probes_that_keep_no_agent_start_anew_and_others_fork(trained_ppo) -> None:
    plan = plan_interventions(read_evidence(trained_ppo), (), 10, 2)
    starts = {fork.name: fork.start for fork in plan.forks if fork.name in PROBES}
    assert starts["rate_x3"] == "snapshot"
    assert starts["wider"] == "nothing"
    assert plan.left_out["more_hindsight"] == "ppo has no replay buffer"
    assert plan.left_out["normalised"] == "observations are normalised"
    assert plan.left_out["batch_x4"] == "a rollout has 64 steps, and a batch 64 of them"
    (wider,) = (fork for fork in plan.forks if fork.name == "wider")
    assert wider.config.hyperparameters["policy_kwargs"]["net_arch"] == [64, 64]
    assert wider.config.total_timesteps == plan.steps


def test_a_new_probe_is_one_function(evidence: Evidence) -> None:
    @probe("short_memory")
    def lower_discount(evidence: Evidence) -> Change:
        return Change({"gamma": 0.9})

    try:
        plan = plan_interventions(evidence, ["short_memory"], 2.6)
    finally:
        del PROBES["lower_discount"]
    assert plan.forks[-1].config.hyperparameters["gamma"] == 0.9


def test_a_probe_that_does_nothing_beats_its_placebos_in_at_most_one_of_twenty() -> None:
    generator = np.random.default_rng(0)
    worth = generator.normal(size=40)
    found = 0
    for _ in range(400):
        luck = generator.normal(size=(2 + PLACEBOS, 1))
        played = worth + luck + generator.normal(size=(2 + PLACEBOS, 40))
        one, other, *placebos = played
        compared = compare_with_placebos({"a": (one, placebos), "b": (other, placebos)})
        found += any(comparison.beats for comparison in compared.values())
    assert found <= 0.05 * 400 + 9  # Two standard deviations.


def test_a_large_effect_is_found_and_placebos_that_all_fail_do_not_make_a_small_one_large() -> None:
    failed = [np.full(50, -50.0)] * PLACEBOS
    once, often = np.full(50, -50.0), np.full(50, -50.0)
    once[0], often[:25] = -10.0, -10.0
    compared = compare_with_placebos({"once": (once, failed), "often": (often, failed)})
    assert not compared["once"].beats
    assert compared["often"].beats
    assert compared["often"].low > 0 > compared["once"].low
    assert compared["often"].effect == pytest.approx(20)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--share", "0.5"], "--share goes with --intervene"),
        (["--intervene", "--processes", "0"], "--processes must be at least 1, got 0"),
        (["--intervene", "--episodes", "1"], "episodes must be from 2"),
    ],
)
def test_flags_that_do_not_fit_are_refused(original, words, complaint, capsys) -> None:
    code, _, err = run_main(capsys, "diagnose", original.path, *words)
    assert code == 2
    assert complaint in err
    assert not (original.path / "probes").exists()
