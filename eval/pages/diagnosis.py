"""The diagnosis of the constant-rate phase in a report, if one is stored."""

from __future__ import annotations

import json
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
        sentence = str(data["verdict"]["sentence"])
        rows = tuple(
            tuple(str(finding[key]) for key in ("kind", "cause", "evidence", "threshold", "remedy"))
            for finding in data["findings"]
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        missing.append(f"The diagnosis cannot be read: {path.name}: {type(error).__name__}.")
        return None
    table = Table(
        "Suspects, the strongest first",
        ("Suspect", "Class", "Evidence", "Held against", "What to try"),
        rows,
        prose=True,
    )
    return Section(
        "Diagnosis of the constant-rate phase", (sentence,), tables=(table,) if rows else ()
    )
