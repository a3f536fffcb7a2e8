"""`python -m eval card`: a folder that the Hub takes, that tells the truth and can be loaded."""

from __future__ import annotations

import re
import shutil
import statistics
import sys

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from agents import RunConfig, RunDirectory, RunError, load_agent
from agents.learners.environments import make_env
from agents.runs.divergence import Divergence, write_divergence
from agents.runs.manifest import read_snapshot, sha256
from eval import compare_phases
from eval.__main__ import main
from eval.card import write_card
from eval.stored_episodes import read_episodes
from tests.eval.conftest import copied

pytestmark = pytest.mark.slow
EPISODES = 3


@pytest.fixture(scope="module")
def evaluated(trained_sac, tmp_path_factory):
    """The SAC run, compared; not to be changed."""
    run = copied(trained_sac, tmp_path_factory.mktemp("evaluated") / "sac")
    shutil.rmtree(run.path / "branches")
    compare_phases(run, EPISODES)
    return run


@pytest.fixture(scope="module")
def card(evaluated):
    return write_card(evaluated)


def test_the_metadata_have_the_results_that_were_evaluated(evaluated, card) -> None:
    data = ModelCard.load(card / "README.md").data
    assert (data.library_name, data.pipeline_tag) == ("stable-baselines3", "reinforcement-learning")
    assert "bullet/Reach-v0" in data.tags
    state = read_snapshot(evaluated, 600).state_sha256
    played = [e for e in read_episodes(evaluated).values() if e.state_sha256 == state]
    returns = [episode.episode_return for episode in played]
    assert len(returns) == EPISODES
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "mean_reward": f"{statistics.mean(returns):.2f} +/- {statistics.stdev(returns):.2f}",
        "success_rate": statistics.mean(episode.success for episode in played),
    }
    assert {result.task_type for result in data.eval_results} == {"reinforcement-learning"}
    assert {result.dataset_type for result in data.eval_results} == {"bullet/Reach-v0"}


def test_an_agent_that_was_not_evaluated_has_no_number(sac) -> None:
    card = ModelCard.load(write_card(sac) / "README.md")
    assert card.data.eval_results is None
    assert "The agent is not evaluated." in card.text


def test_the_folder_is_a_run_whose_agent_acts_alike(evaluated, card, tmp_path) -> None:
    elsewhere = shutil.copytree(card, tmp_path / "downloaded")
    there, here = (load_agent(RunDirectory.open(path)) for path in (elsewhere, evaluated.path))
    env = make_env(evaluated.config)
    observation, _ = env.reset(seed=1)
    env.close()
    actions = [agent.predict(observation, deterministic=True)[0] for agent in (there, here)]
    np.testing.assert_array_equal(*actions)


def test_the_code_in_the_card_plays_an_episode(card, monkeypatch) -> None:
    text = ModelCard.load(card / "README.md").text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name: str(card))
    names: dict[str, object] = {}
    exec(code, names)
    assert names["over"] is True


def test_config_and_checksums_are_those_of_the_files(evaluated, card) -> None:
    text = ModelCard.load(card / "README.md").text
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert RunConfig.from_dict(yaml.safe_load(config)) == evaluated.config
    noted = dict(re.findall(r"\| (\S+) \| ([0-9a-f]{64}) \|", text))
    files = {str(p.relative_to(card)): p for p in card.rglob("*") if p.is_file()}
    assert noted == {n: sha256(p.read_bytes()) for n, p in files.items() if n != "README.md"}
    assert f"`{read_snapshot(evaluated, 600).state_sha256}`" in text


def test_a_card_of_an_earlier_phase_or_an_unfinished_run_says_so(sac) -> None:
    text = (write_card(sac, 0) / "README.md").read_text()
    assert "at the end of phase 0, whose rate was 0.001" in text
    shutil.rmtree(sac.snapshots_path / "600")
    text = (write_card(sac, overwrite=True) / "README.md").read_text()
    assert "at the end of phase 1" in text
    assert "The run is not complete." in text
    write_divergence(sac, Divergence(450, 2, 1e-3, "the loss critic_loss is nan"))
    text = (write_card(sac, overwrite=True) / "README.md").read_text()
    assert "The run diverged at step 450" in text


def test_a_folder_is_replaced_only_when_asked_and_never_by_half(sac) -> None:
    card = write_card(sac)
    (card / "README.md").write_text("by hand")
    with pytest.raises(RunError, match="exists already; --overwrite replaces it"):
        write_card(sac)
    assert (card / "README.md").read_text() == "by hand"
    (sac.snapshots_path / "600" / "agent.zip").write_bytes(b"altered")
    with pytest.raises(RunError, match=r"agent\.zip does not match its checksum"):
        write_card(sac, overwrite=True)
    assert (card / "README.md").read_text() == "by hand"


def test_the_command_says_how_to_upload(sac, capsys) -> None:
    main(["card", str(sac.path)])
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"wrote {sac.path / 'card'}",
        f"to upload it: hf upload USER/sac-reach {sac.path / 'card'} .",
    ]


@pytest.mark.parametrize(
    ("words", "what", "module", "extra"),
    [
        (["card", "RUN"], "a model card", "huggingface_hub", "hub"),
        (["dataset", "RUN"], "a dataset", "minari", "minari"),
        (["tune", "--env", "reach", "--output", "RUN/tune"], "tune", "optuna", "tune"),
    ],
)
def test_what_is_not_installed_is_named_before_anything_is_written(
    sac, capsys, monkeypatch, words, what, module, extra
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    before = sorted(sac.path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        main([word.replace("RUN", str(sac.path)) for word in words])
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (f"python -m eval: {what} needs {module}: pip install 'staircase-lab[{extra}]'")
    assert sorted(sac.path.rglob("*")) == before
