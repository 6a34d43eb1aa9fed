"""Where the reply to a message goes and under which id, whatever the message says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.admission import CancelOrder, Refused, Submission, read
from edged.contract import REASONS, Inbound
from tests.admission_fixtures import (
    BOARD,
    FRESH_ID,
    SITE,
    message,
    refused,
    reply_topic,
    submission,
    told,
)


@pytest.mark.parametrize("topic", ["state", "res/c1/p1", "req", "req/c1/p1/more"])
def test_a_topic_that_is_none_of_ours_asks_for_nothing(topic: str) -> None:
    assert message(b"hi", topic) is None


@pytest.mark.parametrize(
    ("topic", "payload", "id"),
    [
        ("req/c1/p1", {"prompt": "hi"}, "p1"),
        ("req/c1", {"prompt": "hi", "id": "p2"}, "p2"),
        ("req/c1", {"prompt": "hi"}, FRESH_ID),
    ],
)
def test_the_default_reply_topic_follows_the_id(
    topic: str, payload: dict[str, Any], id: str
) -> None:
    found = submission(payload, topic)
    assert found.sender.id == id
    assert reply_topic(found) == f"{BOARD}/res/c1/{id}"
    assert found.board_given == (id == FRESH_ID)


def test_correlation_data_stands_in_for_an_id_and_comes_back_verbatim() -> None:
    found = submission(b"hi", "req/c1", correlation=b"\0c")
    assert not found.board_given
    assert (found.sender.id or "").startswith("h-")
    assert found.sender.destination.correlation == b"\0c"


@pytest.mark.parametrize(
    ("client", "topic"),
    [
        ("c1", f"{BOARD}/res/c1/p1"),
        ("c1", "edged/v1/dock/other/res/c1/x/y"),
        ("plc", "plc/7/answer"),
        ("plc", "lines/4/out"),
        ("plc", f"{BOARD}/res/plc/x"),
    ],
)
def test_a_response_topic_on_the_allow_list_overrides(client: str, topic: str) -> None:
    assert reply_topic(submission(b"hi", f"req/{client}/p1", response_topic=topic)) == topic


@pytest.mark.parametrize(
    ("client", "topic"),
    [
        ("c1", f"{BOARD}/res/c2/p1"),
        ("c1", "plc/7/answer"),
        ("c1", "edged/v1/other/edge-1/res/c1/p1"),
        ("plc", "plc/8/answer"),
        ("plc", "lines/4/5/out"),
        ("plc", "lines/+/out"),
        ("c1", f"{BOARD}/res/c1/#"),
        ("c1", f"{BOARD}/res/c1/+"),
        ("c1", "$SYS/broker"),
        ("c1", ""),
        ("c1", f"{BOARD}/res/c1/" + "x" * 256),
        ("c1", f"{BOARD}/res/c1/" + "/" * 150),
    ],
)
@pytest.mark.parametrize("kind", ["req", "cancel"])
def test_another_response_topic_is_refused_on_the_default_one(
    client: str, topic: str, kind: str
) -> None:
    found = refused(b"hi", f"{kind}/{client}/p1", response_topic=topic)
    assert found.refusal.reason == "response_topic"
    assert told(found) == ("p1", f"{BOARD}/res/{client}/p1")


def test_a_cancel_names_client_and_id() -> None:
    found = message(b"", "cancel/c1/p1")
    assert isinstance(found, CancelOrder)
    assert (found.client, found.id) == ("c1", "p1")
    assert found.destination.topic == f"{BOARD}/res/c1/p1"


@pytest.mark.parametrize("topic", ["cancel/c1/p 1", "req/c1/p 1", "req/c1/", "req/c1/~"])
def test_an_id_that_cannot_be_read_is_refused_under_the_tilde(topic: str) -> None:
    found = refused(b"hi", topic)
    assert found.refusal.reason == "bad_id"
    assert told(found) == (None, f"{BOARD}/res/c1/~")


def test_a_client_that_cannot_be_read_can_be_told_nothing() -> None:
    for topic in ("req/c 1/p1", "req/", "cancel/é/p1", "req/" + "x" * 65):
        assert refused(b"hi", topic).sender is None


def test_json_id_and_topic_id_that_differ_are_refused() -> None:
    found = refused({"id": "p2", "prompt": "hi"})
    assert found.refusal.reason == "bad_id"
    assert told(found) == ("p1", f"{BOARD}/res/c1/p1")


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "p9", "promt": "hi"},
        {"id": "p9", "prompt": ""},
        {"id": "p9", "prompt": "hi", "ttl_s": -1},
        {"id": "p9", "prompt": "hi", "ttl_s": 1e6},
        {"id": "p9", "template": "none", "input": "hi"},
        {"id": "p9", "template": "note", "input": {"x": "hi"}},
    ],
)
def test_a_refusal_carries_every_id_that_can_be_read(payload: dict[str, Any]) -> None:
    assert told(refused(payload, "req/c1")) == ("p9", f"{BOARD}/res/c1/p9")


def test_a_refused_response_topic_still_carries_the_payloads_id() -> None:
    found = refused({"id": "p9", "prompt": "hi"}, "req/c1", response_topic="not/allowed")
    assert told(found) == ("p9", f"{BOARD}/res/c1/p9")


def test_a_refusal_goes_to_the_response_topic_that_was_allowed() -> None:
    topic = f"{BOARD}/res/c1/mine"
    found = refused({"promt": "hi"}, "req/c1", response_topic=topic, correlation=b"c")
    assert found.sender is not None
    assert found.sender.destination.topic == topic
    assert found.sender.destination.correlation == b"c"


def test_correlation_data_refused_for_its_size_is_not_echoed() -> None:
    found = refused(b"hi", correlation=b"c" * 2048)
    assert found.refusal.reason == "too_large"
    assert found.sender is not None
    assert found.sender.destination.correlation is None


def test_a_fixed_device_is_answered_where_its_rule_says() -> None:
    found = read(Inbound("gate/9/text", b"hi"), SITE, FRESH_ID)
    assert isinstance(found, Submission)
    assert (found.sender.client, found.sender.id, found.board_given) == ("g9", FRESH_ID, True)
    assert reply_topic(found) == "gate/9/answer"


def test_a_fixed_device_is_refused_where_its_rule_says() -> None:
    found = read(Inbound("gate/9/text", b""), SITE, FRESH_ID)
    assert isinstance(found, Refused)
    assert told(found)[1] == "gate/9/answer"


def test_a_fixed_device_whose_level_is_no_id_can_be_told_nothing() -> None:
    found = read(Inbound("gate/a b/text", b"hi"), SITE, FRESH_ID)
    assert isinstance(found, Refused)
    assert found.sender is None


LEVEL = st.text(max_size=6) | st.sampled_from(["c1", "p1", "boss", "~"])
PAYLOADS = st.binary(max_size=40) | st.fixed_dictionaries(
    {},
    optional={
        "id": LEVEL,
        "prompt": st.text(max_size=9),
        "template": st.sampled_from(["note", "typed", "none"]),
        "input": st.text(max_size=9) | st.dictionaries(st.text(max_size=4), st.integers()),
        "ttl_s": st.floats() | st.integers(),
        "max_tokens": st.integers(),
        "stop": st.text(max_size=2),
    },
).map(lambda table: json.dumps(table).encode())


@given(
    kind=st.sampled_from(["req", "cancel"]),
    client=LEVEL,
    id=LEVEL,
    payload=PAYLOADS,
    response_topic=st.none() | st.text(max_size=20) | st.just(f"{BOARD}/res/c1/x"),
    correlation=st.none() | st.binary(max_size=300),
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
)
def test_every_message_of_a_readable_client_can_be_answered(
    kind: str, client: str, id: str, payload: bytes, **more: Any
) -> None:
    found = read(Inbound(f"{BOARD}/{kind}/{client}/{id}", payload, **more), SITE, FRESH_ID)
    if isinstance(found, Refused):
        assert found.refusal.reason in REASONS
        assert found.refusal.detail.encode()
    if isinstance(found, Submission):
        assert 0 <= found.ttl_s <= SITE.requests.ttl_s_max
    if client in ("c1", "p1", "boss") and found is not None:
        sender = found if isinstance(found, CancelOrder) else found.sender
        assert sender is not None
        assert sender.destination.topic.startswith(BOARD)
        assert len(sender.destination.correlation or b"") <= 256
