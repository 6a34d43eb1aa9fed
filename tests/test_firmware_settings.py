"""Settings of system files are changed and changed back without touching what is beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_trees import blob, compiled, run
from tools.firmware_config.errors import Refusal
from tools.firmware_config.flat_tree import children, read_tree, strings
from tools.firmware_config.settings import (
    with_block,
    with_words,
    without_block,
    without_words,
    words_of,
)

OURS = ["edged-ina226", "edged-npu-cap"]
WORDS = st.lists(st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True), max_size=4, unique=True)
LINES = st.lists(
    st.sampled_from(
        ["verbosity=1", "# user_overlays=no", "extraargs=cma=256M", "", "overlays=a b"]
    ),
    max_size=5,
).map(lambda lines: "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user_overlays=a b\n", ["a", "b"]),
        ('user_overlays="a b"\n', ["a", "b"]),
        ("user_overlays='a'\n", ["a"]),
        ("user_overlays=\n", []),
        ("# user_overlays=a\n", []),
        ("user_overlays_x=a\n", []),
        ("user_overlays=a\nuser_overlays=b\n", ["b"]),
        ("user_overlays=a", ["a"]),
        ("", []),
    ],
)
def test_the_words_are_those_that_the_boot_loader_takes(text: str, words: list[str]) -> None:
    assert words_of(text, "user_overlays") == words


@pytest.mark.parametrize(
    "line", ['user_overlays="a" # mine', "user_overlays=a'b", 'user_overlays="a']
)
def test_a_line_that_is_not_read_here_is_refused(line: str) -> None:
    with pytest.raises(Refusal, match="cannot read this line"):
        words_of(f"{line}\n", "user_overlays")


@given(LINES, WORDS)
def test_words_join_those_of_others_once(before: str, others: list[str]) -> None:
    text = f"{before}user_overlays={' '.join(others)}\n" if others else before
    once = with_words(text, "user_overlays", OURS)
    assert words_of(once, "user_overlays") == [*others, *OURS]
    assert with_words(once, "user_overlays", OURS) == once


@given(LINES, WORDS, st.sampled_from(["", '"', "'"]))
def test_words_taken_back_leave_the_file_as_it_was(
    before: str, others: list[str], quote: str
) -> None:
    line = f"user_overlays={quote}{' '.join(others)}{quote}\n" if others else ""
    text = f"{before}{line}verbosity=7\n"
    assert without_words(with_words(text, "user_overlays", OURS), "user_overlays", OURS) == text


@given(LINES)
def test_a_block_taken_back_leaves_the_file_as_it_was(text: str) -> None:
    assert without_block(with_block(text, "A=1\nB=2")) == text


@given(LINES)
def test_a_block_is_there_once_and_last(text: str) -> None:
    twice = with_block(with_block(text, "A=1"), "A=2")
    assert (twice.count("A="), twice.splitlines()[-2]) == (1, "A=2")


def test_a_shell_reads_the_words_that_were_added(tmp_path: Path) -> None:
    file = tmp_path / "u-boot"
    file.write_text(with_words('X="a"\n', "X", OURS))
    done = subprocess.run(["sh", "-c", f". {file}; echo $X"], capture_output=True, text=True)
    assert done.stdout.split() == ["a", *OURS]


class TestFlatTree:
    """The reader sees what the device tree's own tools see."""

    def test_children_are_those_that_fdtget_lists(self, tmp_path: Path) -> None:
        file = blob("rock-5b", tmp_path / "x.dtb")
        listed = run("fdtget", "-l", str(file), "/npu-opp-table").stdout.split()
        assert children(read_tree(file.read_bytes(), "x"), "/npu-opp-table") == set(listed)

    def test_the_roots_children_are_those_that_fdtget_lists(self, tmp_path: Path) -> None:
        file = blob("armsom-sige5", tmp_path / "x.dtb")
        listed = run("fdtget", "-l", str(file), "/").stdout.split()
        assert children(read_tree(file.read_bytes(), "x"), "/") == set(listed)

    def test_a_property_is_what_fdtget_prints(self, tmp_path: Path) -> None:
        file = blob("nanopi-r6s", tmp_path / "x.dtb")
        printed = run("fdtget", "-t", "s", str(file), "/", "compatible").stdout.split()
        assert strings(read_tree(file.read_bytes(), "x")["/"]["compatible"]) == printed

    @given(st.binary(max_size=64))
    def test_any_other_bytes_are_refused(self, blob: bytes) -> None:
        with pytest.raises(Refusal, match="no device tree"):
            read_tree(blob, "junk")

    @given(st.integers(min_value=0))
    def test_a_tree_cut_short_is_refused(self, cut: int) -> None:
        whole = compiled("rock-5b")
        with pytest.raises(Refusal, match="no device tree"):
            read_tree(whole[: cut % len(whole)], "cut")
