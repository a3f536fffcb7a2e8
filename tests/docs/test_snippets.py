"""What the pages show runs, and shows what it says."""

from __future__ import annotations

import doctest
import re
import shutil
from pathlib import Path

import pytest
import yaml

from agents import ALGORITHMS, RunConfig, RunDirectory, load_preset
from agents.studies.plan import make_plan
from agents.studies.study import Study
from eval.checks import CHECKS
from eval.dataset import record_dataset
from eval.probes import PROBES
from tests.docs.conftest import RUN
from tests.docs.pages import PAGES, ROOT, SHORTER, blocks, read, run_snippets
from tests.docs.test_environment_pages import ENVIRONMENT_PAGES

pytestmark = pytest.mark.slow

LANGUAGES = {"bash", "console", "pycon", "python", "text", "toml", "yaml"}


def with_blocks(*languages: str) -> list[str]:
    return [page for page in PAGES if blocks(page, *languages)]


@pytest.mark.parametrize("page", with_blocks())
def test_every_block_says_what_it_is_so_that_none_goes_untested(page: str) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_pages_outside_the_site_lead_to_files(page: str) -> None:
    # Those of the site are checked when it is built.
    targets = re.findall(r"\]\(([^)#]+)", read(page))
    inside = [target for target in targets if not target.startswith("https://")]
    assert [target for target in inside if not (ROOT / target).is_file()] == []


@pytest.fixture
def own_registries():
    """What pages add to the registries is for them alone."""
    before = [(registry, dict(registry)) for registry in (ALGORITHMS, CHECKS, PROBES)]
    yield
    for registry, names in before:
        registry.clear()
        registry.update(names)


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize(
    "page", [page for page in with_blocks("python") if page not in ENVIRONMENT_PAGES]
)
def test_python_runs(page: str, workplace: Path, tmp_path: Path, monkeypatch) -> None:
    here = shutil.copytree(workplace, tmp_path / "here", symlinks=True)
    film = here / RUN / "videos" / "phase-2.mp4"
    film.parent.mkdir()
    film.touch()  # a film that exists is kept: the films' own tests make some
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    if "minari" in read(page):
        record_dataset(RunDirectory.open(RUN), episodes=2, name="reach/three-v0")
    assert run_snippets(page)


def test_every_text_that_is_shortened_is_there() -> None:
    for page, texts in SHORTER.items():
        code = "".join(block.text for block in blocks(page, "python"))
        assert [text for text in texts if text not in code] == []


@pytest.mark.parametrize("page", with_blocks("pycon"))
def test_examples_print_what_the_page_says(page: str) -> None:
    examples = "\n".join(block.text for block in blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(examples, {}, page, page, 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_config_of_the_page_is_a_preset() -> None:
    (block,) = blocks("docs/training.md", "yaml")
    shown = yaml.safe_load(block.text)
    preset = load_preset("sac", "reach")
    config = RunConfig.from_dict({**preset, **shown["default"], **shown["reach"]})
    assert config.schedule == RunConfig.from_dict(preset).schedule


@pytest.mark.parametrize("block", blocks("docs/studies.md", "yaml"), ids=lambda block: block.line)
def test_the_studies_of_the_page_can_be_planned(block) -> None:
    study = Study.from_dict({"name": "study", **yaml.safe_load(block.text)})
    assert make_plan(study).trained_steps > 0


@pytest.mark.parametrize("page", with_blocks("toml"))
def test_entry_points_are_those_of_the_example(page: str) -> None:
    project = (ROOT / "docs/examples/nudge/pyproject.toml").read_text(encoding="utf-8")
    for block in blocks(page, "toml"):
        assert block.text in project
    assert "docs/examples/nudge" in read("docs/how-to/own-task.md")
