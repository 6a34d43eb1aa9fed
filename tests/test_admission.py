from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.admission import CancelOrder, Refused, Submission, admit, read, trimmed
from edged.contract import REASONS, Inbound
from edged.engine.frames import Measured, Message, Sampling, Wire
from edged.errors import Refusal
from edged.inputs import InputMap
from edged.site import Site
from edged.spool.rows import Candidate
from edged.templates import Template
from edged.topics import Topics

BOARD = "edged/v1/dock/edge-1"
FRESH_ID = "b-3-1"
CONTEXT_TOKENS = 512
SCHEMA = '{"type":"object"}'
GATE = config.Input(
    topic="gate/+/text", client="g{1}", template="note", reply_topic="gate/{1}/answer"
)


def template(name: str, *, schema: str | None = None, wire: Wire = "json") -> Template:
    return Template(
        name=name,
        description="",
        root="root",
        payload="{text}",
        suffix="",
        variables={"text": "any"},
        schema=schema,
        max_tokens=40,
        on_cap="error",
        example_input="a",
        example_answer="{}",
        digest="sha256:0",
        wire=wire,
    )


SITE = Site(
    topics=Topics("dock", "edge-1"),
    requests=config.Requests(prompt_bytes_max=4096),
    outcome_ttl_s=172_800,
    clients={
        "boss": config.Client(priority_max=9, system_role=True),
        "slow": config.Client(priority_max=3),
        "plc": config.Client(response_topics=("plc/7/answer", "lines/+/out")),
        "texter": config.Client(default_template="note"),
    },
    templates={
        "note": template("note"),
        "typed": template("typed", schema=SCHEMA),
        "short": template("short", schema=SCHEMA, wire="compact"),
    },
    inputs=InputMap([GATE]),
)


def message(
    payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any
) -> Submission | CancelOrder | Refused | None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read(Inbound(f"{BOARD}/{topic}", body, **more), SITE, FRESH_ID)


def submission(
    payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any
) -> Submission:
    found = message(payload, topic, **more)
    assert isinstance(found, Submission), found
    return found


def refused(payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any) -> Refused:
    found = message(payload, topic, **more)
    assert isinstance(found, Refused), found
    return found


def told(found: Refused) -> tuple[str | None, str]:
    assert found.sender is not None
    return found.sender.id, found.sender.destination.topic


def reply_topic(found: Submission) -> str:
    return found.sender.destination.topic


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


@pytest.mark.parametrize(
    ("client", "asked", "granted"),
    [("c1", 9, 7), ("c1", 2, 2), ("boss", 9, 9), ("slow", 9, 3), ("slow", None, 3)],
)
def test_priority_is_capped_for_each_client(client: str, asked: int | None, granted: int) -> None:
    payload = {"prompt": "hi"} | ({} if asked is None else {"priority": asked})
    assert submission(payload, f"req/{client}/p1").priority == granted


@pytest.mark.parametrize(
    ("ttl_s", "expiry_s", "expected_s"),
    [
        (None, None, 300),
        (60, None, 60),
        (86_400, None, 86_400),
        (60, 100, 60),
        (60, 10, 10),
        (None, 10, 10),
        (None, 4_294_967_295, 86_400),
    ],
)
def test_the_deadline_is_the_smaller_of_ttl_and_message_expiry(
    ttl_s: float | None, expiry_s: int | None, expected_s: float
) -> None:
    payload = {"prompt": "hi"} | ({} if ttl_s is None else {"ttl_s": ttl_s})
    assert submission(payload, expiry_s=expiry_s).ttl_s == expected_s


def test_a_ttl_over_the_limit_is_refused_with_the_limit() -> None:
    found = refused({"prompt": "hi", "ttl_s": 86_401})
    assert found.refusal.reason == "malformed"
    assert "ttl_s = 86401" in found.refusal.detail
    assert "86400" in found.refusal.detail


def test_the_default_ttl_is_never_over_the_longest() -> None:
    site = replace(SITE, requests=config.Requests(ttl_s_max=60))
    found = read(Inbound(f"{BOARD}/req/c1/p1", b"hi"), site, FRESH_ID)
    assert isinstance(found, Submission)
    assert found.ttl_s == 60


@pytest.mark.parametrize(("client", "allowed"), [("c1", False), ("boss", True)])
def test_the_system_role_is_for_clients_that_may_use_it(client: str, allowed: bool) -> None:
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    found = message({"messages": turns}, f"req/{client}/p1")
    if allowed:
        assert isinstance(found, Submission)
        assert found.job.prompt.messages == (Message("system", "be brief"), Message("user", "hi"))
    else:
        assert isinstance(found, Refused)
        assert found.refusal.reason == "malformed"
        assert "system" in found.refusal.detail


def test_an_unknown_template_is_refused_with_those_that_are_there() -> None:
    found = refused({"template": "nota", "input": "x"})
    assert found.refusal.reason == "unknown_template"
    assert "nota" in found.refusal.detail
    assert "note, typed" in found.refusal.detail


def test_a_template_gives_prompt_schema_and_cap() -> None:
    job = submission({"template": "typed", "input": "x"}).job
    assert (job.prompt.root, job.prompt.payload) == ("root", "x")
    assert (job.schema, job.max_tokens, job.on_cap) == (SCHEMA, 40, "error")
    assert job.template == ("typed", "sha256:0")


def test_the_requests_schema_and_cap_go_before_the_templates() -> None:
    job = submission(
        {"template": "typed", "input": "x", "schema": {"const": "é"}, "max_tokens": 9}
    ).job
    assert (job.schema, job.max_tokens, job.on_cap) == ('{"const":"é"}', 9, "close")


