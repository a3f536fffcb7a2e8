"""Each phase's agent on the same episodes: what is played, what is kept, what is told."""

import csv
import dataclasses
import io
import json
import shutil
from importlib.metadata import version
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from rich.console import Console
from stable_baselines3 import PPO, SAC

from agents import ConfigError, RunDirectory, RunError
from agents.runs.directory import branch_path
from agents.training.branch_schedules import held_schedule
from agents.training.branches import create_branch
from agents.training.loop import train_run
from eval import (
    compare_phases,
    comparison_table,
    evaluation_seeds,
    play_phases,
    plot_run,
    summarise_phases,
    summary_path,
    video_path,
)
from eval.comparison import TRAINING_COLUMNS
from eval.rollouts import Rollouts
from eval.statistics import bootstrap_mean, interquartile_mean, wilson_interval
from eval.training_tables import read_training_table
from schedules import StaircaseSchedule
from tests.eval.conftest import PPO as PPO_CONFIG
from tests.eval.conftest import SAC as SAC_CONFIG
from tests.eval.conftest import trained

pytestmark = pytest.mark.slow

SAC_ENDS = {0: 199, 1: 399, 2: 600}
PPO_ENDS = {0: 192, 1: 384, 2: 640}


def episodes_file(run):
    return run.evaluation_path / "episodes.csv"


def rows(run):
    return list(csv.DictReader(io.StringIO(episodes_file(run).read_text())))


def phase_returns(run, phase):
    return [float(row["return"]) for row in rows(run) if row["phase"] == str(phase)]


