"""A misspelt name in firmware-config/ does not go unnoticed: each is misspelt, a test must fail.

Method: one letter of each label, node, property and text of an overlay, and of each name in the
rules and settings, is changed in a copy of firmware-config/; the tests of the file are then run on
that copy, and one of them must fail. Texts for people and comments are left out.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests import test_firmware_common as common
from tests import test_firmware_common_udev as udev
from tests import test_firmware_overlays as overlays
from tests import test_firmware_readmes as readmes
from tools.firmware_config import boards
from tools.firmware_config.boards import BOARDS, FIRMWARE, Board, Overlay

README = FIRMWARE / "README.md"
ETC = "common/all/etc"
FILES = sorted(
    path.relative_to(FIRMWARE)
    for path in FIRMWARE.rglob("*")
    if path.is_file() and path.suffix != ".md"
)
EACH_FILE = pytest.mark.parametrize("file", FILES, ids=str)
# How a test fails on a file that is not what it should be.
FAILURES = (AssertionError, LookupError, ValueError, subprocess.CalledProcessError)

Check = Callable[[Path], object]


@dataclass(frozen=True)
class Mutant:
    """A file's text with one name misspelt."""

    name: str
    line: int
    text: str


def mutants(file: Path) -> list[Mutant]:
    """Return every way in which one name of a file can be misspelt here."""
    text = (FIRMWARE / file).read_text(encoding="utf-8")
    return [
        Mutant(name, text.count("\n", 0, start) + 1, misspelt(text, start, name))
        for start, name in names(file, text)
    ]


