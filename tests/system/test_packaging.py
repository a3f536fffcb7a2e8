"""`pip install .` gives the packages with their data, away from the checkout too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agents import ALGORITHMS, pretrained_names
from tests.system.commands import ROOT

pytestmark = pytest.mark.slow

PARTS = (
    "agents",
    "envs",
    "eval",
    "schedules",
    "train.py",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
)


AGENTS = {
    f"agents/pretrained/{name}/{file}"
    for name in pretrained_names()
    for file in ("agent.json", "policy.npz")
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part)
        else:
            shutil.copy(ROOT / part, source / part)
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", out, source]
    subprocess.run([sys.executable, "-m", *command], check=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"agents", "envs", "eval", "schedules", "train.py"}
    assert {f"agents/presets/{algo}.yaml" for algo in ALGORITHMS} <= set(names)
    assert AGENTS
    assert set(names) >= AGENTS
    pages = {"page.css", "page.html.jinja", "page.js", "plotly-basic.min.js"}
    assert {f"eval/pages/{name}" for name in pages} <= set(names)
    assert {f"{package}/py.typed" for package in tops - {"train.py"}} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def links(description: str) -> list[str]:
    """Where the links and pictures of a description lead, but for those within it."""
    return [target for target in re.findall(r"\]\((.*?)\)", description) if target[0] != "#"]


def test_without_a_repository_the_description_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        description = archive.read(name).decode()
    assert "Description-Content-Type: text/markdown" in description
    assert "python train.py --env reach" in description
    assert [link for link in links(description) if not link.startswith("https://")] == []


def test_with_a_repository_links_and_pictures_lead_into_it(source: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(source, project)
    url = "https://github.com/lab/staircase"
    with (project / "pyproject.toml").open("a") as file:
        file.write(f'\n[project.urls]\nRepository = "{url}"\n')
    script = (
        "import sys; from setuptools import build_meta; "
        "build_meta.prepare_metadata_for_build_wheel(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, tmp_path]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    found = links(metadata.read_text(encoding="utf-8"))
    whole = {*found} - set(links((ROOT / "README.md").read_text(encoding="utf-8")))
    paths = {re.sub(rf"^{url}/(raw|blob)/HEAD/|#.*", "", link) for link in whole}
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    assert f"{url}/raw/HEAD/docs/images/tasks.jpg" in found
    assert [link for link in found if not link.startswith("https://")] == []


def test_a_source_distribution_holds_the_agents_too(source: Path, tmp_path: Path) -> None:
    script = f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=source, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= AGENTS


def test_an_installed_package_finds_its_presets_and_agents(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import agents, pathlib, train; "
        f"assert pathlib.Path({str(tmp_path)!r}) in pathlib.Path(agents.__file__).parents; "
        "from agents.pretrained.catalogue import find_pretrained; "
        "[find_pretrained(name).read('policy.npz') for name in agents.pretrained_names()]; "
        "print(agents.load_preset('sac', 'reach')['algo'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "sac\n"


def test_the_scripts_work_beside_folders_of_the_same_names(wheel: Path, tmp_path: Path) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    command = ["pip", "install", "--no-deps", "-q", "--target", site, wheel]
    subprocess.run([sys.executable, "-m", *command], check=True)
    for name in ("agents", "envs", "eval", "schedules"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    for script, words, answer in (
        ("staircase-train", ["--help"], "--initial-learning-rate"),
        ("staircase-eval", ["list", "."], "no such run or study"),
        (
            "staircase-eval",
            ["--tyro-print-completion", "bash"],
            "complete -F _tyro_staircase_eval staircase-eval",
        ),
    ):
        done = subprocess.run(
            [sys.executable, site / "bin" / script, *words],
            cwd=here,
            env={"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert answer in done.stdout


def test_without_panda_gym_its_benchmarks_say_how_to_install_it() -> None:
    script = (
        "import runpy, sys; sys.modules['panda_gym'] = None; "
        "runpy.run_module('benchmarks.env_speed', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    extra = re.search(r"pip install -c constraints.txt -e '\.\[(\w+)\]'$", line)[1]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'{extra} = ["panda-gym==' in project
