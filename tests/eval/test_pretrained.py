"""Agents that come with the lab: they act as the runs they are from, and nothing is unpickled."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import (
    ALGORITHMS,
    ConfigError,
    RunDirectory,
    RunError,
    load_agent,
    load_pretrained,
    pretrained_names,
)
from agents.config import FIRST_EVALUATION_SEED
from agents.learners.environments import make_env
from agents.pretrained.acting import acting, publish
from agents.pretrained.catalogue import FOLDER, Pretrained, find_pretrained
from agents.runs.manifest import sha256
from agents.snapshots.agent import Agent
from benchmarks.publish import row, ship, with_table
from eval import evaluation_seeds, video
from eval.__main__ import main
from eval.rollouts import Rollouts
from tests.agents.small_runs import small_config
from tests.system.commands import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped(trained_ppo: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """An agent of a run with normalised observations, with its pages; not to be changed."""
    base = tmp_path_factory.mktemp("shipped")
    run = RunDirectory.open(shutil.copytree(trained_ppo.path, base / "run"))
    (base / "docs").mkdir()
    (base / "docs" / "training.md").write_text("before\n\n| [`old`](x) |\n\nafter\n")
    return ship(run, base / "agents", base / "docs", 4)


@pytest.fixture
def copied(shipped: Pretrained, tmp_path: Path) -> Pretrained:
    shutil.copytree(shipped.folder, tmp_path / "reach")
    return find_pretrained("reach", tmp_path)


def action_of(agent: Agent, observation: Any) -> np.ndarray:
    return agent.predict(observation, deterministic=True)[0]


def episode(rollouts: Rollouts) -> list[tuple[int, float]]:
    seed = evaluation_seeds(2)[0]
    return [(at.length, at.episode_return) for at in rollouts.steps(seed)]


def test_an_agent_acts_bit_for_bit_as_at_the_end_of_its_run(
    trained_ppo: RunDirectory,
    trained_sac: RunDirectory,
    shipped: Pretrained,
    tmp_path: Path,
) -> None:
    published = publish(trained_sac, {}, tmp_path)
    for run, agent in ((trained_ppo, acting(shipped)), (trained_sac, acting(published))):
        original = load_agent(run)
        env = make_env(run.config)
        observation, _ = env.reset(seed=1)
        for _ in range(20):
            action, _ = agent.predict(observation, deterministic=True)
            assert (
                action.tobytes() == original.predict(observation, deterministic=True)[0].tobytes()
            )
            observation, *_ = env.step(action)
        env.close()
    with Rollouts(trained_ppo) as there, Rollouts(acting(shipped)) as here:
        there._agent = load_agent(trained_ppo)
        assert episode(there) == episode(here)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_an_agent_of_any_algorithm_acts_by_makes_another_act_alike(algo: str) -> None:
    one, other = (Agent(small_config(algo, normalize={}, seed=seed)) for seed in (0, 1))
    env = make_env(one.config)
    observation, _ = env.reset(seed=1)
    env.close()
    actions = [
        agent.predict(observation, deterministic=True)[0].tobytes() for agent in (one, other)
    ]
    assert actions[0] != actions[1]
    other.load_policy(one.policy())
    assert other.predict(observation, deterministic=True)[0].tobytes() == actions[0]
    assert not any("critic" in name or "value_net" in name for name in one.policy())


def test_its_description_says_what_it_is_and_how_it_was_made(
    shipped: Pretrained, trained_ppo: RunDirectory
) -> None:
    text = (shipped.folder / "agent.json").read_text()
    data = json.loads(text)
    assert find_pretrained("reach", shipped.folder.parent) == shipped
    assert (data["task"], data["algorithm"], data["step"]) == ("reach", "ppo", 640)
    assert data["command"] == "python train.py --config agents/pretrained/reach/agent.json"
    assert data["evaluation"]["episodes"] == 4
    assert 0 <= data["evaluation"]["success_rate"]["value"] <= 1
    assert data["versions"] == trained_ppo.versions
    assert data["versions"]["staircase-lab"]
    assert shipped.config == trained_ppo.config


def test_publishing_writes_the_page_and_the_table(shipped: Pretrained) -> None:
    docs = shipped.folder.parents[1] / "docs"
    page = (docs / "pretrained" / "reach.md").read_text(encoding="utf-8")
    assert shipped.command in page
    assert "![Learning curve](reach.png)" in page
    assert (docs / "pretrained" / "reach.png").read_bytes().startswith(b"\x89PNG")
    table = (docs / "training.md").read_text(encoding="utf-8")
    assert table == f"before\n\n{row('reach', shipped.folder.parent)}\n\nafter\n"


def test_a_name_that_does_not_exist_is_answered_by_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"unknown pretrained agent 'raech': .*valid: .*reach"):
        load_pretrained("raech")
    with pytest.raises(ConfigError, match="unknown pretrained agent"):
        load_pretrained("../pretrained/reach")


def test_files_that_were_altered_are_refused(copied: Pretrained) -> None:
    file = copied.folder / "policy.npz"
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    with pytest.raises(RunError, match=r"policy\.npz does not match its checksum in agent\.json"):
        acting(copied)
    file.unlink()
    with pytest.raises(RunError, match=r"policy\.npz: No such file"):
        acting(copied)


def rewritten(agent: Pretrained, arrays: dict[str, np.ndarray]) -> Pretrained:
    """The agent with other arrays, and the right checksum for them."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    (agent.folder / "policy.npz").write_bytes(file.getvalue())
    data = json.loads((agent.folder / "agent.json").read_text())
    data["files"]["policy.npz"] = sha256(file.getvalue())
    (agent.folder / "agent.json").write_text(json.dumps(data))
    return find_pretrained("reach", agent.folder.parent)