def misspelt(text: str, start: int, name: str) -> str:
    """Return the text with the middle letter or digit of a name changed for the next one."""
    places = [place for place, letter in enumerate(name) if letter.isalnum()]
    at = start + places[len(places) // 2]
    return text[:at] + next_to(text[at]) + text[at + 1 :]


def next_to(letter: str) -> str:
    """Return another letter of the same kind."""
    ends = {"z": "a", "Z": "A", "9": "0"}
    return ends.get(letter, chr(ord(letter) + 1))


def names(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield place and text of each name in a file."""
    code = re.sub(*not_names(file), text, flags=re.MULTILINE)
    for found in re.finditer(r"(?<!\w)[A-Za-z#][\w,#-]*[A-Za-z0-9]", code):
        yield found.start(), found[0]


def not_names(file: Path) -> tuple[str, Callable[[re.Match[str]], str]]:
    """Return what is no name in a file, and what to put in its place, of the same length."""
    if file.suffix == ".dts":
        # Comments, titles for people, and the directives at the top, which are dtc's own.
        return r"//.*|\b(?:title|description) = .*|^/\S+/;", blank
    if file.suffix == ".rules":
        return r"^#.*", blank
    # Comments, and what stands behind a key where it is a quantity and no name.
    return r"^#.*|(?<==)(?: .*|\d\w*)", blank


def blank(found: re.Match[str]) -> str:
    """Return as many spaces as there were letters."""
    return " " * len(found[0])


@pytest.mark.slow
@udev.needs_udevadm
@common.needs_systemd
@common.needs_tmpfiles
@EACH_FILE
def test_each_misspelt_name_fails_a_test(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "firmware-config"
    shutil.copytree(FIRMWARE, copy)
    use(copy, monkeypatch)
    folders = (tmp_path / str(number) for number in count())
    assert failing(file, folders) is None, "a test fails on the files as they are"
    unnoticed = []
    for mutant in mutants(file):
        (copy / file).write_text(mutant.text, encoding="utf-8")
        if failing(file, folders) is None:
            unnoticed.append(f"{file}:{mutant.line}: {mutant.name}")
    assert unnoticed == []


def test_the_readme_tells_how_many_names_were_misspelt() -> None:
    total = sum(len(mutants(file)) for file in FILES)
    (told,) = re.findall(r"\*\*(\d+) names\*\*", README.read_text(encoding="utf-8"))
    assert int(told) == total


@EACH_FILE
def test_every_file_has_names_and_each_can_be_misspelt(file: Path) -> None:
    text = (FIRMWARE / file).read_text(encoding="utf-8")
    every = mutants(file)
    assert every
    assert all(mutant.text != text and len(mutant.text) == len(text) for mutant in every)


def use(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests look at a copy of firmware-config/."""
    for module in (boards, overlays, readmes):
        monkeypatch.setattr(module, "FIRMWARE", copy)
    monkeypatch.setattr(readmes, "COMMON", copy / "common")
    monkeypatch.setattr(common, "ETC", copy / ETC)
    monkeypatch.setattr(udev, "RULES", copy / ETC / "udev/rules.d/70-edged-npu.rules")


def failing(file: Path, folders: Iterator[Path]) -> str | None:
    """Return the first test that fails on the copy; None where all succeed."""
    for name, check in checks(file):
        folder = next(folders)
        folder.mkdir()
        try:
            check(folder)
        except FAILURES:
            return name
    return None


def checks(file: Path) -> Iterator[tuple[str, Check]]:
    """Yield the tests that look at a file, each as a function of an empty folder."""
    if file.suffix == ".dts":
        board = BOARDS[file.parent.name]
        yield from overlay_checks(board, overlays.named(board, file.stem))
        return
    yield from udev_checks() if file.suffix == ".rules" else setting_checks(file)
    explained = readmes.test_the_common_readme_explains_every_key_of_a_file
    yield explained.__name__, without_folder(partial(explained, boards.FIRMWARE / file))


def overlay_checks(board: Board, overlay: Overlay) -> Iterator[tuple[str, Check]]:
    """Yield the tests of an overlay."""
    for check in (
        overlays.test_dtc_has_nothing_to_say_about_an_overlay,
        overlays.test_an_overlay_adds_the_nodes_that_it_says_and_no_other,
    ):
        yield check.__name__, partial(check, board, overlay)
    if overlay.name == "ina226":
        test = overlays.test_the_meter_is_on_the_bus_and_the_pins_of_the_header
        yield test.__name__, partial(test, board)
        if board.name == "rock-5b":
            yield "menu", overlays.test_radxas_menu_is_told_the_board_and_the_pins
    if overlay.name == "watchdog":
        yield "watchdog", overlays.test_the_watchdog_goes_from_off_to_on
    if overlay.name == "npu-cap":
        fastest = overlays.test_the_fastest_clock_that_is_left_is_700_mhz
        yield "opp-", partial(fastest, board, "opp-")
        yield "opp-j-m-", partial(fastest, board, "opp-j-m-")


# The values of the parametrised tests of the udev rules.
UDEV_CASES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "test_the_npus_nodes_get_their_groups_by_driver": (("fdab0000",),),
    "test_the_npus_nodes_are_closed_to_all_others": (("card1",), ("renderD130",)),
    "test_edged_may_write_a_clock_limit_and_nothing_else": (
        ("fdab0000.npu", "RKNPU"),
        ("dmc", "rockchip-dmc"),
    ),
    "test_edged_may_write_how_long_the_meter_averages": (
        ("ina2xx", ["update_interval"]),
        ("ina3221", ["update_interval", "samples"]),
        ("ina238", []),
        ("tcpm", []),
    ),
}


def udev_checks() -> Iterator[tuple[str, Check]]:
    """Yield the tests of the udev rules."""
    for name, test in inspect.getmembers(udev.TestUdev(), inspect.ismethod):
        for case in UDEV_CASES.get(name, ((),)):
            yield name, partial(test, *case)


def setting_checks(file: Path) -> Iterator[tuple[str, Check]]:
    """Yield the tests of a file of settings, but for its README's."""
    tests: dict[str, tuple[Check, ...]] = {
        f"{ETC}/systemd/system.conf.d/70-edged-watchdog.conf": (
            without_folder(common.test_systemd_takes_the_watchdogs_settings),
            without_folder(common.test_the_watchdogs_times_are_below_what_the_hardware_can_count),
        ),
        f"{ETC}/systemd/journald.conf.d/70-edged.conf": (
            without_folder(common.test_journald_knows_every_setting),
        ),
        f"{ETC}/sysctl.d/zz-edged.conf": (
            without_folder(common.test_this_kernel_has_every_sysctl),
            without_folder(common.test_sysctl_reads_the_file_as_it_stands),
        ),
        **{
            f"{ETC}/systemd/system/{unit}.d/{name}.conf": drop_in_checks(unit)
            for unit, name in (
                ("edged.service", "board"),
                ("edged-engine.service", "clocks"),
                ("edged-engine.service", "npu"),
            )
        },
        f"{ETC}/tmpfiles.d/edged-cpufreq.conf": (
            common.test_edged_may_write_the_clock_limit_of_each_cluster,
        ),
        f"{ETC}/tmpfiles.d/edged-npu-lock.conf": (
            common.test_the_lock_of_the_npu_is_there_from_boot_on_and_is_the_one_that_edged_takes,
        ),
        f"{ETC}/modprobe.d/edged.conf": (without_folder(common.test_modprobe_reads_the_option),),
        "common/radxa-os/etc/systemd/zram-generator.conf.d/edged.conf": (
            without_folder(common.test_the_generator_of_compressed_swap_is_told_one_device),
        ),
    }
    for test in tests.get(str(file), ()):
        yield str(file), test


def drop_in_checks(unit: str) -> tuple[Check, ...]:
    """Return the tests of a unit's drop-ins."""
    opens = common.test_a_units_drop_ins_open_what_the_board_needs_and_nothing_else
    return (
        partial(common.test_systemd_has_nothing_to_say_about_a_units_drop_ins, unit),
        without_folder(partial(opens, unit)),
    )


def without_folder(test: Callable[[], object]) -> Check:
    """Return a test that needs no folder as one that is given one."""
    return lambda _: test()
