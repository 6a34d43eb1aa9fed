from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.answers import REFUSAL_EXPIRY_S, Answers, Run
from edged.calibration import Calibration, Curve, Curves
from edged.contract import EVENTS, REASONS, Destination, Outbound, Reply, encode, status_of
from edged.engine.frames import FieldScore, Outcome, Prompt
from edged.errors import Refusal
from edged.spool.rows import Job, Letter, Row, Settlement
from tests.prompt_fixtures import row

ANSWERS = Answers("edge-1")
SCHEMA = '{"type":"object"}'
DEVICE = Destination("res/c1/p1", b"c")
ROW = row(1, destination=DEVICE)
OUTCOME = Outcome(
    id="1",
    finish="stop",
    text="four",
    prompt_tokens=9,
    cached_tokens=8,
    output_tokens=3,
    forced_tokens=1,
    ttft_s=0.25,
    total_s=1.0,
    confidence=0.5,
    seed=7,
    context_tokens=512,
    sequences=4,
)
# The order in which the contract lists the keys of a reply.
KEYS = [
    "id",
    "event",
    "status",
    "reason",
    "detail",
    "retry_after_s",
    "queue_position",
    "estimated_s",
    "deadline_certain",
    "node",
    "attempt",
    "seq",
    "text",
    "json",
    "finish",
    "filled",
    "confidence",
    "confidence_fields",
    "calibrated",
    "seed",
    "usage",
    "timing",
    "energy",
    "limits",
    "model",
    "template",
]


def run(row: Row = ROW, *, schema: str | None = None, throttled: str | None = None) -> Run:
    return Run(
        row=row,
        job=Job(Prompt(payload="hi"), schema=schema, template=("note", "sha256:1")),
        queued_s=2.0,
        joules=3.25,
        source="estimated",
        is_settled=True,
        throttled=throttled,
        model=("dock-mini", "sha256:0"),
    )


def body(settlement: Settlement) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(settlement.body)
    assert (table["event"], table["status"]) == (settlement.event, settlement.status)
    return table


def payload(message: Outbound) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(message.payload)
    properties = (("edged-event", table["event"]), ("edged-status", str(table["status"])))
    assert message.user_properties == properties
    assert message.content_type == "application/json"
    return table


def test_an_answer_says_everything_the_contract_promises() -> None:
    assert body(ANSWERS.outcome(run(), OUTCOME, None)) == {
        "id": "p1",
        "event": "done",
        "status": 200,
        "node": "edge-1",
        "attempt": 1,
        "text": "four",
        "finish": "stop",
        "confidence": 0.5,
        "calibrated": False,
        "seed": 7,
        "usage": {"prompt_tokens": 9, "cached_tokens": 8, "output_tokens": 3, "forced_tokens": 1},
        "timing": {"queued_s": 2.0, "ttft_s": 2.25, "total_s": 3.0},
        "energy": {"j": 3.25, "source": "estimated", "settled": True},
        "limits": {
            "context_tokens": 512,
            "sequences": 4,
            "throttled": False,
            "trimmed_tokens": 0,
        },
        "model": {"name": "dock-mini", "digest": "sha256:0"},
        "template": {"name": "note", "digest": "sha256:1"},
    }


@pytest.mark.parametrize(
    ("text", "answer"), [('{"dock": 4}', {"dock": 4}), ("null", None), ("[]", []), ("0", 0)]
)
def test_with_a_schema_the_answer_is_json(text: str, answer: object) -> None:
    outcome = replace(OUTCOME, finish="schema", text=text)
    table = body(ANSWERS.outcome(run(schema=SCHEMA), outcome, None))
    assert table["json"] == answer
    assert "text" not in table


def test_what_a_closing_wrote_is_named_and_nobody_is_sure_of_it() -> None:
    outcome = replace(OUTCOME, finish="length", text='{"dock":1}', filled=("dock",))
    table = body(ANSWERS.outcome(run(schema=SCHEMA), outcome, None))
    assert (table["finish"], table["filled"], table["confidence"]) == ("length", ["dock"], 0.0)


FIELDS = (FieldScore("dock", -0.5, -0.25), FieldScore("kind", 0.0, 0.0))
OBJECT = replace(OUTCOME, finish="schema", text='{"dock":4,"kind":"a"}', fields=FIELDS)


def test_each_field_of_an_object_has_a_confidence_of_its_own() -> None:
    table = body(ANSWERS.outcome(run(schema=SCHEMA), OBJECT, None))
    assert table["confidence_fields"] == {"dock": 0.7788, "kind": 1.0}
    assert (table["confidence"], table["calibrated"]) == (0.5, False)


CURVE = Curve(own=1.0, least=0.0, offset=0.0, rows=10**6)
CALIBRATION = Calibration(
    model_digest="sha256:0",
    forms={"sha256:1": {"json": Curves(CURVE, {}, CURVE)}},
    schemas={"sha256:1": SCHEMA},
)


def test_where_curves_were_fitted_the_confidences_are_chances() -> None:
    answers = Answers("edge-1", CALIBRATION)
    table = body(answers.outcome(run(schema=SCHEMA), OBJECT, None))
    assert table["calibrated"] is True
    assert table["confidence_fields"] == {"dock": 0.6065, "kind": 0.9999}
    assert table["confidence"] == 0.6065


