"""Puts a report together: one HTML file that needs nothing else, and no network."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from imageio_ffmpeg import read_frames
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from agents import RunError
from agents.runs.files import write_atomically
from eval.pages.charts import Figure

FILE = "report.html"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: What it shows.
        head: Heads of the columns.
        rows: Cells; the first of a row is its head.
        notes: Explanations below it.
        prose: Whether cells hold sentences.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    prose: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: Tells it apart from the others of the page; letters, digits and hyphens.
        title: What it shows.
        description: What it looks like, for those who do not see it, and what its signs mean.
        figure: Data for plotly.js.
        views: Ranges of the steps that a button shows, by the button's text.
        table: Its numbers; `None` if the section has them anyway.
    """

    name: str
    title: str
    description: str
    figure: Figure
    views: tuple[tuple[str, float, float], ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Film:
    """A film of an agent.

    Attributes:
        title: Whose it is.
        mp4: The file.
        jpeg: Its first picture, to be seen until it plays; empty if it has none.
    """

    title: str
    mp4: bytes
    jpeg: bytes

    @property
    def url(self) -> str:
        """The film inside a URL."""
        return "data:video/mp4;base64," + base64.b64encode(self.mp4).decode()

    @property
    def poster(self) -> str:
        """The picture inside a URL; empty if there is none."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode() if self.jpeg else ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        charts: Charts.
        tables: Tables.
        films: Films.
        code: Commands to copy.
    """

    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    films: tuple[Film, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fold:
    """Something that is folded away.

    Attributes:
        title: What is behind it.
        text: Preformatted text.
        table: A table.
    """

    title: str
    text: str = ""
    table: Table | None = None


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: Name of the run or study.
        subtitle: What was trained.
        state: How far it is, in a word.
        verdict: The answer in a sentence.
        certainty: How sure that is.
        command: What would make it surer; empty if nothing is known to.
        missing: A line for each thing that is missing, damaged or left out.
        facts: What to know of it, by name.
        sections: The parts.
        folds: What is folded away.
    """

    title: str
    subtitle: str
    state: str
    verdict: str
    certainty: tuple[str, ...]
    command: str
    missing: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    folds: tuple[Fold, ...]


def render(page: Page) -> bytes:
    """Renders a page; the same page gives the same bytes.

    The page forbids itself the network and any script but its own two, so that no text from a run
    can do anything, whatever it is.

    Args:
        page: The page.
    """
    environment = Environment(
        loader=PackageLoader("eval.pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [_asset("plotly-basic.min.js"), _asset("page.js")]
    figures: dict[str, Any] = {
        chart.name: chart.figure for section in page.sections for chart in section.charts
    }
    text = environment.get_template("page.html.jinja").render(
        page=page,
        style=_asset("page.css"),
        # Without a chart there is no use for the library.
        scripts=scripts if figures else [],
        hashes=[_hash(script) for script in scripts],
        figures=figures,
    )
    return text.encode()


def write_page(folder: Path, page: Page) -> Path:
    """Writes a page to `report.html` in a folder, and replaces an older one.

    Args:
        folder: Folder of the run or study.
        page: The page.

    Returns:
        Path of the file.

    Raises:
        RunError: If it cannot be written.
    """
    path, data = folder / FILE, render(page)
    try:
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def films(paths: Sequence[tuple[str, Path]]) -> tuple[Film, ...]:
    """Reads films, as far as they are there.

    Args:
        paths: Titles and paths.
    """
    return tuple(
        Film(title, path.read_bytes(), _first_picture(path))
        for title, path in paths
        if path.is_file()
    )


def _first_picture(path: Path) -> bytes:
    """The first frame of a film as JPEG; empty if the file is no film."""
    frames = read_frames(str(path), output_params=["-frames:v", "1"])
    try:
        size = next(frames)["size"]
        picture = Image.frombytes("RGB", size, next(frames))
    except (OSError, RuntimeError, StopIteration):
        return b""
    finally:
        frames.close()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
