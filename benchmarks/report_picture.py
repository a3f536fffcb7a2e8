"""The picture of a report in the README: the top of a run's page, as a browser shows it.

    python -m benchmarks.report_picture RUN [docs/images/report.png] [--width 1000] [--dark] [--all]

Needs playwright and Debian's chromium-headless-shell.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from agents import find_run
from eval import write_report

HEIGHT = 1000


def main() -> None:
    """Look and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("path", nargs="?", default="docs/images/report.png")
    parser.add_argument("--width", type=int, default=1000, help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--all", action="store_true", help="the whole page, not its top alone")
    args = parser.parse_args()
    page_path = write_report(find_run(args.run))
    program = shutil.which("chromium-headless-shell")
    if program is None:
        raise SystemExit("apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": args.width, "height": HEIGHT},
            color_scheme="dark" if args.dark else "light",
        )
        page.goto(page_path.resolve().as_uri())
        page.wait_for_selector("html.drawn", timeout=120_000)
        shot = page.screenshot(full_page=args.all, timeout=120_000)
        browser.close()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(Path(args.path), optimize=True)


if __name__ == "__main__":
    main()