def test_arrays_of_another_agent_are_refused_and_nothing_is_unpickled(copied: Pretrained) -> None:
    with np.load(copied.folder / "policy.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert all(array.dtype.kind in "fi" for array in arrays.values())
    name = "policy.action_net.weight"
    without = {key: array for key, array in arrays.items() if key != name}
    for changed, complaint in (
        (without, f"array {name} is missing"),
        ({**arrays, "more": np.zeros(1)}, "array more is unknown"),
        ({**arrays, name: arrays[name][:1]}, f"array {name} must have shape"),
        ({**arrays, name: np.array([print], dtype=object)}, "allow_pickle=False"),
    ):
        with pytest.raises(RunError, match=complaint):
            acting(rewritten(copied, changed))


def test_a_broken_description_is_one_line(copied: Pretrained) -> None:
    file = copied.folder / "agent.json"
    data = json.loads(file.read_text())
    for change, complaint in (
        ({"format_version": 2}, "format must be 'staircase-lab agent' version 1, got"),
        ({"files": {"../run.json": ""}}, "is not the name of a file"),
        ({"files": {}}, r"files\.policy\.npz is missing"),
        ({"config": {}}, "config key 'env' is missing"),
        ({"step": "many"}, "step must be an integer"),
    ):
        file.write_text(json.dumps({**data, **change}))
        with pytest.raises(RunError, match=f"agent.json is broken: .*{complaint}") as error:
            find_pretrained("reach", copied.folder.parent)
        assert "\n" not in str(error.value)


def test_a_run_that_is_not_complete_is_not_published(sac: RunDirectory, tmp_path: Path) -> None:
    shutil.rmtree(sac.snapshots_path / "600")
    with pytest.raises(RunError, match=r"is not complete: python train.py --resume"):
        publish(sac, {}, tmp_path / "agents")
    assert not (tmp_path / "agents").exists()


@pytest.mark.parametrize("name", pretrained_names())
def test_what_comes_with_the_lab_is_small_intact_and_as_good_as_it_says(name: str) -> None:
    agent = find_pretrained(name)
    assert sum(path.stat().st_size for path in agent.folder.iterdir()) < 1_000_000
    assert sorted(path.name for path in agent.folder.iterdir()) == ["agent.json", "policy.npz"]
    with Rollouts(load_pretrained(name)) as rollouts:
        ends = [rollouts.play(FIRST_EVALUATION_SEED + episode) for episode in range(4)]
    if agent.evaluation["success_rate"]["value"] == 1.0:
        assert all(end.success for end in ends)


def test_the_docs_show_what_comes_with_the_lab() -> None:
    assert "reach" in pretrained_names()
    assert FOLDER == ROOT / "agents" / "pretrained"
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert with_table(page) == page
    for name in pretrained_names():
        report = (ROOT / "docs" / "pretrained" / f"{name}.md").read_text(encoding="utf-8")
        assert find_pretrained(name).state_sha256[:16] in report


def test_a_film_of_one_is_made_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("ENOUGH_STEPS", 1), ("WIDTH", 120), ("HEIGHT", 80)):
        monkeypatch.setattr(video, name, value)
    main(["video", "reach"])
    assert capsys.readouterr().out == "wrote reach.mp4\n"
    assert b"moov" in (tmp_path / "reach.mp4").read_bytes()
    main(["video", "reach"])
    assert capsys.readouterr().out == "kept reach.mp4; --overwrite films it again\n"
    unknown = "there is no run at raech; agents that come with the lab: "
    unknown += ", ".join(pretrained_names())
    for words, complaint in (
        (["video", "raech"], unknown),
        (["enjoy", "raech"], unknown),
        (["video", "reach", "--grid"], "--grid and --phase go with a run"),
        (["enjoy", "reach", "--phase", "0"], "--phase goes with a run"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        out, err = capsys.readouterr()
        assert complaint in err
        assert (out, err.count("\n")) == ("", 1)
