"""The report of a study: bands, effects, profiles and rates, in a real browser too."""

import shutil

import pytest

from eval import compare_study, open_study, write_report
from eval.pages.study_page import study_page
from tests.eval.browser import check_page, visited
from tests.eval.small_studies import trained_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A study of two rates and two seeds with held branches and a placebo fork, compared."""
    folder = trained_study(
        tmp_path_factory.mktemp("study") / "runs",
        axes={"initial_learning_rate": [1e-3, 1e-4]},
        held_branches="phase",
        placebos=1,
    )
    return folder, compare_study(folder, 2)


def test_the_report_says_what_the_comparison_says(compared):
    folder, comparison = compared
    page = study_page(open_study(folder))
    assert page.state == "complete"
    assert page.verdict.startswith("On the success rate, of 2 decays: 2 undetermined.")
    assert any("No verdict is possible with fewer than" in line for line in page.certainty)
    shown = {table.caption: table for section in page.sections for table in section.tables}
    effects = next(
        t for caption, t in shown.items() if "Decay effects over seeds: return" in caption
    )
    judged = next(j for j in comparison.effects if j.quantity == "return")
    assert [row[0] for row in effects.rows] == [decay.label for decay in judged.decays]
    value = judged.decays[0].verdict.effect.value
    assert effects.rows[0][2].startswith(f"{value:+.3g}")
    charts = [chart.name for section in page.sections for chart in section.charts]
    assert charts == [
        *("curves-0", "curves-1", "effects-0", "effects-1"),
        *("profiles", "rates-0", "rates-1"),
    ]


def test_equal_files_give_equal_bytes_and_a_browser_draws_them(compared):
    folder, _ = compared
    path = write_report(open_study(folder))
    first = path.read_bytes()
    path.unlink()
    assert write_report(open_study(folder)).read_bytes() == first
    assert len(first) < 3_000_000
    for width in (1000, 390):
        with visited(path, width) as visit:
            check_page(visit, path)


def test_what_is_missing_is_named(compared, tmp_path):
    folder = tmp_path / "runs" / "studies" / "small"
    shutil.copytree(compared[0], folder)
    run = next(folder.glob("*/seed-1"))
    shutil.rmtree(run)
    shutil.rmtree(next(folder.glob("*/seed-0")) / "evaluation")
    page = study_page(open_study(folder))
    assert page.state == "incomplete"
    assert any("Not trained yet" in line for line in page.missing)
    assert any("not compared yet" in line for line in page.missing)
    assert [section.title for section in page.sections] == ["Learning curves"]