def replace_in_file(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def printed(comparison, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(comparison_table(comparison))
    return console.file.getvalue()


def test_evaluation_seeds_are_fixed_and_no_training_seed_is_among_them(sac):
    seeds = evaluation_seeds(3)
    assert list(seeds) == [2147483648, 2147483649, 2147483650]
    assert list(evaluation_seeds(100)[:3]) == list(seeds)
    with pytest.raises(ConfigError, match="seed must be from 0 to 2147483647"):
        type(sac.config).from_dict({**sac.config.to_dict(), "seed": seeds[0]})


def play_by_hand(model, seed, transform=lambda observation: observation):
    """Return, length and success of an episode, without any code of this project's evaluator."""
    env = gym.make("bullet/Reach-v0", reward="dense")
    observation, _ = env.reset(seed=seed)
    total, length, over = 0.0, 0, False
    while not over:
        action, _ = model.predict(transform(observation), deterministic=True)
        observation, reward, terminated, truncated, info = env.step(action)
        total, length, over = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length, int(info["is_success"])


def test_each_phase_agent_plays_the_evaluation_episodes(sac):
    comparison = compare_phases(sac, episodes=3)
    assert {result.phase: result.step for result in comparison.phases} == SAC_ENDS
    stored = {(int(r["phase"]), int(r["seed"])): r for r in rows(sac)}
    assert len(stored) == 9
    for phase, step in SAC_ENDS.items():
        model = SAC.load(sac.snapshots_path / str(step) / "agent.zip", device="cpu")
        for seed in evaluation_seeds(3):
            row = stored[phase, seed]
            played = float(row["return"]), int(row["length"]), int(row["success"])
            assert played == play_by_hand(model, seed)


def test_observations_are_normalised_as_at_the_snapshot(ppo):
    comparison = compare_phases(ppo, episodes=2)
    assert {result.phase: result.step for result in comparison.phases} == PPO_ENDS
    for phase, step in PPO_ENDS.items():
        snapshot = ppo.snapshots_path / str(step)
        model = PPO.load(snapshot / "agent.zip", device="cpu")
        with np.load(snapshot / "arrays.npz") as file:
            moments = {key: file[key] for key in file.files if key.startswith("normalizer.")}

        def normalised(observation, moments=moments):
            result = {}
            for key, value in observation.items():
                mean, variance = moments[f"normalizer.{key}.mean"], moments[f"normalizer.{key}.var"]
                result[key] = np.clip((value - mean) / np.sqrt(variance + 1e-8), -10, 10).astype(
                    np.float32
                )
            return result

        by_hand = [play_by_hand(model, seed, normalised)[0] for seed in evaluation_seeds(2)]
        assert phase_returns(ppo, phase) == by_hand


def test_statistics_are_those_of_the_stored_episodes(sac):
    comparison = compare_phases(sac, episodes=4)
    baseline = np.array(phase_returns(sac, 0))
    for result in comparison.phases:
        returns = np.array(phase_returns(sac, result.phase))
        successes = sum(int(r["success"]) for r in rows(sac) if int(r["phase"]) == result.phase)
        assert result.mean_return == bootstrap_mean(returns)
        assert result.interquartile_mean_return.value == interquartile_mean(returns)
        assert result.success_rate == wilson_interval(successes, 4)
        if result.phase == 0:
            assert result.difference is None
        else:
            assert result.difference == bootstrap_mean(returns - baseline)


def test_summarising_neither_plays_nor_writes(sac):
    comparison = compare_phases(sac, episodes=2)
    played = play_phases(sac, episodes=2)
    training = read_training_table(sac.episodes_path, TRAINING_COLUMNS)
    shutil.rmtree(sac.evaluation_path)
    shutil.rmtree(sac.snapshots_path)
    assert summarise_phases(sac, played, training) == comparison
    assert not sac.evaluation_path.exists()


def test_comparing_again_plays_nothing_and_tells_the_same(sac):
    first = compare_phases(sac, episodes=3)
    before = {path: path.read_bytes() for path in sac.evaluation_path.iterdir()}
    # Without agents nothing can be played.
    for archive in sac.snapshots_path.glob("*/agent.zip"):
        archive.unlink()
    assert compare_phases(sac, episodes=3) == first
    assert {path: path.read_bytes() for path in sac.evaluation_path.iterdir()} == before


def test_more_episodes_play_only_the_missing_ones(sac, trained_sac, tmp_path):
    compare_phases(sac, episodes=2)
    kept = rows(sac)
    first_row = episodes_file(sac).read_text().splitlines()[1]
    cells = first_row.split(",")
    cells[5] = "-12.25"  # a return that playing again would not give
    replace_in_file(episodes_file(sac), first_row, ",".join(cells))
    compare_phases(sac, episodes=4)
    assert phase_returns(sac, 0)[0] == -12.25
    assert len(rows(sac)) == 12

    at_once = RunDirectory.open(shutil.copytree(trained_sac.path, tmp_path / "at-once"))
    shutil.rmtree(at_once.path / "branches")
    compare_phases(at_once, episodes=4)
    replace_in_file(episodes_file(sac), ",".join(cells), first_row)
    assert episodes_file(sac).read_bytes() == episodes_file(at_once).read_bytes()
    assert [row for row in rows(sac) if row in kept] == kept


def test_fewer_episodes_lose_none(sac):
    compare_phases(sac, episodes=4)
    stored = episodes_file(sac).read_bytes()
    comparison = compare_phases(sac, episodes=2)
    assert episodes_file(sac).read_bytes() == stored
    assert comparison.phases[0].mean_return == bootstrap_mean(phase_returns(sac, 0)[:2])
    assert summary_path(sac, 4).exists()
    assert summary_path(sac, 2).exists()


def test_rows_that_another_process_adds_meanwhile_are_kept(sac, monkeypatch):
    load = Rollouts.load

    def load_after_another_process(self, snapshot):
        monkeypatch.setattr(Rollouts, "load", load)
        compare_phases(sac, episodes=4)
        load(self, snapshot)

    monkeypatch.setattr(Rollouts, "load", load_after_another_process)
    compare_phases(sac, episodes=2)
    assert len(rows(sac)) == 12


def test_another_state_at_the_same_step_is_another_agent(sac):
    compare_phases(sac, episodes=2)
    state = rows(sac)[0]["state_sha256"]
    replace_in_file(episodes_file(sac), state, "0" * 64)
    compare_phases(sac, episodes=2)
    states = [row["state_sha256"] for row in rows(sac)]
    assert states.count("0" * 64) == 1
    assert states.count(state) == 2


def test_summary_is_the_comparison_as_strict_json(sac):
    comparison = compare_phases(sac, episodes=2)
    text = summary_path(sac, 2).read_text()
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert data == json.loads(json.dumps(comparison.to_dict()))
    assert data["phases"][1]["difference"].keys() == {"value", "low", "high"}
    assert str(sac.path) not in text


HEADER = "phase,step,state_sha256,episode,seed,return,length,success\n"
GOOD_ROW = f"0,199,{'a' * 64},0,2147483648,-50.0,50,0\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "was not written by this project"),
        ("reward,episode\n1,2\n", "was not written by this project"),
        (HEADER + GOOD_ROW + "0,199,", "damaged at line 3"),
        (HEADER + GOOD_ROW.replace("-50.0", "nan"), "damaged at line 2"),
        (HEADER + GOOD_ROW.replace("2147483648", "7"), "damaged at line 2"),
        (HEADER + GOOD_ROW.replace(",0\n", ",2\n"), "damaged at line 2"),
        (HEADER + GOOD_ROW + GOOD_ROW, "line 3 has an episode for the second time"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_damaged_table_is_named_and_left_alone(sac, content, complaint):
    content = content if isinstance(content, bytes) else content.encode()
    sac.evaluation_path.mkdir()
    episodes_file(sac).write_bytes(content)
    with pytest.raises(RunError, match=complaint) as error:
        compare_phases(sac, episodes=2)
    assert str(episodes_file(sac)) in str(error.value)
    assert "\n" not in str(error.value)
    assert episodes_file(sac).read_bytes() == content
    assert [path.name for path in sac.evaluation_path.iterdir()] == ["episodes.csv"]


def test_a_folder_that_cannot_be_written_is_named(sac):
    sac.evaluation_path.write_text("a file where the folder should be")
    with pytest.raises(RunError, match="evaluation"):
        compare_phases(sac, episodes=2)


def test_an_interrupted_run_is_compared_as_far_as_it_got(sac):
    shutil.rmtree(sac.snapshots_path / "600")
    comparison = compare_phases(sac, episodes=2)
    assert [result.phase for result in comparison.phases] == [0, 1]
    (note,) = comparison.notes
    assert note == (
        "no agent of phase 2: there is no snapshot at the end, the newest is at step 399"
    )
    assert note in " ".join(printed(comparison, width=200).split())


def test_a_run_without_the_constant_rate_agent_has_no_differences(sac):
    (sac.snapshots_path / "199" / "manifest.json").write_text("{}")
    comparison = compare_phases(sac, episodes=2)
    assert [(r.phase, r.difference) for r in comparison.phases] == [(1, None), (2, None)]
    assert "phase 0" in comparison.notes[0]
    assert "manifest" in comparison.notes[0]


def test_a_run_without_any_phase_end_is_refused_in_one_line(sac):
    shutil.rmtree(sac.snapshots_path)
    with pytest.raises(RunError, match="has no trained agent to play with: no agent of") as error:
        compare_phases(sac, episodes=2)
    assert "\n" not in str(error.value)
    assert not sac.evaluation_path.exists()


@pytest.mark.parametrize("episodes", [-1, 0, 1, 10_001])
def test_a_number_of_episodes_out_of_range_writes_nothing(sac, episodes):
    with pytest.raises(ConfigError, match="episodes must be from 2 to 10000"):
        compare_phases(sac, episodes)
    assert not sac.evaluation_path.exists()


def test_other_package_versions_are_noted(sac):
    replace_in_file(sac.path / "run.json", f'"numpy": "{version("numpy")}"', '"numpy": "0.1"')
    (note,) = compare_phases(RunDirectory.open(sac.path), episodes=2).notes
    assert f"numpy 0.1 -> {version('numpy')}" in note


def test_training_returns_are_those_of_the_phase_and_of_its_last_hundred(sac):
    table = ["step,phase,env,return,length,success,wall_time_s"]
    table += [f"{i},0,0,{-i}.0,50,0,1.0" for i in range(150)]
    table += [f"{i},1,0,-1.0,50,1,1.0" for i in range(30)]
    # A killed process leaves half a row.
    sac.episodes_path.write_text("\n".join(table) + "\n180,2,0,-1.")
    first, second, third = compare_phases(sac, episodes=2).phases
    assert (first.training.episodes, first.training.mean) == (150, -74.5)
    assert first.training.interquartile_mean == pytest.approx(-74.5)
    assert first.training.success_rate == 0.0
    assert (first.recent_training.episodes, first.recent_training.mean) == (100, -99.5)
    assert second.training == second.recent_training
    assert (second.training.episodes, second.training.success_rate) == (30, 1.0)
    assert (third.training.episodes, third.training.mean) == (0, None)


def test_a_damaged_training_table_is_named(sac):
    sac.episodes_path.write_text("step,phase\n1,2\n")
    with pytest.raises(RunError, match=r"episodes\.csv is damaged or foreign"):
        compare_phases(sac, episodes=2)


def test_a_phase_that_no_update_met_is_left_out_and_named(tmp_path):
    config = dataclasses.replace(
        SAC_CONFIG, hyperparameters={**SAC_CONFIG.hyperparameters, "learning_starts": 250}
    )
    run = trained(config, tmp_path / "run")
    comparison = compare_phases(run, episodes=2)
    assert [(r.phase, r.step, r.difference) for r in comparison.phases] == [
        (1, 399, None),
        (2, 600, None),
    ]
    assert comparison.notes == (
        "no agent of phase 0: no update came there, the first comes at step 251",
    )
    assert "minus phase 0" not in printed(comparison)
    # What the agent did in the warm-up is no training in phase 1.
    assert comparison.phases[0].training.episodes == 4
    for path in plot_run(run):
        assert path.exists()
    with pytest.raises(ConfigError, match=r"no agent of phase 0: .* valid phases are 1, 2$"):
        video_path(run, 0)


def test_a_run_without_an_update_has_no_agent_and_a_plot(tmp_path):
    config = dataclasses.replace(
        SAC_CONFIG, hyperparameters={**SAC_CONFIG.hyperparameters, "learning_starts": 600}
    )
    run = trained(config, tmp_path / "run")
    for evaluate in (compare_phases, video_path):
        with pytest.raises(RunError, match="phases 0, 1, 2: no update came there") as error:
            evaluate(run)
        assert "\n" not in str(error.value)
    for path in plot_run(run):
        assert path.exists()


def test_of_many_phases_twenty_evenly_spread_are_compared(tmp_path):
    schedule = StaircaseSchedule(1e-3, decay_steps=10, decay_rate=0.9)
    config = dataclasses.replace(
        PPO_CONFIG, algo="a2c", schedule=schedule, n_envs=1, hyperparameters={"n_steps": 5}
    )
    run = trained(config, tmp_path / "run")
    branch = create_branch(run, 26, held_schedule(run, 26), "phase", branch_path(run, "held-26"))
    train_run(branch, Console(quiet=True))
    comparison = compare_phases(run, episodes=2)
    compared = [result.phase for result in comparison.phases]
    assert (len(run.phases), len(compared)) == (60, 20)
    assert {0, 26, 59} <= set(compared)
    assert max(b - a for a, b in pairwise(compared)) <= 7
    assert comparison.phases[compared.index(26)].decay_effect.branch == "held-26"
    assert {int(row["phase"]) for row in rows(run)} == set(compared)
    (note,) = comparison.notes
    assert note.startswith("20 of 60 phases are compared")
    assert "other 40 have their training episodes in the run's episodes.csv" in note


def test_tables_fit_eighty_columns_and_say_what_a_difference_includes(branched):
    comparison = compare_phases(branched, episodes=2)
    text = printed(comparison)
    assert "…" not in text
    for result in comparison.phases:
        assert f"{result.learning_rate:.3g}" in text
        assert f"{result.mean_return.value:.2f}" in text
    words = " ".join(text.split())
    assert "includes the effect of further training" in words
    assert "Decay effects" in words
    assert "A held branch separates" not in words
