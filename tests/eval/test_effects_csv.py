"""`effects.csv`: every episode behind an effect, to the bit."""

import io

import numpy as np
import pandas as pd
import pytest

from eval.effects_csv import COLUMNS, Boundary, Outcomes, effects_csv

GENERATOR = np.random.default_rng(0)
EXACT = {"held_return": float, "fork_return": float}


def outcomes(seeds=3, episodes=4):
    shape = seeds, episodes
    return Outcomes(GENERATOR.normal(size=shape), GENERATOR.random(shape) < 0.5)


def boundary(placebos=2, **changes):
    parts = {
        "task": "push",
        "arm": "halving, twice",  # with a comma
        "phase": 1,
        "until_step": 2_000,
        "seeds": (0, 1, 5),
        "held": outcomes(),
        "decayed": outcomes(),
        "placebos": tuple(outcomes() for _ in range(placebos)),
    }
    return Boundary(**{**parts, **changes})


def test_every_effect_can_be_computed_again():
    given = boundary()
    table = pd.read_csv(io.StringIO(effects_csv([given])), converters=EXACT)
    assert tuple(table.columns) == COLUMNS
    assert set(table["fork"]) == {"decay", "placebo-1", "placebo-2"}
    assert set(table["arm"]) == {"halving, twice"}
    for name, fork in zip(
        ("decay", "placebo-1", "placebo-2"), (given.decayed, *given.placebos), strict=True
    ):
        rows = table[table["fork"] == name].assign(
            effect=lambda t: t["fork_return"] - t["held_return"],
            success=lambda t: t["fork_success"] - t["held_success"],
        )
        effects = rows.pivot_table(index="seed", columns="episode", values="effect")
        assert list(effects.index) == [0, 1, 5]
        assert np.array_equal(effects, fork.returns - given.held.returns)
        successes = rows.pivot_table(index="seed", columns="episode", values="success")
        assert np.array_equal(
            successes, fork.successes.astype(int) - given.held.successes.astype(int)
        )


def test_boundaries_follow_each_other_below_one_header():
    text = effects_csv([boundary(0), boundary(0, phase=2)])
    table = pd.read_csv(io.StringIO(text))
    assert list(table["phase"]) == [1] * 12 + [2] * 12
    assert effects_csv([]) == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    "changes", [{"seeds": (0, 1)}, {"decayed": outcomes(2)}, {"decayed": outcomes(3, 5)}]
)
def test_outcomes_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match="decay at phase 1 of halving"):
        effects_csv([boundary(**changes)])
