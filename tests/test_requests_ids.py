"""A prompt has one id wherever it is written, a stable one without it, and its copies are known."""

from __future__ import annotations

import pytest

from edged.errors import Refusal
from edged.requests import fingerprint, given_id, readable_id
from tests.request_fixtures import inbound


@pytest.mark.parametrize(
    ("topic_id", "body_id", "expected"),
    [("a", None, "a"), (None, "a", "a"), ("a", "a", "a"), (None, None, None)],
)
def test_an_id_stands_in_the_topic_or_the_payload(
    topic_id: str | None, body_id: str | None, expected: str | None
) -> None:
    assert given_id("c1", topic_id, body_id, inbound(b"hi")) == expected


@pytest.mark.parametrize(("topic_id", "body_id"), [("a", "b"), ("a b", None), ("", "a")])
def test_ids_that_differ_or_cannot_be_read_are_refused(
    topic_id: str | None, body_id: str | None
) -> None:
    with pytest.raises(Refusal) as caught:
        given_id("c1", topic_id, body_id, inbound(b"hi"))
    assert caught.value.reason == "bad_id"


def test_correlation_data_makes_a_stable_id() -> None:
    id = given_id("c1", None, None, inbound(b"hi", correlation=b"c"))
    assert id is not None
    assert id.startswith("h-")
    assert id == given_id("c1", None, None, inbound(b"hi", correlation=b"c", duplicate=True))


@pytest.mark.parametrize(
    ("client", "payload", "correlation"),
    [("c2", b"hi", b"c"), ("c1", b"ho", b"c"), ("c1", b"hi", b"d"), ("c1", b"ih", b"c")],
)
def test_the_correlation_id_belongs_to_client_data_and_payload(
    client: str, payload: bytes, correlation: bytes
) -> None:
    first = given_id("c1", None, None, inbound(b"hi", correlation=b"c"))
    assert given_id(client, None, None, inbound(payload, correlation=correlation)) != first


def test_a_given_id_goes_before_correlation_data() -> None:
    assert given_id("c1", "a", None, inbound(b"hi", correlation=b"c")) == "a"


@pytest.mark.parametrize(
    ("payload", "properties", "expected"),
    [
        (b'{"id": "a1", "promt": "hi"}', (), "a1"),
        (b'{"id": "a b", "prompt": "hi"}', (), None),
        (b'{"id": 5}', (), None),
        (b'{"id": "a1"', (), None),
        (b'["a1"]', (), None),
        (b"\xff", (), None),
        (b"[" * 10_000, (), None),
        (b"hi", (("id", "a1"),), "a1"),
        (b"\xff", (("id", "a1"),), "a1"),
        (b'{"id": "a2"}', (("id", "a1"),), "a2"),
        (b"hi", (("id", "a b"),), None),
    ],
)
def test_an_id_can_be_read_out_of_a_message_that_is_refused(
    payload: bytes, properties: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    assert readable_id(inbound(payload, user_properties=properties)) == expected


def test_copies_of_a_prompt_have_one_fingerprint() -> None:
    first = inbound(b"hi", user_properties=(("seed", "1"), ("top_k", "4"), ("trace", "a")))
    again = inbound(
        b"hi", duplicate=True, user_properties=(("top_k", "4"), ("seed", "1"), ("trace", "b"))
    )
    assert fingerprint(first) == fingerprint(again)


@pytest.mark.parametrize(
    ("payload", "properties"), [(b"ho", (("seed", "1"),)), (b"hi", (("seed", "2"),)), (b"hi", ())]
)
def test_another_payload_or_property_is_another_prompt(
    payload: bytes, properties: tuple[tuple[str, str], ...]
) -> None:
    first = inbound(b"hi", user_properties=(("seed", "1"),))
    assert fingerprint(inbound(payload, user_properties=properties)) != fingerprint(first)
