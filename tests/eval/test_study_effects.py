"""The decays of a study, judged together, and what the terminal shows of them."""

import io

import numpy as np
import pytest
from rich.console import Console

from eval.effects_csv import Boundary, Outcomes
from eval.noise_floor import noise_floor, variance_removed_by_pairing
from eval.rate_sensitivity import rate_sensitivity
from eval.study_effects import RETURN, SUCCESS, judge_boundaries
from eval.study_tables import effects_table, rates_table
from eval.verdicts import judge


def study(seeds=8, placebos=2, task="push"):
    """Two boundaries: a decay that helps much, and one that does nothing."""
    generator = np.random.default_rng(0)
    of_seed = 0.1 * generator.normal(size=(8, 1))[:seeds]

    def agents(skill):
        chance = skill + of_seed + 0.02 * generator.normal(size=(seeds, 1))
        successes = generator.random((seeds, 60)) < np.clip(chance, 0, 1)
        return Outcomes(
            np.where(successes, -generator.integers(5, 30, (seeds, 60)), -50.0), successes
        )

    return [
        Boundary(
            task=task,
            arm="halving",
            phase=phase,
            until_step=1_000 * phase,
            seeds=tuple(range(seeds)),
            held=agents(0.5),
            decayed=agents(0.5 + gain),
            placebos=tuple(agents(0.5) for _ in range(placebos)),
        )
        for phase, gain in ((1, 0.4), (2, 0.0))
    ]


def printed(renderable):
    console = Console(width=80, file=io.StringIO())
    console.print(renderable)
    text = console.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return " ".join(text.split())


def test_boundaries_are_judged_together_and_beside_their_floor():
    boundaries = study()
    first, second = judge_boundaries(boundaries, RETURN, margin=2.0)
    effects = [b.decayed.returns - b.held.returns for b in boundaries]
    assert (first.verdict, second.verdict) == judge(effects, 2.0)
    assert first.verdict.word == "better"
    placebos = np.stack(
        [fork.returns - boundaries[0].held.returns for fork in boundaries[0].placebos], axis=1
    )
    assert first.floor == noise_floor(effects[0], placebos)
    assert first.removed_by_pairing == variance_removed_by_pairing(
        boundaries[0].decayed.returns, boundaries[0].held.returns
    )
    assert first.label == "halving, into phase 1"


def test_success_is_a_rate_with_a_margin_of_its_own():
    first, _ = judge_boundaries(study(), SUCCESS)
    assert first.verdict.margin == 0.05
    assert 0.2 < first.verdict.effect.value < 0.6


def test_returns_have_a_margin_from_the_held_agents():
    boundaries = study()
    held = np.concatenate([b.held.returns.ravel() for b in boundaries])
    low, high = np.percentile(held, [5, 95])
    first, second = judge_boundaries(boundaries, RETURN)
    assert first.verdict.margin == second.verdict.margin == pytest.approx(0.05 * (high - low))


def test_tasks_are_named_where_there_are_several():
    effects = judge_boundaries([*study(), *study(task="reach")], SUCCESS)
    assert [effect.label.split(",")[0] for effect in effects] == ["push"] * 2 + ["reach"] * 2


@pytest.mark.parametrize(
    ("boundaries", "quantity", "complaint"),
    [([], SUCCESS, "no effect"), (study(), "length", "must be 'return' or 'success'")],
)
def test_what_cannot_be_judged_is_refused(boundaries, quantity, complaint):
    with pytest.raises(ValueError, match=complaint):
        judge_boundaries(boundaries, quantity)


def test_the_table_shows_effects_floors_and_verdicts():
    text = printed(effects_table(judge_boundaries(study(), SUCCESS), "success"))
    for words in ("8/8", "floor", "halving, into phase 1: better", "within the noise floor"):
        assert words in text
    assert "undetermined: about" in text


def test_the_table_of_one_seed_without_placebos_claims_no_interval():
    text = printed(effects_table(judge_boundaries(study(1, placebos=0), SUCCESS), "success"))
    assert "inf" not in text
    assert "nan" not in text
    assert "One seed gives no interval" in text


def test_the_table_of_rates_names_the_best_and_the_worse():
    scores = np.array([0.1, 0.9, 0.88])[:, None, None] + 0.1 * np.random.default_rng(0).normal(
        size=(3, 6, 20)
    )
    text = printed(rates_table(rate_sensitivity([1e-4, 1e-3, 1e-2], scores), "success rate"))
    assert "0.01 0.875 0.5 like the best" in text
    assert "worse" in text
    assert "Rates from 0.001 to 0.01 cannot be told from the best." in text
