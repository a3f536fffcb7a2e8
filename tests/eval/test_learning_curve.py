"""The figure of a run: what it shows, and that it is the same for the same tables."""

import matplotlib as mpl
import pytest
from PIL import Image

from agents import RunError
from eval import compare_phases, learning_curve, plot_run

pytestmark = pytest.mark.slow


def shown_in(path):
    # matplotlib draws text as outlines, each below a comment that holds the text.
    return path.read_text()


def test_figure_shows_the_staircase_and_the_phases(sac):
    png, svg = plot_run(sac)
    assert (png.parent, png.suffix, svg.suffix) == (sac.evaluation_path, ".png", ".svg")
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert image.width >= 1200
        # Most of a figure is paper; one that is all paper shows nothing.
        assert len(image.convert("L").getcolors(1 << 24)) > 50
    text = shown_in(svg)
    for words in ("phase 0", "rate 0.001", "phase 2", "rate 0.00025", "success (%)", "return"):
        assert words in text
    assert "step (environment timesteps)" in text
    assert "evaluation" not in text


def test_the_figure_alone_writes_nothing(sac):
    before = sorted(sac.path.rglob("*"))
    returns, success, rate = learning_curve(sac).axes
    assert (returns.get_ylabel(), success.get_ylabel()) == ("return per episode", "success (%)")
    assert rate.get_ylabel() == "learning rate"
    assert sorted(sac.path.rglob("*")) == before


def test_evaluation_results_are_shown_when_there_are_any(sac):
    compare_phases(sac, episodes=4)
    _, svg = plot_run(sac)
    assert "evaluation, mean of 4 episodes, 95 % interval" in shown_in(svg)


def test_the_same_tables_give_the_same_files_and_leave_matplotlib_as_it_was(ppo):
    before = dict(mpl.rcParams)
    first = [path.read_bytes() for path in plot_run(ppo)]
    assert [path.read_bytes() for path in plot_run(ppo)] == first
    assert dict(mpl.rcParams) == before


def test_new_rows_are_drawn_the_next_time(sac):
    png, _ = plot_run(sac)
    before = png.read_bytes()
    with sac.episodes_path.open("a") as file:
        file.write("600,2,0,-1.0,50,1,9.0\n")
    plot_run(sac)
    assert png.read_bytes() != before


def test_a_run_that_was_just_begun_can_be_drawn(sac):
    """Episodes in warm-up come before the first update and the first snapshot."""
    sac.metrics_path.unlink()
    sac.episodes_path.write_text(
        "step,phase,env,return,length,success,wall_time_s\n50,0,0,-50.0,50,0,0.1\n"
    )
    png, _ = plot_run(sac)
    assert png.exists()


def test_a_run_without_episodes_is_refused_in_one_line(sac):
    sac.episodes_path.unlink()
    with pytest.raises(RunError, match="no finished training episode") as error:
        plot_run(sac)
    assert "\n" not in str(error.value)
    assert not sac.evaluation_path.exists()
