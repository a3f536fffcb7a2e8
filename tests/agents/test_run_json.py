"""Reading `run.json`: what was written comes back, and damage is named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import RunConfig, RunDirectory, RunError, find_run
from agents.runs.directory import Parent
from tests.agents.small_runs import small_config

CONFIG = small_config(
    "sac",
    normalize={"norm_obs": True},
    action_noise={"kind": "normal", "sigma": 0.1},
    env_kwargs={"goal_x": [0.0, 0.1]},
)
# What SB3 and the replay buffer are given is theirs to refuse when the model is built.
FREE = {"hyperparameters", "her", "normalize", "training_env_kwargs"}
# What runs are without that were trained before there was such a key.
HAVE_DEFAULTS = {
    *("robot", "observation", "env_kwargs", "training_env_kwargs"),
    *("first_update", "processor", "learner"),
}
HAVE_DEFAULTS |= {"state_sha256", "versions"}
OTHERS = st.sampled_from(
    (
        *(None, True, "text", "", "two\nlines", "\0", "\ud800", -1, 2.5, 10**400, float("nan")),
        *([], [[]], [None], {}, {"a": 1}),
    )
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    path = tmp_path_factory.mktemp("runs") / "run"
    parent = Parent("../trunk", 129, 1, "0" * 64)
    return RunDirectory.create(path, CONFIG, 1, 111, parent=parent, held_branch_length="phase")


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside JSON data."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    found = []
    for key, value in inside:
        found.append((*path, key))
        if isinstance(value, dict | list) and key not in FREE:
            found += places(value, (*path, key))
    return found


def names_of(place: tuple[Any, ...]) -> set[str]:
    """What a complaint about a value may call it: by a key on the way to it, or by what it is."""
    words = {"format_version": "format version", "env": "task", "algo": "algorithm"}
    keys = {key for key in place if isinstance(key, str)}
    if len(place) > 1:
        keys -= {"config"}
    return keys | {words[key] for key in keys & words.keys()}


def opened(run: RunDirectory, data: object) -> RunDirectory | str:
    """The run that the data give, or the complaint about them."""
    (run.path / "run.json").write_text(json.dumps(data))
    try:
        return RunDirectory.open(run.path)
    except RunError as error:
        return str(error)


def written(run: RunDirectory) -> Any:
    return json.loads(run.to_json())


def test_a_run_comes_back_as_it_was_written(run: RunDirectory) -> None:
    assert opened(run, written(run)) == run


@settings(max_examples=400)
@given(st.data())
def test_damage_is_named_in_one_line_or_does_no_harm(
    run: RunDirectory, data: st.DataObject
) -> None:
    contents = written(run)
    place = data.draw(st.sampled_from(places(contents)), "place")
    target = contents
    for key in place[:-1]:
        target = target[key]
    is_deleted = data.draw(st.booleans(), "is deleted")
    if is_deleted:
        del target[place[-1]]
    else:
        target[place[-1]] = data.draw(OTHERS, "value")
    result = opened(run, contents)
    if isinstance(result, str):
        assert "\n" not in result
        assert result.isprintable()
        assert len(result) < 700
        assert "run.json" in result
        # Another rate or length that is valid in itself does not fit the phases.
        unfit = "phases" in result and "as the config and the other keys say" in result
        assert any(name in result for name in names_of(place)) or (unfit and not is_deleted)
    elif is_deleted:
        assert HAVE_DEFAULTS.intersection(place) or result == run
    else:
        # It was a value that may be otherwise, such as the git revision.
        assert result.phases == run.phases
        assert result.effective_phases == run.effective_phases


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.pop("phases"), "phases is missing"),
        (lambda d: d.update(phases=[]), "phases must have 3 entries"),
        (lambda d: d["phases"][1].update(start=-5), r"phases\[1\]\.start must be 130, .* got -5"),
        (lambda d: d["phases"][1].update(start="x"), r"phases\[1\]\.start must be 130, .* got 'x'"),
        (lambda d: d["phases"][1].pop("stop"), r"phases\[1\]\.stop is missing"),
        (lambda d: d["effective_phases"].pop(), "effective_phases must have 3 entries"),
        (lambda d: d["effective_phases"].clear(), "effective_phases must have 3 entries"),
        (lambda d: d.update(steps_per_update="1"), "steps_per_update must be an integer >= 1"),
        (lambda d: d.update(first_update=-1), "first_update must be an integer >= 1, got -1"),
        (lambda d: d.update(held_branches=[]), "held_branches must be null, 'phase' or 'end'"),
        (lambda d: d.update(created="soon"), "created must be a time, got 'soon'"),
        (lambda d: d.update(config=[]), r"config must have keys and values, got \[\]"),
        (lambda d: d["config"].update(total_timesteps="x"), "total_timesteps must be an integer"),
        (lambda d: d["config"].update(total_timesteps=299), r"phases\[2\]\.stop must be 299"),
        (lambda d: d["parent"].update(step=None), "parent.step must be an integer >= 1, got None"),
        (lambda d: d["parent"].pop("run"), "parent.run is missing"),
        (lambda d: d["versions"].update(numpy=2), "versions.numpy must be text"),
    ],
)
def test_what_is_wrong_is_named(run: RunDirectory, change: Any, complaint: str) -> None:
    contents = written(run)
    change(contents)
    (run.path / "run.json").write_text(json.dumps(contents))
    with pytest.raises(RunError, match=f"run.json is broken: {complaint}"):
        RunDirectory.open(run.path)


@pytest.mark.parametrize(
    ("key", "name", "complaint"),
    [
        ("env", "nudge", "needs the task 'nudge', which is not registered here; .* flip, "),
        ("robot", "arm7", "needs the robot 'arm7', which is not registered here; .* iiwa, panda"),
        ("algo", "reinforce", "needs the algorithm 'reinforce', which is not registered here"),
        ("schedule", {"type": "Cosine"}, "needs the schedule 'Cosine', which is not registered"),
    ],
)
def test_what_is_not_registered_is_not_called_broken(
    run: RunDirectory, key: str, name: object, complaint: str
) -> None:
    contents = written(run)
    contents["config"][key] = name
    (run.path / "run.json").write_text(json.dumps(contents))
    with pytest.raises(RunError, match=complaint) as error:
        RunDirectory.open(run.path)
    assert "broken" not in str(error.value)
    assert "it is registered by" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '"' + "x" * 10 + '"', "1" * 5_000, "\ufeff{}"], ids=len
)
def test_what_is_no_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json") as error:
        RunDirectory.open(tmp_path)
    assert "\n" not in str(error.value)


def test_a_run_from_before_the_warm_up_was_considered_knows_its_first_update(
    tmp_path: Path,
) -> None:
    early = {"learning_starts": 200}
    run = RunDirectory.create(tmp_path / "run", small_config("sac", hyperparameters=early), 1, 201)
    contents = written(run)
    del contents["first_update"]
    contents["effective_phases"] = contents["phases"]
    assert [phase.index for phase in run.effective_phases] == [1, 2]
    assert opened(run, contents) == run
    contents["effective_phases"] = contents["phases"][:2]
    assert "effective_phases must have 3 entries" in str(opened(run, contents))


def test_a_rate_may_differ_in_its_last_digit_as_powers_do_between_machines(
    run: RunDirectory,
) -> None:
    contents = written(run)
    contents["phases"][2]["learning_rate"] *= 1 + 2**-51
    assert opened(run, contents) == run


def test_the_newest_run_is_found_beside_broken_ones(tmp_path: Path) -> None:
    config: RunConfig = CONFIG
    run = RunDirectory.create(tmp_path / "runs" / "reach" / "good", config, 1, 1)
    broken = tmp_path / "runs" / "reach" / "broken" / "run.json"
    broken.parent.mkdir()
    contents = written(run)
    broken.write_text(json.dumps({**contents, "created": [], "format": "staircase-lab run"}))
    assert find_run("latest", tmp_path / "runs").path == run.path
