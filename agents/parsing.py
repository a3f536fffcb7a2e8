"""Text to data: JSON as JSON, and YAML by the rules of YAML 1.2.

PyYAML reads YAML 1.1, where `5e-3` and `1e-05` are text, `1:30` is ninety and `010` is eight. This
module reads them as they look, so a run's `run.json` means the same as JSON and, copied into a
config, as YAML.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)
"""YAML 1.2's own, with `_` between digits and `<<`, which YAML 1.1 had and the presets use."""


def parse_json(text: str) -> Any:  # noqa: ANN401 - whatever the text says
    """Reads JSON.

    Args:
        text: The text.

    Returns:
        What it says.

    Raises:
        ValueError: If it is no JSON, or a key is there twice; the message is one line.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text says
    """Reads a document of YAML.

    Args:
        text: The text.

    Returns:
        What it says.

    Raises:
        ValueError: If it is no YAML, or a key is there twice; the message is one line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON knows")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with other numbers, and no key twice in a mapping."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - typed wrongly
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, str(key.value)))
        return node

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        digits = self.construct_scalar(node).replace("_", "")
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        return int(digits, base)

    def construct_float(self, node: yaml.ScalarNode) -> float:
        digits = self.construct_scalar(node).replace("_", "").lower()
        return float(re.sub(r"\.(?=inf|nan)", "", digits))


for _kind, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}",
        re.compile(f"(?:{_pattern})$"),
        ["" if character == "\0" else character for character in _first],
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)
