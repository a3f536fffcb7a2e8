"""Figures of a study show what they are given, and write nothing."""

import matplotlib as mpl
import numpy as np
import pytest

from eval.figure import rendered
from eval.noise_floor import noise_floor
from eval.profiles import performance_profile
from eval.rate_sensitivity import rate_sensitivity
from eval.study_curves import Curve
from eval.study_effects import DecayOverSeeds
from eval.study_figures import (
    curves_figure,
    forest_figure,
    profiles_figure,
    rates_figure,
)
from eval.verdicts import judge

STEPS = np.arange(0.0, 10_000.0, 500.0)


def curves():
    generator = np.random.default_rng(0)
    many = generator.normal(size=(6, STEPS.size)) + STEPS / 1000
    return [Curve("halving", STEPS, many), Curve("held", STEPS, many[:1])]


def effects():
    generator = np.random.default_rng(0)
    decays = [m + 0.1 * generator.normal(size=(8, 1)) + np.zeros((8, 20)) for m in (0.9, 0.05)]
    placebos = 0.1 * generator.normal(size=(8, 2, 1)) + np.zeros((8, 2, 20))
    first, second = judge(decays, 0.05)
    (alone,) = judge([decays[0][:1]], 0.05)
    floor = noise_floor(decays[0], placebos)
    return [
        DecayOverSeeds("phase 1", first, floor, 0.5),
        DecayOverSeeds("phase 2", second, floor, 0.5),
    ], [DecayOverSeeds("phase 1", alone, None, None)]


def profiles():
    generator = np.random.default_rng(0)
    thresholds = np.linspace(0, 1, 21)
    return {
        name: performance_profile(generator.random((6, 1)), thresholds) for name in ("ours", "held")
    }


def rates():
    generator = np.random.default_rng(0)
    scores = np.array([0.1, 0.9, 0.2])[:, None, None] + 0.1 * generator.normal(size=(3, 6, 20))
    return rate_sensitivity([1e-4, 1e-3, 1e-2], scores)


def words(figure):
    return rendered(figure, "svg").decode()


def test_curves_show_arms_seeds_and_decays():
    figure = curves_figure(curves(), [3_000, 6_000], "success (%)")
    text = words(figure)
    for shown in ("halving (6 seeds)", "held (1 seed)", "decay 1", "decay 2", "success (%)"):
        assert shown in text
    (axes,) = figure.axes
    assert len(axes.collections) == 1  # a single seed has no band


def test_forest_shows_verdicts_floors_and_margin():
    text = words(forest_figure(effects()[0], "return"))
    for shown in ("phase 1", "better", "undetermined:", "more seeds", "noise floor"):
        assert shown in text
    assert "return, decayed minus held" in text
    assert "margin of equivalence" in text


def test_an_effect_of_one_seed_is_a_point():
    (axes,) = forest_figure(effects()[1], "return").axes
    assert all(np.all(np.isfinite(line.get_xdata())) for line in axes.lines)
    assert np.all(np.isfinite(axes.get_xlim()))


def test_profiles_and_rates_name_what_they_show():
    text = words(profiles_figure(profiles(), "success rate"))
    assert all(shown in text for shown in ("ours", "held", "runs that score above"))
    text = words(rates_figure(rates(), "success rate"))
    assert all(shown in text for shown in ("0.0001", "0.01", "best", "worse", "like the best"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: curves_figure(curves(), [3_000], "return"),
        lambda: forest_figure(effects()[0], "return"),
        lambda: profiles_figure(profiles(), "return"),
        lambda: rates_figure(rates(), "return"),
    ],
)
def test_drawing_leaves_matplotlib_as_it_was_and_gives_the_same_bytes(draw):
    before = dict(mpl.rcParams)
    first = rendered(draw(), "png")
    assert rendered(draw(), "png") == first
    assert dict(mpl.rcParams) == before
