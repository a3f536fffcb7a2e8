"""The pages of the docs, their fenced blocks, and the commands in blocks and text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)

SMALL = """
    "total_timesteps": 200, "hyperparameters": {"buffer_size": 1000, "batch_size": 8}
"""
# What is trained and played here is shorter than on the pages, and nothing else differs.
SHORTER = {
    "README.md": {"episodes=100": "episodes=2", "200_000": "2_048"},
    "docs/evaluation.md": {"episodes=100": "episodes=2"},
    "docs/exact-runs.md": {"40_000": "200", '"224000"': '"300"'},
    "docs/how-to/own-algorithm.md": {'"algo": "slow_td3"': f'"algo": "slow_td3", {SMALL}'},
    # A run in the place of the Hub's copy of one, and the dataset that is recorded for the page.
    "docs/integrations.md": {
        'snapshot_download("USER/NAME")': '"runs/push/three"',
        "reach/sac-seed0-20260101-120000-phase2-v0": "reach/three-v0",
    },
    "docs/learners.md": {
        '"MultiInputPolicy", env)': '"MultiInputPolicy", env, buffer_size=1000)',
        "100_000": "110",
    },
    "docs/training.md": {'"seed": 1': f'"seed": 1, {SMALL}'},
}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The page, relative to the checkout.
        line: Its first line in the page, from 1.
        language: The word after the fence.
        text: What is inside.
    """

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command that a page tells a reader to run.

    Attributes:
        page: The page, relative to the checkout.
        line: Its line in the page, from 1.
        words: The command as a shell splits it.
    """

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Fenced blocks of a page, in order; those of some languages, or all."""
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE)
    every = [Block(page, read(page)[: m.start()].count("\n") + 2, m[1], m[2]) for m in found]
    return [block for block in every if not languages or block.language in languages]


def commands(page: str) -> list[Command]:
    """Commands of a page: lines of `bash` blocks, prompts of `console` blocks, and code in text.

    Code in text is a command if it begins with a program and has more to say than its name.
    """
    lines = []
    for block in blocks(page, "bash", "console"):
        text = re.sub(r"\\\n", "  ", block.text)
        for number, line in enumerate(text.split("\n")):
            if block.language == "bash" or line.startswith("$ "):
                lines.append((block.line + number, line.removeprefix("$ ")))
    prose = re.sub(
        r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), read(page), flags=re.DOTALL | re.M
    )
    lines += [
        (prose[: code.start()].count("\n") + 1, " ".join(code[1].split()))
        for code in re.finditer(r"`([^`]+)`", prose)
        if re.match(r"(python|pip|staircase-\w+)\s", code[1])
    ]
    found = []
    for number, line in lines:
        for part in re.split(r"\s&&\s", line):
            words = tuple(shlex.split(part, comments=True))
            if words not in ((), ("python", "train.py"), ("python", "-m", "eval")):
                found.append(Command(page, number, words))
    return found


def run_snippets(*pages: str) -> dict[str, Any]:
    """Runs the Python blocks of some pages, in their order, and returns what they define.

    A block that begins with the name of a file is written into the present folder instead.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for page in pages:
        for block in blocks(page, "python"):
            text = block.text
            for long, short in SHORTER.get(page, {}).items():
                text = text.replace(long, short)
            if (file := re.match(r"# (\w+\.py)\n", text)) is not None:
                Path(file[1]).write_text(text, encoding="utf-8")
                continue
            lines_before = "\n" * (block.line - 1)  # so that errors name the line in the page
            exec(compile(lines_before + text, page, "exec"), names)
    return names
