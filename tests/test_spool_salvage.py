"""Spools that a disk has damaged: real files, real damage.

Goal: whatever happens to the bytes, the daemon starts, every row that SQLite can still read is
kept, and the damaged file too. Method: a spool of many kinds of rows is written, its bytes are
changed in all kinds of ways, and a plain SQLite connection of the test's own says what can be read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.memory import MEMORY
from tests.salvage_fixtures import PAGE, opens_and_keeps, readable
from tests.salvage_fixtures import cut_off as cut_off
from tests.salvage_fixtures import folded as folded

# Each example is a spool that is written, opened, salvaged and read.
FEW = settings(max_examples=settings().max_examples // 3)
# An altered version is a newer file, which is refused and left as it is.
VERSION_BYTES = range(60, 64)


def check_damage(source: Path, name: str, damage: Callable[[bytearray], None]) -> bool:
    """Damage a copy of the spool; check what is kept; return whether a file was set aside."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        folder = Path(place)
        for path in source.glob("spool.db*"):
            shutil.copy(path, folder)
        whole = readable(folder)
        content = bytearray((folder / name).read_bytes())
        damage(content)
        (folder / name).write_bytes(content)
        left = readable(folder)
        unchanged = {serial: row for serial, row in left.items() if whole.get(serial) == row}
        opens_and_keeps(folder, unchanged)
        aside = folder / "spool.db.damaged-1"
        assert not (folder / "spool.db.salvage").exists()
        if aside.exists():
            log = folder / "spool.db.damaged-1-wal"
            check_that_it_can_still_be_read(aside, log, left)
        return aside.exists()


def check_that_it_can_still_be_read(
    aside: Path, log: Path, left: dict[int, tuple[Any, ...]]
) -> None:
    """Check that nothing was taken from the damaged file."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        shutil.copy(aside, Path(place) / "spool.db")
        if log.exists():
            shutil.copy(log, Path(place) / "spool.db-wal")
        found = readable(Path(place))
        assert {serial: found.get(serial) for serial in left} == left


FLIPS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=5
)


@FEW
@given(flips=FLIPS)
@example(flips=[(18 / 2**16, 1)])
def test_flipped_bits_cost_no_row_that_can_be_read(
    folded: Path, flips: list[tuple[float, int]]
) -> None:
    def damage(content: bytearray) -> None:
        for share, mask in flips:
            place = int(share * len(content))
            if place not in VERSION_BYTES:
                content[place] ^= mask

    check_damage(folded, "spool.db", damage)


@FEW
@given(place=st.sampled_from([*range(60), *range(64, 120)]))
def test_no_byte_of_the_header_keeps_the_daemon_from_its_start(folded: Path, place: int) -> None:
    def damage(content: bytearray) -> None:
        content[place] ^= 0xFF

    check_damage(folded, "spool.db", damage)


@FEW
@given(share=st.floats(0, 1))
@example(share=0.0)
@example(share=0.001)
def test_a_file_that_was_cut_keeps_what_is_before_the_cut(folded: Path, share: float) -> None:
    def damage(content: bytearray) -> None:
        del content[int(share * len(content)) :]

    check_damage(folded, "spool.db", damage)


@FEW
@given(share=st.floats(0, 1, exclude_max=True), fill_byte=st.sampled_from([0x00, 0xFF]))
@example(share=0.0, fill_byte=0xFF)
def test_a_lost_page_costs_what_stood_on_it(folded: Path, share: float, fill_byte: int) -> None:
    start = int(share * (folded / "spool.db").stat().st_size) // PAGE * PAGE
    check_damage(folded, "spool.db", partial(lose_page, start=start, fill_byte=fill_byte))


def lose_page(content: bytearray, start: int, fill_byte: int) -> None:
    """Overwrite a page."""
    content[start : start + PAGE] = bytes([fill_byte]) * PAGE


@FEW
@given(flips=FLIPS, in_log=st.booleans())
def test_flipped_bits_beside_a_log_cost_no_row_that_can_be_read(
    cut_off: Path, flips: list[tuple[float, int]], in_log: bool
) -> None:
    def damage(content: bytearray) -> None:
        for share, mask in flips:
            place = int(share * len(content))
            if place not in VERSION_BYTES or in_log:
                content[place] ^= mask

    check_damage(cut_off, "spool.db-wal" if in_log else "spool.db", damage)


def test_a_lost_page_in_the_middle_is_found_and_set_aside(folded: Path) -> None:
    def damage(content: bytearray) -> None:
        content[5 * PAGE : 6 * PAGE] = bytes(PAGE)

    assert check_damage(folded, "spool.db", damage)


def test_an_emptied_file_keeps_its_log_aside(cut_off: Path) -> None:
    assert check_damage(cut_off, "spool.db", bytearray.clear)
