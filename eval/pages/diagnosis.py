"""The diagnosis of the constant-rate phase in a report, if one is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from eval.pages.page import Section, Table


def diagnosis_section(path: Path, missing: list[str]) -> Section | None:
    """Shows what `evaluation/diagnosis.json` says.

    Args:
        path: The file.
        missing: Gets a line if the file is damaged.

    Returns:
        The section; `None` without a diagnosis.
    """
    try:
        data = json.loads(path.read_bytes())
        sentence = str(data["sentence"])
        rows = tuple(
            tuple(_text(finding.get(key)) for key in ("kind", "class", "evidence", "remedy"))
            for finding in data["findings"]
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        missing.append(f"The diagnosis cannot be read: {path.name}: {type(error).__name__}.")
        return None
    table = Table("Findings, the likeliest first", ("Kind", "Class", "Evidence", "Remedy"), rows)
    return Section(
        "Diagnosis of the constant-rate phase", (sentence,), tables=(table,) if rows else ()
    )


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_text(inner) for inner in value)
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
