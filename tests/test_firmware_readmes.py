"""The READMEs of firmware-config/ explain every line, and say what was not tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_firmware_overlays import EACH_BOARD, EACH_OVERLAY
from tools.firmware_config.boards import BOARDS, FIRMWARE, Board, Overlay
from tools.firmware_config.cli import _parser

COMMON = FIRMWARE / "common"
FILES = sorted(path for path in COMMON.rglob("*") if path.is_file() and path.suffix != ".md")
PAGES = sorted(FIRMWARE.rglob("*.md"))


@EACH_OVERLAY
def test_a_boards_readme_explains_every_line_of_an_overlay(board: Board, overlay: Overlay) -> None:
    page = readme(board)
    names = [f"`{overlay.name}.dts`", f"--without {overlay.name}", *names_in(board.source(overlay))]
    assert [name for name in names if name not in page] == []


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_the_common_readme_explains_every_key_of_a_file(file: Path) -> None:
    page = (COMMON / "README.md").read_text(encoding="utf-8")
    assert file.name in page
    assert [key for key in keys_in(file) if key not in page] == []


@EACH_BOARD
def test_a_boards_readme_says_how_to_wire_check_and_undo(board: Board) -> None:
    page = readme(board)
    needed = [
        "Where to splice",
        "Shunt",
        "Two-point check",
        "Undo",
        "--revert",
        "6.1.115",
        board.tree,
    ]
    assert [words for words in needed if words not in page] == []


@EACH_BOARD
def test_a_boards_readme_gives_the_shunt_that_its_overlay_has(board: Board) -> None:
    (micro_ohms,) = re.findall(
        r"shunt-resistor = <(\d+)>", (FIRMWARE / board.name / "ina226.dts").read_text()
    )
    assert f"{int(micro_ohms):,} micro-ohms" in readme(board)
    assert f"{int(micro_ohms) // 1000} mOhm" in readme(board)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_every_readme_says_that_no_board_was_there(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split()).lower()
    assert "tried on a real board" in text


def test_the_overview_has_every_option_of_the_installer() -> None:
    page = (FIRMWARE / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(--[a-z-]+)", page, re.M))
    options = {name for name in _parser()._option_string_actions if name.startswith("--")}
    assert told == options - {"--help"}


def test_the_overview_names_every_board() -> None:
    page = (FIRMWARE / "README.md").read_text(encoding="utf-8")
    assert [name for name in BOARDS if f"({name}/README.md)" not in page] == []


def readme(board: Board) -> str:
    """Return a board's README."""
    return (FIRMWARE / board.name / "README.md").read_text(encoding="utf-8")


def names_in(source: Path) -> set[str]:
    """Return the nodes, labels and properties that an overlay names, without what frames them."""
    code = re.sub(r"//.*", "", source.read_text(encoding="utf-8"))
    nodes = set(re.findall(r"([&\w,-]+)(?:@\w+)? \{", code))
    properties = set(re.findall(r"([\w,#-]+) = ", code))
    # Explained by the line that they stand in.
    framing = {"pinctrl-names", "power-sensor", "title", "category", "exclusive", "description"}
    return (nodes | properties) - framing


def keys_in(file: Path) -> set[str]:
    """Return the settings that a file makes."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[:1] not in "#["]
    if file.suffix == ".rules":
        return set(re.findall(r'(?:SUBSYSTEM|DRIVERS|GROUP)=="?([\w-]+)"', "\n".join(lines)))
    if "=" not in "".join(lines):
        return {word.rsplit("/", 1)[1] for line in lines for word in line.split() if "/" in word}
    return {re.split(r"\s*=", line)[0].removeprefix("options ") for line in lines if line}
