"""The diagnosis of the constant-rate phase in a report, if one is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
        probes = _probes(data.get("interventions"))
        if data.get("interventions") is not None:
            sentence = f"{sentence}. Interventions: {data['interventions']['sentence']}."
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
    tables = ((table,) if rows else ()) + ((probes,) if probes is not None else ())
    return Section("Diagnosis of the constant-rate phase", (sentence,), tables=tables)


def _probes(data: Any) -> Table | None:  # noqa: ANN401 - JSON
    """The probes beside their placebos, if there were any."""
    if data is None:
        return None
    rows = []
    for probe in data["probes"]:
        changes = ", ".join(f"{name} = {value}" for name, value in probe["changes"].items())
        result = probe["comparison"]
        if result is None:
            seen = [probe["divergence"] or "too few placebos", "", "", "no"]
        else:
            seen = [
                f"{result['effect']:+.3g}",
                f"{result['low']:+.3g} to {result['high']:+.3g}",
                f"{result['p_corrected']:.2g}",
                "yes" if probe["beats"] else "no",
            ]
        rows.append((probe["name"], changes, probe["start"], *seen))
    return Table(
        f"Probes of {data['steps']} steps from step {data['step']}, beside their placebos",
        ("Probe", "Change", "Started from", "Return", "95 % interval", "p, corrected", "Beats"),
        tuple(rows),
        prose=True,
    )
