"""A board is killed, frozen and disconnected; an outside client keeps the books.

Goal: every prompt that the board called `accepted` ends in exactly one outcome. Method: the rounds
of `tools/soak`, few of them; the client's own log, the board's disk and the engine's door are the
evidence.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.crash.faults import Counts
from tools.crash.soak import Report, as_json, soak

pytestmark = pytest.mark.broker

SHORT = Counts(daemon_kills=4, engine_kills=2, broker_kills=1, freezes=2, link_faults=2)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("soak")


@pytest.fixture(scope="module")
def report(directory: Path) -> Report:
    return soak(directory, SHORT)


def test_a_struck_board_loses_nothing_that_it_accepted(report: Report) -> None:
    assert (report.lost, report.missing_rows, report.refused) == ([], [], [])
    assert report.accepted > 0


def test_a_struck_board_says_one_outcome_of_each_prompt(report: Report) -> None:
    assert report.two_outcomes == []
    assert report.outcomes == report.asked


def test_a_struck_board_computes_nothing_that_has_its_outcome(report: Report) -> None:
    assert report.late_inferences == []
    assert report.inferences >= report.outcomes


def test_nothing_on_a_struck_board_is_damaged_or_ends_by_itself(report: Report) -> None:
    assert (report.damage, report.died) == ("", {})


def test_a_soak_goes_on_where_the_last_one_ended(directory: Path, report: Report) -> None:
    further = soak(directory, Counts(daemon_kills=SHORT.daemon_kills + 1))
    assert further.faults == report.faults | {"daemon_kills": SHORT.daemon_kills + 1}
    assert further.asked > report.asked
    assert further.is_clean, as_json(further)


@pytest.mark.slow
@pytest.mark.model
def test_every_accepted_prompt_has_one_outcome_after_fifty_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = Counts(daemon_kills=30, engine_kills=20)
    report = soak(tmp_path, kills, backend="llama", layout="shell")
    with capsys.disabled():
        print(f"\nseed {report.seed}: {report.accepted} prompts accepted; {report.events}")
    assert report.is_clean, as_json(report)


@pytest.mark.slow
def test_freezes_and_bad_links_in_any_order_cost_no_answer(tmp_path: Path) -> None:
    report = soak(tmp_path, Counts(freezes=12, link_faults=40))
    assert report.is_clean, as_json(report)
