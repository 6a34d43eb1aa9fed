"""A template's bounds of its variables: length and characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.bounds import Bounds
from edged.errors import ConfigError, Refusal
from edged.templates import Template, load

FILE = """\
name = "dock"
root = "Read."
payload = "{message} {dock}"
[variables.message]
description = "what was said"
chars_max = 20
characters = "printable"
[variables.dock]
description = "where"
characters = "[A-Z0-9 -]"
[example]
input = { message = "pallet 4", dock = "DOCK 6" }
answer = "6"
"""


def template(folder: Path, text: str = FILE) -> Template:
    (folder / "dock.toml").write_text(text, encoding="utf-8")
    return load(folder)["dock"]


def test_values_within_their_bounds_are_taken(tmp_path: Path) -> None:
    prompt = template(tmp_path).prompt({"message": "Palette 4\nümläut", "dock": "B 7"})
    assert prompt.payload == "Palette 4\nümläut B 7"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"message": "x" * 21, "dock": "B"}, "input.message: 21 characters; at most 20"),
        ({"message": "a\u200bb", "dock": "B"}, "character 2 is U+200B; allowed: printable"),
        ({"message": "a\x00", "dock": "B"}, "character 2 is U+0000"),
        ({"message": "a\u202e", "dock": "B"}, "character 2 is U+202E"),
        ({"message": "a", "dock": "B<|end|>"}, r"input.dock: character 2 is U+003C; allowed: [A-Z"),
        ({"message": "a", "dock": {"b": 1}}, "input.dock: character 1 is U+007B"),
    ],
)
def test_a_value_out_of_its_bounds_is_malformed_and_says_why(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    with pytest.raises(Refusal) as refused:
        template(tmp_path).prompt(given)
    assert refused.value.reason == "malformed"
    assert words in refused.value.detail


def test_devices_can_read_the_bounds(tmp_path: Path) -> None:
    described = json.loads(template(tmp_path).described())
    assert described["bounds"] == {
        "message": {"chars_max": 20, "characters": "printable"},
        "dock": {"characters": "[A-Z0-9 -]"},
    }


def test_a_template_without_bounds_says_nothing_of_them(tmp_path: Path) -> None:
    plain = FILE.replace("chars_max = 20\n", "")
    plain = "\n".join(line for line in plain.splitlines() if not line.startswith("characters"))
    assert "bounds" not in json.loads(template(tmp_path, plain).described())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('characters = "[A-"', "no character class"),
        ('characters = "abc"', '"printable", or a character class'),
        ('characters = "[a-z]"', "example.input.dock: character 1"),
        ("chars_max = 0", "dock.chars_max"),
    ],
)
def test_bounds_that_cannot_be_meant_are_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        template(tmp_path, FILE.replace('characters = "[A-Z0-9 -]"', line))
    assert words in str(error.value)


@given(text=st.text(max_size=40), chars_max=st.integers(1, 30))
def test_what_is_taken_is_never_longer_than_the_bound(text: str, chars_max: int) -> None:
    try:
        Bounds(chars_max=chars_max).check("x", text)
    except Refusal:
        assert len(text) > chars_max
    else:
        assert len(text) <= chars_max


@given(text=st.text(max_size=40))
def test_digits_alone_means_digits_alone(text: str) -> None:
    try:
        Bounds(characters="[0-9]").check("x", text)
    except Refusal:
        assert set(text) - set("0123456789")
    else:
        assert set(text) <= set("0123456789")
