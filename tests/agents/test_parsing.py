"""Config files: numbers are numbers however they are written, and mistakes are one line."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.parsing import parse_json, parse_yaml


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5e-3", 5e-3),
        ("1e-05", 1e-5),
        ("1E5", 1e5),
        ("-2E+05", -2e5),
        ("+12e03", 12e3),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.5e3", 1500.0),
        ("-.inf", -math.inf),
        ("0", 0),
        ("-19", -19),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000_000", 1_000_000),
        ("1_000.5", 1000.5),
        ("9" * 30, int("9" * 30)),
    ],
)
def test_yaml_reads_every_number(text: str, number: float) -> None:
    read = parse_yaml(f"value: {text}")["value"]
    assert read == number
    assert type(read) is type(number)


def test_yaml_reads_not_a_number() -> None:
    assert math.isnan(parse_yaml(".NaN"))


@pytest.mark.parametrize(
    "text", ["1:30", "e5", "_1", "1e", "2020-01-01", "yes", "0b1", "=", "1__e"]
)
def test_yaml_takes_the_rest_for_text(text: str) -> None:
    assert parse_yaml(f"value: {text}")["value"] == text


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None)]
)
def test_yaml_knows_true_false_and_null(text: str, value: object) -> None:
    assert parse_yaml(f"value: {text}")["value"] is value


def test_yaml_merges_mappings() -> None:
    text = "one: &one {a: 1, b: 2}\ntwo: &two {<<: *one, b: 3}\nthree: {<<: *two, a: 4}"
    assert parse_yaml(text)["three"] == {"a": 4, "b": 3}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), inner)
        ),
        max_leaves=20,
    )
)
def test_json_means_the_same_to_both(data: Any) -> None:
    text = json.dumps(data)
    assert parse_json(text) == data
    assert parse_yaml(text) == data


@pytest.mark.parametrize("read", [parse_json, parse_yaml])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1, "b": {"c": 2, "c": 3}}', "the key 'c' is there twice"),
        ("[1, 2", "(line 1|',')"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "4300"),
    ],
)
def test_broken_text_is_refused_in_one_line(read: Any, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{a: NaN, b: \x07}", "--- 1\n--- 2", "!!python/name:os.system ''"]
)
def test_yaml_that_is_not_plain_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - three reasons of PyYAML's
        parse_yaml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_other_constants(constant: str) -> None:
    with pytest.raises(ValueError, match=f"^{constant} is not a number"):
        parse_json(f'{{"a": {constant}}}')
