"""The lines on prompts as a person reads them, and what stands in their fields."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from edged.diary import Diary
from edged.errors import Refusal
from edged.journal import Event
from edged.metrics import Metrics
from edged.spool.rows import Letter
from tests.metrics_fixtures import ANSWERS, answered


@pytest.fixture
def diary(caplog: pytest.LogCaptureFixture) -> Diary:
    caplog.set_level(logging.INFO, "edged.diary")
    return Diary(Metrics())


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the journal gets with a record."""
    found: dict[str, Any] = vars(record)["journal"]
    return found


def test_an_outcome_tells_seconds_tokens_and_whose_joules(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    diary.ended(*answered(source="estimated"))
    assert caplog.messages == [
        "c1/p1 done: 1.750 s (0.500 s queued), 9+3 tokens, 2.250 J estimated"
    ]


def test_an_error_is_a_warning_with_its_reason(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    diary.ended(*answered(finish="failed", reason="engine_failed", detail="why"))
    (record,) = caplog.records
    assert (record.levelname, fields(record)["EDGED_REASON"]) == ("WARNING", "engine_failed")
    assert record.getMessage().startswith("c1/p1 error: engine_failed, 1.750 s")


def test_a_prompt_that_never_ran_has_seconds_and_no_joules(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    row, _ = answered()
    diary.ended(row, ANSWERS.unstarted(row, "expired", row.accepted_s + 3))
    (record,) = caplog.records
    assert record.getMessage() == "c1/p1 expired: 3.000 s (3.000 s queued)"
    assert "EDGED_J" not in fields(record)


def test_an_outcome_that_is_held_back_says_how_large_it_is_and_where_to_look(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    row, settlement = answered()
    diary.held(Letter(1, row.client, row.id, settlement, row.destination, 1.0), 60.0)
    assert caplog.messages == [
        f"c1/p1: connections end when its outcome of {len(settlement.body)} bytes is published; "
        "held back for 60 s. The broker's log says why: a limit of packets, topics or access?"
    ]


def test_an_outcome_that_nobody_waits_for_says_so(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    row, settlement = answered()
    diary.delivered(Letter(1, "c1", "p1", settlement, row.destination, 0.0), claimed=False)
    (record,) = caplog.records
    assert record.getMessage() == "c1/p1 delivered: done, nobody subscribes to its topic"
    assert fields(record)["EDGED_CLAIMED"] == "no"


def test_a_refusal_of_somebody_unknown_has_a_reason_alone(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    diary.refused(None, None, Refusal("bad_id", "the client's level is no id"))
    (record,) = caplog.records
    assert record.getMessage() == "?/? refused: bad_id"
    assert fields(record) == {"MESSAGE_ID": Event.REFUSED.value, "EDGED_REASON": "bad_id"}