@pytest.mark.parametrize(
    ("other", "schema"), [("sha256:2", SCHEMA), ("sha256:0", '{"type":"object","title":"own"}')]
)
def test_curves_of_another_model_or_schema_do_not_count(other: str, schema: str) -> None:
    answers = Answers("edge-1", CALIBRATION)
    asked = replace(run(schema=schema), model=("dock-mini", other))
    table = body(answers.outcome(asked, OBJECT, None))
    assert (table["calibrated"], table["confidence"]) == (False, 0.5)


def test_json_text_without_a_schema_stays_text() -> None:
    table = body(ANSWERS.outcome(run(), replace(OUTCOME, text='{"dock": 4}'), None))
    assert table["text"] == '{"dock": 4}'
    assert "json" not in table


@pytest.mark.parametrize(
    ("finish", "schema", "text", "event", "expected"),
    [
        ("stop", None, "four", None, ("done", 200, None)),
        ("length", None, "fo", None, ("done", 200, None)),
        ("schema", SCHEMA, "{}", None, ("done", 200, None)),
        ("stop", None, "four", "cancelled", ("done", 200, None)),
        ("schema", SCHEMA, "{", None, ("error", 500, "invalid_answer")),
        ("schema", SCHEMA, "NaN", None, ("error", 500, "invalid_answer")),
        ("schema", SCHEMA, '{"a": 1e999}', None, ("error", 500, "invalid_answer")),
        ("schema", SCHEMA, '{"a": "\\ud800"}', None, ("error", 500, "invalid_answer")),
        ("cancelled", None, "", "cancelled", ("cancelled", 499, None)),
        ("cancelled", None, "", "expired", ("expired", 408, None)),
        ("cancelled", None, "", None, ("cancelled", 499, None)),
    ],
)
def test_how_an_inference_ends_is_its_event(
    finish: Any, schema: str | None, text: str, event: str | None, expected: tuple[Any, ...]
) -> None:
    outcome = replace(OUTCOME, finish=finish, text=text)
    table = body(ANSWERS.outcome(run(schema=schema), outcome, event))
    assert (table["event"], table["status"], table.get("reason")) == expected


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("engine_failed", 500),
        ("invalid_answer", 500),
        ("cap", 500),
        ("too_long", 413),
        ("bad_schema", 400),
    ],
)
def test_an_error_has_its_reasons_status(reason: str, status: int) -> None:
    outcome = replace(OUTCOME, finish="failed", text="", reason=reason, detail="why")
    table = body(ANSWERS.outcome(run(), outcome, None))
    assert (table["event"], table["status"], table["reason"]) == ("error", status, reason)
    assert table["detail"] == "why"
    assert not {"text", "json", "finish", "confidence", "seed"} & set(table)


def test_what_does_not_apply_is_left_out() -> None:
    outcome = replace(OUTCOME, finish="cancelled", ttft_s=None, confidence=None, seed=None)
    table = body(ANSWERS.outcome(replace_template(run()), outcome, "expired"))
    absent = {"text", "json", "finish", "confidence", "seed", "reason", "detail", "template"}
    assert not absent & set(table)
    assert "ttft_s" not in table["timing"]


def replace_template(run: Run) -> Run:
    return replace(run, job=replace(run.job, template=None))


def test_a_throttle_is_named() -> None:
    table = body(ANSWERS.outcome(run(throttled="temperature"), OUTCOME, None))
    assert table["limits"]["throttled"] == "temperature"


def test_every_start_of_the_inference_counts_as_an_attempt() -> None:
    tried = row(1, attempts=1, restarts=2)
    assert body(ANSWERS.outcome(run(tried), OUTCOME, None))["attempt"] == 4


@pytest.mark.parametrize(("certain", "said"), [(True, None), (False, False)])
def test_only_an_uncertain_deadline_is_mentioned(certain: bool, said: bool | None) -> None:
    uncertain = row(1, deadline_certain=certain)
    for table in (
        body(ANSWERS.outcome(run(uncertain), OUTCOME, None)),
        body(ANSWERS.unstarted(uncertain, "expired", 9.0)),
        payload(ANSWERS.accepted(uncertain, 0, None, 9.0)),
    ):
        assert table.get("deadline_certain") is said


@pytest.mark.parametrize(("event", "status"), [("expired", 408), ("cancelled", 499)])
def test_a_prompt_that_never_ran_says_how_long_it_waited(event: str, status: int) -> None:
    table = body(ANSWERS.unstarted(row(1, accepted_s=5.0), event, 12.5))
    assert (table["event"], table["status"]) == (event, status)
    assert table["timing"] == {"queued_s": 7.5, "total_s": 7.5}
    assert not {"usage", "energy", "limits", "model"} & set(table)


def test_a_superseded_prompt_is_gone() -> None:
    table = body(ANSWERS.superseded(ROW))
    assert (table["event"], table["status"], table["id"]) == ("superseded", 410, "p1")


