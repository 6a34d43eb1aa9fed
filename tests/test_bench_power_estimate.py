"""The estimate is near the truth of unknown boards, once one point taught it (simulated)."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged import cli
from edged.bench.power_estimate import BOARDS, Errors, Rig, errors, one_point, table
from edged.board.soc import RK3588, Soc, on_cpu
from edged.board.virtual.plant import drawn
from tests.memory import MEMORY

PLANTS = range(1, 17)
# Source: the target for a model of a board after a calibration of one point.
MEAN_ERROR_MAX = 0.08


@pytest.fixture(scope="module")
def few() -> list[Errors]:
    return [errors(on_cpu(RK3588), seed) for seed in PLANTS[:2]]


@pytest.mark.slow
def test_after_one_point_the_mean_error_is_small(few: list[Errors]) -> None:
    assert statistics.fmean(one.after for one in few) <= MEAN_ERROR_MAX


def test_one_point_makes_every_estimate_better(few: list[Errors]) -> None:
    assert all(one.after < one.before for one in few)


@pytest.mark.slow
@pytest.mark.parametrize("soc", BOARDS, ids=lambda soc: soc.name)
def test_over_all_drawn_plants_the_mean_error_is_small_after_one_point(soc: Soc) -> None:
    found = [errors(soc, seed) for seed in PLANTS]
    assert statistics.fmean(one.after for one in found) <= MEAN_ERROR_MAX


@settings(max_examples=5)
@given(st.integers(1, 1000))
def test_what_taught_it_is_estimated_within_its_band(seed: int) -> None:
    soc = on_cpu(RK3588)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        rig = Rig(Path(folder), soc, drawn(soc, seed))
        taught = one_point(rig)
        again = rig.trial(len(rig.board.points) - 1, "decode")
    assert taught.error_share is not None
    assert taught.corrected_w(again.estimated_w) == pytest.approx(
        again.true_w, rel=taught.error_share
    )


@pytest.mark.slow
def test_the_command_prints_the_errors_of_every_board_before_and_after_one_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "estimate.json"
    words = ["bench", "power", "--estimate", "--plants", "1", "--json", str(file)]
    assert cli.run(words) == 0
    lines, told = capsys.readouterr().out.splitlines(), json.loads(file.read_text())
    assert "nothing of this was measured on a board" in lines[0]
    for soc, line in zip(BOARDS, lines[-len(BOARDS) :], strict=True):
        (plant,) = told[soc.name]
        assert line.startswith(f"{soc.name} ")
        assert f"{plant['before']:.1%}" in line
        assert f"{plant['after']:.1%}" in line


def test_the_table_has_a_line_for_each_board(few: list[Errors]) -> None:
    soc = on_cpu(RK3588)
    head, line = table([(soc, few)])
    assert "after one point" in head
    assert line.startswith("rk3588-cpu")
    assert f"{statistics.fmean(one.after for one in few):.1%}" in line
