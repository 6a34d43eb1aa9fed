"""What a prompt is granted, what it asks of the engine, and when it is refused or trimmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from edged import config
from edged.admission import Refused, Submission, admit, read
from edged.contract import Inbound
from edged.engine.frames import Measured, Message, Sampling, Wire
from edged.errors import Refusal
from edged.spool.rows import Candidate
from tests.admission_fixtures import BOARD, FRESH_ID, SCHEMA, SITE, message, refused, submission

CONTEXT_TOKENS = 512


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


def test_a_retained_cancel_is_refused() -> None:
    retained = Inbound(f"{SITE.topics.board}/cancel/c1/p", b"", retained=True)
    found = read(retained, SITE, "b-1-1")
    assert isinstance(found, Refused)
    assert found.refusal.reason == "retained"