def test_a_prompt_the_engine_died_with_is_an_error() -> None:
    table = body(ANSWERS.failed(row(1, attempts=2), "twice"))
    assert (table["status"], table["reason"], table["detail"]) == (500, "engine_failed", "twice")


def test_accepted_says_the_place_in_the_queue_and_expires_with_the_prompt() -> None:
    message = ANSWERS.accepted(ROW, 3, 1.23456, 100.0)
    table = payload(message)
    assert (table["event"], table["status"]) == ("accepted", 202)
    assert (table["queue_position"], table["estimated_s"]) == (3, 1.2346)
    assert (message.topic, message.correlation, message.qos) == ("res/c1/p1", b"c", 1)
    assert message.expiry_s == 200


def test_an_estimate_nobody_has_is_left_out() -> None:
    assert "estimated_s" not in payload(ANSWERS.accepted(ROW, 0, None, 0.0))


def test_a_chunk_is_sent_once_and_counts_up() -> None:
    message = ANSWERS.chunk(ROW, 4, "fo", 100.0)
    table = payload(message)
    assert (table["event"], table["status"]) == ("chunk", 206)
    assert (table["seq"], table["text"], table["attempt"]) == (4, "fo", 1)
    assert (message.qos, message.expiry_s) == (0, 200)


def test_a_message_after_the_deadline_still_has_a_lifetime() -> None:
    assert ANSWERS.chunk(ROW, 0, "x", 1e6).expiry_s == 1


@pytest.mark.parametrize(("left_s", "told_s"), [(-math.inf, 1), (math.inf, 2**32 - 1)])
def test_a_time_that_a_disk_changed_is_brought_into_mqtts_range(left_s: float, told_s: int) -> None:
    letter = Letter(1, "c1", "p1", Settlement("done", 200, b"{}"), DEVICE, 0.0)
    assert ANSWERS.letter(letter, left_s).expiry_s == told_s


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_refusal_has_its_reasons_status(reason: str) -> None:
    message = ANSWERS.refused("p1", DEVICE, Refusal(reason, "why", 30.0))
    assert payload(message) == {
        "id": "p1",
        "event": "refused",
        "status": REASONS[reason],
        "reason": reason,
        "detail": "why",
        "retry_after_s": 30.0,
        "node": "edge-1",
    }
    assert (message.topic, message.qos, message.expiry_s) == (DEVICE.topic, 1, REFUSAL_EXPIRY_S)


def test_a_refusal_of_an_id_that_cannot_be_read_has_an_empty_one() -> None:
    assert payload(ANSWERS.refused(None, DEVICE, Refusal("bad_id", "why")))["id"] == ""


def test_a_stored_outcome_goes_out_verbatim_with_the_time_it_has_left() -> None:
    settlement = Settlement("done", 200, b'{"event": "done", "status": 200}')
    message = ANSWERS.letter(Letter(1, "c1", "p1", settlement, DEVICE, 0.0), 99.9)
    assert message.payload == settlement.body
    assert (message.topic, message.correlation, message.expiry_s) == ("res/c1/p1", b"c", 99)
    payload(message)


@pytest.mark.parametrize(
    ("event", "status", "ends"),
    [
        ("accepted", 202, False),
        ("chunk", 206, False),
        ("refused", None, False),
        ("done", 200, True),
        ("error", None, True),
        ("expired", 408, True),
        ("cancelled", 499, True),
        ("superseded", 410, True),
    ],
)
def test_events_are_those_of_the_contract(event: str, status: int | None, ends: bool) -> None:
    assert EVENTS[event] == (status, ends)
    assert len(EVENTS) == 8
    if status is None:
        assert status_of(event, "too_long") == 413


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        (400, "malformed unknown_key bad_id bad_schema retained"),
        (403, "response_topic"),
        (404, "unknown_template unknown_id"),
        (409, "id_conflict"),
        (413, "too_large too_long"),
        (415, "not_utf8"),
        (429, "quota"),
        (500, "engine_failed invalid_answer cap"),
        (503, "queue_full over_budget draining engine_down"),
        (507, "spool_full"),
    ],
)
def test_reasons_are_those_of_the_contract(status: int, reasons: str) -> None:
    assert {reason for reason, code in REASONS.items() if code == status} == set(reasons.split())


def test_the_keys_of_a_reply_are_those_of_the_contract_in_its_order() -> None:
    assert [item.alias or name for name, item in Reply.model_fields.items()] == KEYS


@given(st.sets(st.sampled_from(["reason", "detail", "json", "seq", "finish", "seed", "filled"])))
def test_keys_keep_their_order_whatever_is_left_out(given_keys: set[str]) -> None:
    values = {"seq": 1, "seed": 2, "json": None, "filled": ["a"]}
    reply = Reply.model_validate(
        {"id": "p1", "event": "done", "status": 200, "node": "n"}
        | {key: values.get(key, "x") for key in given_keys}
    )
    found = list(json.loads(encode(reply)))
    assert found == [key for key in KEYS if key in {"id", "event", "status", "node"} | given_keys]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_reply(text: str) -> None:
    table = body(ANSWERS.outcome(run(), replace(OUTCOME, text=text), None))
    assert table["text"] == text
