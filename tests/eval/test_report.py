"""The report of a run: what it says, that it needs nothing else, and that no text does anything."""

import json
import re
import shutil

import numpy as np
import pytest

from agents import RunDirectory
from agents.runs.divergence import Divergence, write_divergence
from eval import compare_phases, write_report
from eval.__main__ import main
from eval.comparison import stored_phases
from eval.pages.run_page import run_page
from eval.video import encode
from tests.eval.browser import check_page, visited
from tests.eval.conftest import copied

pytestmark = pytest.mark.slow

NASTY = "<script>alert(1)<img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def compared(trained_sac, tmp_path_factory):
    """A run with a held branch, compared, and with a name that no page should believe."""
    run = copied(trained_sac, tmp_path_factory.mktemp("compared") / NASTY)
    compare_phases(run, 5)
    run.videos_path.mkdir()
    shades = [np.full((80, 120, 3), shade, np.uint8) for shade in range(0, 250, 2)]
    (run.videos_path / "phase-0.mp4").write_bytes(encode(shades, (120, 80), 25))
    diagnosis = {
        "verdict": {"sentence": "Phase 0 is still improving."},
        "findings": [
            dict.fromkeys(("cause", "evidence", "threshold", "remedy"), "words")
            | {"kind": "<b>odd</b>"}
        ],
    }
    (run.evaluation_path / "diagnosis.json").write_text(json.dumps(diagnosis))
    write_report(run)
    return run


def text_of(run):
    return (run.path / "report.html").read_text(encoding="utf-8")


def own_markup(html):
    """The page without its scripts and style, which mention addresses and tags as text."""
    return re.sub(r"<(script|style)[ >].*?</\1>", "", html, flags=re.S)


def test_a_report_is_one_small_file_that_asks_for_nothing(compared):
    html = text_of(compared)
    assert len(html) < 3_000_000
    markup = own_markup(html)
    assert "default-src 'none'" in markup
    assert not re.search(r"(src|href)=\"(?!data:|#)", markup)
    assert "http://" not in markup
    assert "https://" not in markup


def test_equal_files_give_equal_bytes_wherever_they_lie(compared, tmp_path):
    first = (compared.path / "report.html").read_bytes()
    moved = copied(compared, tmp_path / "elsewhere" / NASTY)
    assert write_report(moved).read_bytes() == first


def test_the_report_says_what_the_comparison_says(compared):
    page = run_page(compared)
    comparison = compare_phases(compared, 5)
    effect = comparison.phases[1].decay_effect.effect
    assert f"{effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}]" in page.verdict
    assert "into phase 1" in page.verdict
    assert "seed 0 alone" in page.certainty[0]
    assert page.command == "python train.py --config config.yaml --seeds 0-5 --held-branches"
    assert "config.yaml is the config at the end" in page.certainty[0]
    titles = [section.title for section in page.sections]
    assert titles == [
        *("Learning curve", "Phases", "Decay effects"),
        *("Diagnosis of the constant-rate phase", "Films"),
    ]
    html = own_markup(text_of(compared))
    assert "Phase 0 is still improving." in html
    for phase in comparison.phases:
        assert phase.state_sha256 in html


def test_text_of_a_run_is_escaped(compared):
    html = text_of(compared)
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html
    assert "<img" not in own_markup(html)
    assert "&lt;b&gt;odd" in html


def test_a_run_that_is_not_compared_says_so(sac):
    write_report(sac)
    assert not (sac.evaluation_path / "episodes.csv").exists()  # a report plays nothing
    page = run_page(sac)
    assert "cannot be said" in page.verdict or "Nothing can be said" in page.verdict
    assert any("not compared yet" in line for line in page.missing)
    assert [section.title for section in page.sections] == ["Learning curve"]


def test_an_incomplete_run_says_what_is_missing(sac):
    compare_phases(sac, 2)
    shutil.rmtree(sac.snapshots_path / "600")
    page = run_page(sac)
    assert page.state == "incomplete"
    assert any("newest snapshot is at step 399 of 600" in line for line in page.missing)
    assert any("No agent of phase 2" in line for line in page.missing)
    assert any("No held branch" in line for line in page.missing)


