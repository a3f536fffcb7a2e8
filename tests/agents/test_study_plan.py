"""What a study is, and how it is cut into segments that are trained once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import ConfigError
from agents.studies.plan import make_plan
from agents.studies.study import Study, read_seeds
from agents.studies.tree import Line, Segment, Tree, Turn, grow, line_of
from schedules import StaircaseSchedule, effective_phases
from tests.agents.small_runs import small_config

BASE: dict[str, Any] = {
    "env": "reach",
    "total_timesteps": 400,
    "constant_steps": None,  # as long as the other phases
    "hyperparameters": {"learning_starts": 50, "policy_kwargs": {"net_arch": [8]}},
}
CONFIG = small_config("sac")


def study(**changes: Any) -> Study:
    values = {"name": "try", "base": BASE, "seeds": [0, 1], "axes": {"decay_rate": [0.5, 0.1]}}
    return Study.from_dict({**values, **changes})


def segments_of(tree: Tree, line: Line) -> list[Segment]:
    return list(tree.last[line.key].backwards())[::-1]


turns = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([1.0, 0.5]), st.sampled_from([None, None, 3])),
    max_size=4,
    unique_by=lambda turn: turn[0],
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    config = small_config("sac", seed=draw(st.integers(0, 1)))
    later = [Turn(10 * step, rate, seed) for step, rate, seed in sorted(draw(turns))]
    stop = 10 * draw(st.integers(13, 16))
    return Line(config, (Turn(0, 1.0), *later), stop)


@given(st.lists(lines(), min_size=1, max_size=8))
def test_segments_follow_each_other_along_every_line_and_none_is_there_twice(
    plan: list[Line],
) -> None:
    tree = grow(plan)

    assert len({segment.key for segment in tree.segments}) == len(tree.segments)
    for line in plan:
        chain = segments_of(tree, line)
        assert chain[0].start == 0
        assert chain[-1].stop == line.stop
        assert all(left.stop == right.start for left, right in pairwise(chain))
        for segment in chain:
            assert segment.turns == line.before(segment.stop)
            # New generators are given at forks alone.
            inside = [t for t in segment.turns if segment.start < t.step]
            assert all(turn.generator_seed is None for turn in inside)
    used = {segment.key for line in plan for segment in segments_of(tree, line)}
    assert used == {segment.key for segment in tree.segments}
    positions = {segment.key: index for index, segment in enumerate(tree.segments)}
    for segment in tree.segments:
        if segment.parent is not None:
            assert positions[segment.parent.key] < positions[segment.key]


@given(
    decay_steps=st.integers(20, 200),
    interval=st.sampled_from([1, 4, 8]),
    total=st.integers(300, 400),
)
def test_the_schedule_of_a_segment_gives_every_update_the_rate_of_the_run(
    decay_steps: int, interval: int, total: int
) -> None:
    schedule = StaircaseSchedule(1e-3, decay_steps, 0.5)
    config = small_config("sac", schedule, total_timesteps=total)
    try:
        line = line_of(config, interval, interval)
    except ConfigError:
        return
    for segment in grow([line, *_shorter(line)]).segments:
        trained = effective_phases(segment.schedule().phases(segment.stop), interval, interval)
        run = effective_phases(schedule.phases(total), interval, interval)
        for step in range(interval, segment.stop + 1, interval):
            rate = [p.learning_rate for p in trained if p.start <= step][-1]
            assert rate == [p.learning_rate for p in run if p.start <= step][-1]


def _shorter(line: Line) -> list[Line]:
    return [Line(line.config, line.before(turn.step), turn.step) for turn in line.turns[1:]]


def test_a_grid_of_three_times_and_three_factors_costs_at_most_055_of_its_runs() -> None:
    axes = {"constant_steps": [200, 250, 300], "decay_rate": [0.5, 0.2, 0.1]}
    plan = make_plan(study(axes=axes, base={**BASE, "decay_steps": 400}, seeds=[0]))
    assert len(plan.runs) == 9
    assert plan.trained_steps / plan.scratch_steps <= 0.55


def test_arms_share_what_they_have_in_common_and_seeds_nothing() -> None:
    plan = make_plan(study(axes={"decay_rate": [0.5, 0.1], "decay_steps": [200]}))
    stretches = [(s.line.config.seed, s.start, s.stop) for s in plan.tree.segments]
    assert stretches == [
        (seed, *stretch) for seed in (0, 1) for stretch in ((0, 199), (199, 400), (199, 400))
    ]


def test_held_branches_and_placebos_hold_the_rate_and_placebos_have_generators_of_their_own() -> (
    None
):
    plan = make_plan(
        study(axes={"decay_steps": [150]}, seeds=[4], held_branches="phase", placebos=2)
    )
    names = [str(run.path) for run in plan.runs]
    folder = "decay-steps-150/seed-4"
    assert names == [
        folder,
        *(f"{folder}/branches/{kind}" for kind in ("held-1", "placebo-1-0", "placebo-1-1")),
        *(f"{folder}/branches/{kind}" for kind in ("held-2", "placebo-2-0", "placebo-2-1")),
    ]
    seeds = [run.run.parent.generator_seed for run in plan.runs if run.run.parent is not None]
    assert seeds[0] is None
    assert seeds[3] is None
    assert len(set(seeds)) == 5
    rates = {run.line.turns[-1].learning_rate for run in plan.runs[1:4]}
    assert rates == {plan.runs[0].line.turns[0].learning_rate}


def test_the_constant_rate_phase_alone_is_trained_where_that_is_asked_for() -> None:
    rates = [1e-4, 1e-3]
    plan = make_plan(
        study(axes={"initial_learning_rate": rates}, base={**BASE, "decay_steps": 150}, phases=1)
    )
    assert {segment.stop for segment in plan.tree.segments} == {150}
    assert [run.arm.name for run in plan.runs[::2]] == [
        "initial-learning-rate-0.0001",
        "initial-learning-rate-0.001",
    ]


def test_axes_reach_into_mappings_and_across_tasks_and_algorithms() -> None:
    axes = {"algo": ["sac", "td3"], "hyperparameters.batch_size": [64, 128]}
    arms = study(axes=axes).arms()
    assert [arm.name for arm in arms] == [
        "algo-sac-batch-size-64",
        "algo-sac-batch-size-128",
        "algo-td3-batch-size-64",
        "algo-td3-batch-size-128",
    ]
    assert [arm.config.hyperparameters["batch_size"] for arm in arms] == [64, 128, 64, 128]
    assert {arm.config.hyperparameters["learning_starts"] for arm in arms} == {50}


@pytest.mark.parametrize("changes", [{}, {"phases": 1}, {"held_branches": "end", "placebos": 1}])
def test_a_study_is_read_back_equal(changes: dict[str, Any]) -> None:
    assert Study.from_dict(study(**changes).to_dict()) == study(**changes)


def test_seeds_are_written_as_ranges() -> None:
    assert read_seeds("0-3,7, 9-10") == (0, 1, 2, 3, 7, 9, 10)
    for text in ("", "3-1", "a", "1..2", "-1", "0-99999999"):
        with pytest.raises(ConfigError, match="seeds are written such as"):
            read_seeds(text)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "../x"}, "study name must be letters"),
        ({"seeds": []}, "study seeds must be a list of integers"),
        ({"seeds": [1, 1]}, "study seeds must be different"),
        ({"seeds": [-1]}, "study seeds must be from 0 to"),
        ({"seeds": [2**31]}, "study seeds must be from 0 to"),
        ({"axes": {"decay_rate": []}}, "study axis decay_rate must be a list"),
        ({"axes": {"decay_rate": [0.5, 0.5]}}, "study axis decay_rate has 0.5 twice"),
        ({"axes": {"decay_rat": [0.5]}}, "unknown study axes key 'decay_rat'.*did you mean"),
        ({"axes": {"seed": [1]}}, "unknown study axes key 'seed'"),
        ({"axes": {"algo": ["reinforce"]}}, "unknown algo 'reinforce'"),
        ({"axes": {"hyperparameters.batch_size": [0]}}, "batch_size must be an integer"),
        ({"base": {}}, "study base must say the env"),
        ({"base": {**BASE, "speed": 1}}, "unknown study base key 'speed'"),
        ({"placebos": 1}, "study placebos need held_branches"),
        ({"placebos": 1.5, "held_branches": "end"}, "study placebos must be an integer"),
        ({"held_branches": "all"}, "unknown study held_branches"),
        ({"phases": 0}, "study phases must be an integer"),
        ({"sedes": [1]}, "unknown study key 'sedes'"),
    ],
)
def test_a_bad_study_is_refused_in_one_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ({"decay_steps": 20}, "arm decay-rate-0.5: phase 0 .* sees no update"),
        ({"decay_steps": 399}, "arm decay-rate-0.5: phase 1 .* less than two updates long"),
    ],
)
def test_an_arm_whose_phases_cannot_be_forked_is_refused(
    base: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_plan(study(base={**BASE, **base}))


def test_planning_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_plan(study())
    assert not list(tmp_path.iterdir())
