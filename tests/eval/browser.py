"""A real browser that looks at pages, where the machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HOW = (
    "no chromium-headless-shell: pip install playwright && apt-get install chromium-headless-shell"
)


@dataclass
class Visit:
    """A page in the browser, and what it said and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def visited(path: Path, width: int = 1000, scheme: str = "light") -> Iterator[Visit]:
    """Opens a page and waits until its charts are drawn; skips where there is no browser."""
    program = shutil.which("chromium-headless-shell")
    if program is None:
        pytest.skip(HOW)
    sync_api = pytest.importorskip("playwright.sync_api", reason=HOW)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        visit = Visit(page)
        page.on("console", lambda message: visit.complaints.append(message.text))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html.drawn", timeout=60_000)
        yield visit
        browser.close()


def check_page(visit: Visit, path: Path) -> None:
    """No error, no request beyond the page, every chart drawn, nothing wider than the window."""
    assert visit.complaints == []
    # A film inside the page is no request to anybody.
    assert [url for url in visit.requests if not url.startswith("data:")] == [path.as_uri()]
    charts = visit.page.query_selector_all(".chart")
    assert charts
    for chart in charts:
        assert chart.query_selector("svg.main-svg .trace, svg.main-svg .scatterlayer path")
        box, inner = chart.bounding_box(), chart.query_selector("svg.main-svg").bounding_box()
        assert 0 < inner["width"] <= box["width"] + 1
        assert chart.get_attribute("aria-describedby")
    widths = "[document.documentElement.scrollWidth, innerWidth]"
    wide, window = visit.page.evaluate(widths)
    assert wide <= window
