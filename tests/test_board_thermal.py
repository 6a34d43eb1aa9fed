"""The hottest zone speaks for the board. Method: plain directories in the shape of sysfs."""

from __future__ import annotations

from pathlib import Path

from edged.board.thermal import hottest_c


def zone(folder: Path, number: int, text: str) -> None:
    place = folder / f"thermal_zone{number}"
    place.mkdir()
    (place / "temp").write_text(text)


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    zone(tmp_path, 0, "41230\n")
    zone(tmp_path, 1, "55499\n")
    assert hottest_c(tmp_path) == 55.0


def test_a_zone_that_tells_nonsense_is_passed_over(tmp_path: Path) -> None:
    zone(tmp_path, 0, "41230\n")
    zone(tmp_path, 1, "\n")
    assert hottest_c(tmp_path) == 41.0


def test_a_machine_without_zones_tells_nothing(tmp_path: Path) -> None:
    assert hottest_c(tmp_path) is None
