"""Gives the package its README with links that work on PyPI; all else is in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


def with_whole_links(text: str, repository: str | None) -> str:
    """Makes links into the repository whole; PyPI's page has nothing that they could lead to.

    Args:
        text: Markdown.
        repository: Where the repository is, as GitHub has it; `None` if nowhere. Then links keep
            their words alone, and pictures are left out.
    """

    def whole(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        if repository is None:
            return "" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}]({repository.rstrip('/')}/{kind}/HEAD/{path})"

    return LINK.sub(whole, text)


def read(name: str) -> str:
    """Reads a file that lies beside this one."""
    return (HERE / name).read_text(encoding="utf-8")


stated = re.search(r'^Repository = "(.+)"$', read("pyproject.toml"), re.MULTILINE)
setup(
    long_description=with_whole_links(read("README.md"), stated[1] if stated else None),
    long_description_content_type="text/markdown",
)
