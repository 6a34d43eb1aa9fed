from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.power.forecast import Learned
from edged.power.kept import Kept

LEARNED = Learned(floor_w=1.5, prefill_gain=1.1, decode_gain=0.9, decode_ticks=77, band=0.04)


def test_what_was_learned_comes_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "power.json")
    kept.save("rk3588", LEARNED)
    assert kept.load("rk3588") == LEARNED


def test_another_board_starts_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "power.json")
    kept.save("rk3588", LEARNED)
    assert kept.load("rk3576") == Learned()


def test_the_first_start_has_learned_nothing(tmp_path: Path) -> None:
    assert Kept(tmp_path / "power.json").load("rk3588") == Learned()


@given(text=st.one_of(st.text(max_size=60), st.sampled_from(["[]", "{}", '{"learned": 3}', "1"])))
def test_a_file_that_is_not_ours_is_moved_aside(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("kept") / "power.json"
    path.write_text(text, encoding="utf-8")
    assert Kept(path).load("rk3588") == Learned()
    assert not path.exists()
    assert path.with_suffix(".broken").read_text(encoding="utf-8") == path_text(text)


def path_text(text: str) -> str:
    """Return what universal newlines make of a text."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_file_cut_short_is_moved_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(tmp_path / "power.json")
    kept.save("rk3588", LEARNED)
    kept.path.write_bytes(kept.path.read_bytes()[:40])
    with caplog.at_level(logging.WARNING):
        kept.load("rk3588")
    assert "power.broken" in caplog.text
    assert "starts anew" in caplog.text


def test_values_that_cannot_be_are_forgotten_one_by_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "power.json")
    table = {"board": "rk3588", "learned": LEARNED.as_json() | {"prefill_gain": 1e9}}
    kept.path.write_text(json.dumps(table))
    found = kept.load("rk3588")
    assert (found.prefill_gain, found.decode_gain) == (1.0, 0.9)


def test_a_folder_that_cannot_be_written_is_said_and_nothing_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Kept(tmp_path / "nowhere" / "power.json").save("rk3588", LEARNED)
    assert "not kept" in caplog.text


def test_writing_leaves_nothing_else_behind(tmp_path: Path) -> None:
    Kept(tmp_path / "power.json").save("rk3588", LEARNED)
    assert [path.name for path in tmp_path.iterdir()] == ["power.json"]