def test_a_diverged_run_says_where(sac):
    shutil.rmtree(sac.snapshots_path / "600")
    write_divergence(sac, Divergence(450, 2, 1e-3, "the loss critic_loss is nan"))
    page = run_page(sac)
    assert page.state == "diverged"
    assert "diverged" in page.verdict
    assert any("critic_loss is nan" in line for line in page.missing)


def test_damage_is_named_and_the_rest_is_shown(sac):
    compare_phases(sac, 2)
    (sac.path / "episodes.csv").write_text("phase,step\n0,none\n")
    (sac.evaluation_path / "diagnosis.json").write_text("[]")
    (sac.snapshots_path / "600" / "manifest.json").write_text("{}")
    page = run_page(sac)
    named = " ".join(page.missing)
    assert "Episodes.csv is damaged" in named
    assert "diagnosis" in named
    assert "manifest" in named
    assert "Phases" in [section.title for section in page.sections]
    assert str(sac.path) not in (write_report(sac)).read_text(encoding="utf-8")


def test_stored_phases_are_those_that_were_played(branched):
    assert stored_phases(branched) is None
    compare_phases(branched, 4)
    found = stored_phases(branched)
    assert (found.episodes, found.compared, list(found.held_played)) == (4, (0, 1, 2), [1])
    shutil.rmtree(branched.path / "branches" / "held-1" / "evaluation")
    assert not stored_phases(branched).held_played


def test_the_command_prints_the_path(sac, capsys):
    main(["report", str(sac.path)])
    assert capsys.readouterr().out == f"wrote {sac.path / 'report.html'}\n"
    with pytest.raises(SystemExit):
        main(["report", str(sac.path / "snapshots")])
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "scheme"), [(1000, "light"), (390, "dark")])
def test_a_browser_draws_every_chart_without_a_complaint(compared, width, scheme):
    path = compared.path / "report.html"
    with visited(path, width, scheme) as visit:
        check_page(visit, path)
        assert visit.page.title().startswith(NASTY)
        assert visit.page.evaluate("getComputedStyle(document.body).color") == (
            "rgb(232, 234, 237)" if scheme == "dark" else "rgb(27, 31, 36)"
        )


def test_the_film_in_a_page_plays(compared):
    with visited(compared.path / "report.html") as visit:
        film = visit.page.locator("video")
        assert film.get_attribute("poster").startswith("data:image/jpeg;base64,")
        film.evaluate(
            """film => new Promise((done, failed) => {
                film.addEventListener("error", failed);
                film.addEventListener("timeupdate", () => film.currentTime > 0.3 && done());
                film.play().catch(failed);
            })"""
        )
        assert film.evaluate("film => film.error") is None
        assert film.evaluate("film => [film.videoWidth, film.videoHeight, film.duration]") == [
            *(120, 80),
            pytest.approx(5.0),
        ]
        # What is shown is what was filmed: it grows brighter.
        shown = film.evaluate(
            """film => {
                const canvas = document.createElement("canvas");
                canvas.getContext("2d").drawImage(film, 0, 0, 1, 1);
                return canvas.getContext("2d").getImageData(0, 0, 1, 1).data[0];
            }"""
        )
        assert 5 < shown < 250
        assert visit.complaints == []


def test_the_keyboard_reaches_a_phase_and_zooms_to_it(compared):
    with visited(compared.path / "report.html") as visit:
        page = visit.page
        button = page.get_by_role("button", name="Phase 1")
        for _ in range(30):
            page.keyboard.press("Tab")
            if button.evaluate("button => button === document.activeElement"):
                break
        page.keyboard.press("Enter")
        phase = RunDirectory.open(compared.path).timeline[1]
        shown = "document.getElementById('chart-learning').layout.xaxis.range"
        assert page.evaluate(shown) == [phase.start, phase.stop]
        assert button.get_attribute("aria-pressed") == "true"
