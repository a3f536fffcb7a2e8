"""What a study says, from numbers alone: tables of any size, few seeds, failures, several tasks."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from agents.studies.manifest import FORMAT, FORMAT_VERSION
from agents.studies.study import Study
from eval.crossed import crossed_interval
from eval.rate_sensitivity import hyperparameter_sensitivity
from eval.study_comparison import summarise_study
from eval.study_curves import learning_curve_over_seeds
from eval.study_plot import evaluation_figures
from eval.study_tables import ROWS, initial_rates_table, study_table
from tests.eval.small_studies import BASE, made_outcomes
from tests.eval.test_eval_command import ask_all


def decays(count, task="push"):
    return {
        f"decay-rate-{i}": (task, {"decay_rate": i}, (0.5, min(0.9, 0.5 + 0.1 * i)))
        for i in range(count)
    }


def rates(tasks=("push", "reach")):
    best = {"push": 1e-3, "reach": 1e-4}
    return {
        f"env-{task}-{rate:g}": (
            task,
            {"env": task, "initial_learning_rate": rate},
            (0.9 if rate == best[task] else 0.3,),
        )
        for task in tasks
        for rate in (1e-4, 1e-3, 1e-2)
    }


def printed(renderable):
    console = Console(width=80, file=io.StringIO())
    console.print(renderable)
    text = console.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return " ".join(text.split())


def test_phases_have_crossed_intervals_over_the_seeds():
    outcomes = made_outcomes(decays(2))
    comparison = summarise_study(outcomes)
    for end, phase in zip(outcomes.ends, comparison.phases, strict=True):
        assert phase.mean_return == crossed_interval(end.outcomes.returns)
        assert 0 <= phase.success_rate.low <= phase.success_rate.high <= 1
    assert [phase.same_as for phase in comparison.phases] == [None] * 4


def test_agents_that_arms_share_are_listed_once():
    outcomes = made_outcomes(decays(2))
    ends = list(outcomes.ends)
    shared = type(ends[0])(**{**vars(ends[2]), "states": ends[0].states})
    comparison = summarise_study(type(outcomes)(**{**vars(outcomes), "ends": (*ends[:2], shared)}))
    assert comparison.phases[2].same_as == "decay-rate-0"
    assert "listed once" in printed(study_table(comparison))


def test_success_is_judged_over_all_tasks_and_returns_task_by_task():
    arms = {**decays(2), **{f"reach-{n}": arm for n, arm in decays(1, task="reach").items()}}
    judged = summarise_study(made_outcomes(arms)).effects
    assert [(j.quantity, j.task, len(j.decays)) for j in judged] == [
        ("success", None, 3),
        ("return", "push", 2),
        ("return", "reach", 1),
    ]


def test_margins_are_those_of_the_user():
    judged = summarise_study(made_outcomes(decays(1)), {"success": 0.3, "return": 7.0}).effects
    assert [j.decays[0].verdict.margin for j in judged] == [0.3, 7.0]


def test_failures_are_counted_in_the_table():
    text = printed(study_table(summarise_study(made_outcomes(decays(2), failed=(0, 3)))))
    assert "2/8" in text
    assert "seeds that diverged; they count as no success" in text


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_are_said_and_claim_no_more_than_they_can(seeds):
    comparison = summarise_study(made_outcomes(decays(2), seeds=seeds))
    text = printed(study_table(comparison))
    assert "no verdict is possible with fewer than 6" in text
    assert "inf" not in text
    assert "nan" not in text
    assert "better" not in text.replace("P above", "")
    json.dumps(comparison.to_dict(), allow_nan=False)
    outcomes = made_outcomes(decays(2), seeds=seeds)
    assert set(evaluation_figures(outcomes, [])) == {
        "effects-success",
        "effects-push-return",
        "profile",
    }


def test_six_seeds_need_no_such_line():
    assert not summarise_study(made_outcomes(decays(1), seeds=6)).notes


def test_hundreds_of_arms_stay_readable():
    comparison = summarise_study(
        made_outcomes(decays(130), notes=[f"failed: arm {i}" for i in range(90)], seeds=6)
    )
    console = Console(width=80, file=io.StringIO())
    console.print(study_table(comparison))
    lines = console.file.getvalue().splitlines()
    assert len(lines) < 400
    text = " ".join(" ".join(lines).split())
    assert f"{130 - ROWS} more are in evaluation/summary.json" in text
    assert f"{2 * 130 - ROWS} more are in evaluation/summary.json" in text
    assert len(comparison.to_dict()["phases"]) == 260


def test_initial_rates_are_judged_at_each_task_and_over_tasks():
    outcomes = made_outcomes(rates(), boundaries=False)
    comparison = summarise_study(outcomes)
    assert [(r.label, r.quantity) for r in comparison.rates] == [
        ("push", "success"),
        ("push", "return"),
        ("reach", "success"),
        ("reach", "return"),
    ]
    best = [r.sensitivity.rates[r.sensitivity.best] for r in comparison.rates]
    assert best == [1e-3, 1e-3, 1e-4, 1e-4]
    success, _ = comparison.rates_over_tasks
    ends = {(end.task, end.arm): end.outcomes.successes.mean(axis=1) for end in outcomes.ends}
    array = np.array([[v for (task, _), v in ends.items() if task == t] for t in ("push", "reach")])
    assert success.lost == hyperparameter_sensitivity(array)
    text = printed(initial_rates_table(comparison))
    assert "One rate for all of push, reach instead of the best for each costs" in text
    assert not comparison.effects


def test_arms_that_share_their_agents_are_one_rate():
    arms = {
        f"{decay}-{name}": (task, {**axes, "decay_rate": decay}, skills)
        for name, (task, axes, skills) in rates(("push",)).items()
        for decay in (0.5, 0.1)
    }
    outcomes = made_outcomes(arms, boundaries=False)
    ends = [
        type(end)(**{**vars(end), "states": (end.arm.split("-", 1)[1],) * 8})
        for end in outcomes.ends
    ]
    comparison = summarise_study(type(outcomes)(**{**vars(outcomes), "ends": tuple(ends)}))
    assert [(r.label, len(r.sensitivity.rates)) for r in comparison.rates] == [
        ("push decay_rate 0.5", 3),
        ("push decay_rate 0.5", 3),
    ]


def test_arms_that_differ_in_the_task_alone_are_one_row_of_whole_runs():
    comparison = summarise_study(made_outcomes(rates(), boundaries=False))
    assert [(r.label, np.shape(r.scores)) for r in comparison.runs] == [
        ("initial_learning_rate 0.0001", (8, 2)),
        ("initial_learning_rate 0.001", (8, 2)),
        ("initial_learning_rate 0.01", (8, 2)),
    ]
    assert comparison.runs[0].improvement is None
    assert comparison.runs[2].improvement.value < 0.5


def test_one_seed_gives_no_rates():
    comparison = summarise_study(made_outcomes(rates(), seeds=1, boundaries=False))
    assert not comparison.rates
    assert any("with one seed" in note for note in comparison.notes)


def test_returns_that_do_not_differ_are_not_judged():
    outcomes = made_outcomes(decays(1))
    (boundary,) = outcomes.boundaries
    boundary.held.returns[:] = -50.0
    comparison = summarise_study(outcomes)
    assert [judged.quantity for judged in comparison.effects] == ["success"]
    assert any("returns do not differ" in note for note in comparison.notes)


def test_a_learning_curve_begins_where_every_seed_has_an_episode_and_ends_where_one_diverged():
    steps = np.arange(50.0, 1_001.0, 50.0)
    curve = learning_curve_over_seeds(
        "arm", [(steps, steps), (steps[3:], steps[3:])], [np.inf, 500.0], 1_000
    )
    assert curve.steps[0] == 200
    assert curve.steps[-1] == 1_000
    assert curve.values[0, -1] == steps.mean()
    assert np.isnan(curve.values[1, curve.steps >= 500]).all()
    assert np.isfinite(curve.values[1, curve.steps < 500]).all()
    assert learning_curve_over_seeds("arm", [(np.zeros(0), np.zeros(0))], [np.inf], 9) is None


def test_mistakes_about_studies_are_answered_before_the_slow_imports(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{")
    (tmp_path / "new").mkdir()
    plan = Study(name="new", base=BASE, seeds=[0, 1]).to_dict()
    data = {"format": FORMAT, "format_version": FORMAT_VERSION, "study": plan, "runs": []}
    (tmp_path / "new" / "study.json").write_text(json.dumps(data))
    mistakes = [
        [command, str(tmp_path / name)]
        for command in ("compare", "plot", "rates")
        for name in ("nowhere", "broken", "new")
    ]
    answers = ask_all("eval.__main__", mistakes)
    assert len(answers) == len(mistakes)
    assert sum("has no run to compare: not trained yet" in answer for answer in answers) == 3
