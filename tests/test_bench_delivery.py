"""`edged bench delivery`: its figures by hand-made measurements, and all of it once, small."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged import cli
from edged.bench.delivery import disk, spool_view
from edged.bench.delivery.hang import Hung
from edged.bench.delivery.latency import Latency
from edged.bench.delivery.rates import Flooded, Pair
from edged.bench.delivery.report import Found, SlowDisk, figures, lines
from edged.bench.delivery.share import Shared
from edged.bench.delivery.spool_view import Arrival, rate
from edged.bench.delivery.table import table
from edged.bench.delivery.upkeep import Idle, Recovered, Written
from edged.errors import ConfigError
from tests.broker import with_programs

ROOT = Path(__file__).parent.parent
GOOD = Found(
    pairs=[
        Pair(8000.0, 2400.0, 1e-4, 2e-4),
        Pair(8000.0, 2000.0, 1e-4, 3e-4),
        Pair(9000.0, 2700.0, 1e-4, 4e-4),
    ],
    slow_disk=[SlowDisk(Flooded(3000.0, 200), Flooded(1500.0, 190), 0.9)],
    latency=Latency(0.004, 0.005),
    shared=[Shared(2.5, 2.45)],
    recovered=[Recovered(0.8, 0.5)],
    written=Written(6000.0, 9000.0, 50_000.0, 1500.0),
    idle=Idle(1.2, 0.001),
    hung=[Hung(1.5, 5.6, 1.2)],
)
KEYS = {
    "accepts_per_s",
    "accepts_share_of_raw",
    "slow_disk",
    "accept_median_ratio_100k",
    "e2e_share",
    "recovery_s",
    "bytes_per_prompt",
    "idle_wakeups_per_s",
    "idle_cpu_share",
}


def test_the_json_has_its_keys_and_no_others_whatever_was_measured() -> None:
    for found in (GOOD, Found()):
        told = figures(found)
        assert set(told) == KEYS
        assert set(told["slow_disk"]) == {"accepts_per_s", "burst_1000_s", "engine_rate_loss"}


def test_the_figures_are_the_medians() -> None:
    told = figures(GOOD)
    assert (told["accepts_per_s"], told["accepts_share_of_raw"]) == (2400.0, 0.3)
    assert told["slow_disk"] == {
        "accepts_per_s": 1500.0,
        "burst_1000_s": 0.9,
        "engine_rate_loss": 0.05,
    }
    assert (told["accept_median_ratio_100k"], told["e2e_share"]) == (1.25, 0.98)
    assert "| processor time of an accept " in table(GOOD)
    assert "| 300 us (200 to 400) " in table(GOOD)


def test_what_was_not_measured_is_null() -> None:
    told = figures(Found())
    assert {told[key] for key in KEYS - {"slow_disk"}} == {None}
    assert set(told["slow_disk"].values()) == {None}


def met(found: Found) -> dict[str, bool]:
    """Return which of the figures that should reach something do."""
    return {line.name: line.is_met for line in lines(found) if line.is_met is not None}


def test_a_board_that_reaches_all_is_told_so() -> None:
    assert len(met(GOOD)) == 12
    assert all(met(GOOD).values())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"pairs": [Pair(8000.0, 1999.0, 1e-4, 3e-4)]}, "share of plain paho"),
        ({"slow_disk": [SlowDisk(Flooded(1, 100), Flooded(999.0, 100), 1.0)]}, "accepts/s, 10 ms"),
        ({"slow_disk": [SlowDisk(Flooded(1, 100), Flooded(1e4, 100), 2.1)]}, "burst of 1,000"),
        ({"slow_disk": [SlowDisk(Flooded(1, 100), Flooded(1e4, 89), 1.0)]}, "answers lost"),
        ({"latency": Latency(1.0, 1.6)}, "ratio"),
        ({"shared": [Shared(1.0, 0.94)]}, "arrives"),
        ({"recovered": [Recovered(1.01, 0.5)]}, "online"),
        ({"written": Written(8597.0, 1.0, 1.0, 1500.0)}, "until accepted"),
        ({"idle": Idle(2.1, 0.001)}, "wakeups"),
        ({"idle": Idle(1.0, 0.003)}, "share of a core"),
        ({"hung": [Hung(1.5, 6.51, 1.2)]}, "until it is ended"),
        ({"hung": [Hung(1.5, 5.6, 1.6)]}, "until the next is ready"),
    ],
)
def test_a_figure_that_misses_is_told_so(changes: dict[str, Any], name: str) -> None:
    missed = [line for line, is_met in met(replace(GOOD, **changes)).items() if not is_met]
    assert len(missed) == 1
    assert name in missed[0]


def test_the_table_says_of_each_figure_whether_it_is_met() -> None:
    text = table(GOOD)
    assert "| idle: share of a core, both" in text
    assert text.count("| yes |") == 12
    assert "no C compiler" in table(Found(notes=["The slow disk: no C compiler."]))


def test_a_rate_counts_from_the_first_group_to_the_last() -> None:
    assert rate([Arrival(10.0, 64), Arrival(10.5, 36), Arrival(11.0, 5)]) == 100.0
    with pytest.raises(ValueError, match="one group"):
        rate([Arrival(10.0, 64)])


def test_a_filled_spool_has_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    spool_view.fill(tmp_path, waiting=30, delivered=70)
    assert (spool_view.rows(tmp_path), spool_view.delivered(tmp_path)) == (100, 70)
    assert len(spool_view.settled_s(tmp_path)) == 70
    assert spool_view.is_log_empty(tmp_path)
    assert 700 < spool_view.row_bytes(tmp_path) < 1500


def test_a_commit_takes_the_time_that_is_injected(tmp_path: Path) -> None:
    library = disk.slow_fsync(tmp_path)
    if library is None:
        pytest.skip("no C compiler here")
    assert library.exists()


def test_a_library_that_slows_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.c"
    empty.write_text("int nothing;\n")
    monkeypatch.setattr(disk, "SOURCE", empty)
    monkeypatch.setattr(disk, "VARIABLE", "NOBODY_READS_IT")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    with pytest.raises(ConfigError, match="does not sync through libc"):
        disk.slow_fsync(tmp_path)


def test_a_folder_in_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="of which nothing reaches a disk"):
        disk.check_on_disk(Path("/dev/shm"))


def test_written_bytes_count_what_reaches_the_disk(tmp_path: Path) -> None:
    before = disk.written_bytes(os.getpid())
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(1_000_000))
        file.flush()
        os.fsync(file.fileno())
    if disk._file_system(tmp_path) in disk.IN_MEMORY:
        pytest.skip("the tests' folder is in memory")
    assert disk.written_bytes(os.getpid()) - before >= 1_000_000


def test_a_figure_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="there are: rate, slow-disk"):
        cli.run(["bench", "delivery", "--figure", "speed"])


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.model
def test_all_of_it_small(tmp_path: Path) -> None:
    file, began_s = tmp_path / "delivery.json", time.monotonic()
    arguments = ["--quick", "--json", str(file), "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "edged", "bench", "delivery", *arguments],
        capture_output=True,
        text=True,
        env={**with_programs(), "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(file.read_text())
    slow = told.pop("slow_disk")
    assert all(value is not None and value > 0 for value in told.values())
    assert slow["accepts_per_s"] > 0
    assert slow["burst_1000_s"] > 0
    assert time.monotonic() - began_s < 300