@pytest.mark.parametrize(
    ("asked", "wire"),
    [
        ({"template": "short", "input": "x"}, "compact"),
        ({"template": "typed", "input": "x"}, "json"),
        ({"template": "short", "input": "x", "schema": {"const": 1}}, "json"),
        ({"prompt": "x"}, "json"),
    ],
)
def test_only_a_templates_own_schema_is_written_in_its_form(
    asked: dict[str, Any], wire: Wire
) -> None:
    assert submission(asked).job.wire == wire


def test_stop_does_not_go_with_a_templates_schema() -> None:
    found = refused({"template": "typed", "input": "x", "stop": "."})
    assert found.refusal.reason == "malformed"
    assert "stop" in found.refusal.detail


def test_a_default_template_takes_bare_text() -> None:
    assert submission(b"hi", "req/texter/p1").job.template == ("note", "sha256:0")


def test_sampling_reaches_the_engine_as_asked() -> None:
    keys = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "seed": 7,
    }
    job = submission({"prompt": "hi", "stop": ["a", "b"]} | keys).job
    assert job.sampling == Sampling(0.5, 0.9, 4, 0.1, 1.1, 7, ("a", "b"))


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


def admitted(payload: dict[str, Any], measured: Measured | None) -> Candidate:
    return admit(submission(payload), measured, CONTEXT_TOKENS)


@pytest.mark.parametrize(
    ("payload", "measured", "reason", "words"),
    [
        ({"max_tokens": 513}, None, "malformed", ["max_tokens = 513", "512"]),
        ({"max_tokens": 513}, Measured("1", 4, 1), "malformed", ["max_tokens = 513", "512"]),
        (
            {"max_tokens": 8, "schema": {}},
            Measured("1", 4, 9),
            "malformed",
            ["max_tokens = 8", "9"],
        ),
        ({"max_tokens": 500}, Measured("1", 20, 1), "too_long", ["20", "500", "512"]),
        ({}, Measured("1", 512, 1), "too_long", ["512"]),
        ({"schema": {}}, Measured("1", reason="bad_schema", detail="odd"), "bad_schema", ["odd"]),
        ({}, Measured("1", reason="too_long", detail="long"), "too_long", ["long"]),
    ],
)
def test_what_the_engine_cannot_serve_is_refused(
    payload: dict[str, Any], measured: Measured | None, reason: str, words: Sequence[str]
) -> None:
    with pytest.raises(Refusal) as caught:
        admitted({"prompt": "hi"} | payload, measured)
    assert caught.value.reason == reason
    assert [word for word in words if word not in caught.value.detail] == []


@pytest.mark.parametrize(
    ("payload", "measured"),
    [
        ({}, None),
        ({"max_tokens": 512}, None),
        ({"max_tokens": 492}, Measured("1", 20, 1)),
        ({}, Measured("1", 511, 1)),
        ({"schema": {}, "max_tokens": 9}, Measured("1", 4, 9)),
        ({"schema": {}}, Measured("1", 4, 508)),
    ],
)
def test_what_just_fits_is_taken(payload: dict[str, Any], measured: Measured | None) -> None:
    assert admitted({"prompt": "hi"} | payload, measured).id == "p1"


def test_a_candidate_keeps_what_the_device_asked() -> None:
    payload = {
        "prompt": "hi",
        "receipt": True,
        "stream": True,
        "priority": 6,
        "ttl_s": 9,
        "replace": "k",
    }
    found = admitted(payload, None)
    assert (found.client, found.id, found.board_given) == ("c1", "p1", False)
    assert (found.receipt, found.stream, found.priority) == (True, True, 6)
    assert (found.ttl_s, found.replace) == (9, "k")


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


def conversation(*roles: str, **keys: object) -> Submission:
    """Return a submission whose messages have these roles, the client being one that may."""
    turns = [{"role": role, "content": f"{place}"} for place, role in enumerate(roles)]
    site = replace(SITE, requests=SITE.requests.model_copy(update={"system_role": True}))
    body = json.dumps({"messages": turns, **keys}).encode()
    found = read(Inbound(f"{site.topics.board}/req/c1", body), site, "b-1-1")
    assert isinstance(found, Submission)
    return found


TOO_LONG = Refusal("too_long", "900 prompt tokens")


def test_trim_takes_whole_oldest_messages_and_never_the_system_one() -> None:
    asked = conversation("system", "user", "assistant", "user", on_long="trim")
    shorter = trimmed(asked, TOO_LONG)
    assert shorter is not None
    assert [turn.content for turn in shorter.job.prompt.messages] == ["0", "2", "3"]


def test_the_last_message_is_never_trimmed() -> None:
    assert trimmed(conversation("system", "user", on_long="trim"), TOO_LONG) is None


@pytest.mark.parametrize("on_long", ["wait", "refuse"])
def test_what_does_not_ask_for_it_is_not_trimmed(on_long: str) -> None:
    assert trimmed(conversation("user", "user", on_long=on_long), TOO_LONG) is None


def test_what_is_refused_for_another_reason_is_not_trimmed() -> None:
    asked = conversation("user", "user", on_long="trim")
    assert trimmed(asked, Refusal("bad_schema", "no")) is None


def test_a_retained_cancel_is_refused() -> None:
    retained = Inbound(f"{SITE.topics.board}/cancel/c1/p", b"", retained=True)
    found = read(retained, SITE, "b-1-1")
    assert isinstance(found, Refused)
    assert found.refusal.reason == "retained"
