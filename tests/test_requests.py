"""A payload is a request, each value in its limits or by default, or is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.contract import REASONS, Inbound, Request
from edged.errors import Refusal
from edged.requests import read_request, readable_id
from tests.request_fixtures import PROMPT_BYTES_MAX, inbound, read, refusal, value


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("id", None),
        ("max_tokens", None),
        ("temperature", 0.0),
        ("top_p", 1.0),
        ("top_k", None),
        ("min_p", 0.0),
        ("repeat_penalty", 1.0),
        ("seed", None),
        ("stop", ()),
        ("schema", None),
        ("receipt", False),
        ("stream", False),
        ("priority", 5),
        ("ttl_s", None),
        ("on_long", "wait"),
        ("replace", None),
    ],
)
def test_a_key_that_is_left_out_has_its_default(key: str, default: object) -> None:
    assert value(read({"prompt": "hi"}), key) == default


@pytest.mark.parametrize(
    ("key", "given_value"),
    [
        ("id", "a"),
        ("id", "x" * 64),
        ("schema", {"type": "object"}),
        ("schema", {}),
        ("max_tokens", 1),
        ("temperature", 0),
        ("temperature", 0.7),
        ("top_p", 1),
        ("top_k", 40),
        ("min_p", 0.05),
        ("repeat_penalty", 1.1),
        ("seed", 0),
        ("seed", 2**32 - 1),
        ("receipt", True),
        ("stream", True),
        ("priority", 0),
        ("priority", 9),
        ("ttl_s", 0.5),
        ("ttl_s", 86_400),
        ("on_long", "trim"),
        ("on_long", "refuse"),
        ("replace", "slot-1"),
    ],
)
def test_a_value_in_range_is_taken(key: str, given_value: object) -> None:
    assert value(read({"prompt": "hi", key: given_value}), key) == given_value


@pytest.mark.parametrize(
    ("key", "given_value", "reason"),
    [
        ("id", 5, "bad_id"),
        ("id", "", "bad_id"),
        ("id", "a b", "bad_id"),
        ("id", "a/b", "bad_id"),
        ("id", "a\n", "bad_id"),
        ("id", "é", "bad_id"),
        ("id", "x" * 65, "bad_id"),
        ("replace", "a b", "bad_id"),
        ("replace", 1, "bad_id"),
        ("schema", 5, "bad_schema"),
        ("schema", "text", "bad_schema"),
        ("schema", [], "bad_schema"),
        ("max_tokens", 0, "malformed"),
        ("max_tokens", -1, "malformed"),
        ("max_tokens", 2.5, "malformed"),
        ("max_tokens", "9", "malformed"),
        ("max_tokens", True, "malformed"),
        ("max_tokens", 2**31, "malformed"),
        ("temperature", -0.1, "malformed"),
        ("temperature", "hot", "malformed"),
        ("top_p", 0, "malformed"),
        ("top_p", 1.01, "malformed"),
        ("top_k", 0, "malformed"),
        ("top_k", 2**31, "malformed"),
        ("min_p", 1.1, "malformed"),
        ("repeat_penalty", 0, "malformed"),
        ("seed", -1, "malformed"),
        ("seed", 2**32, "malformed"),
        ("stop", 5, "malformed"),
        ("stop", [5], "malformed"),
        ("stop", "", "malformed"),
        ("stop", ["x"] * 17, "malformed"),
        ("receipt", 1, "malformed"),
        ("stream", "true", "malformed"),
        ("priority", -1, "malformed"),
        ("priority", 10, "malformed"),
        ("priority", 5.5, "malformed"),
        ("ttl_s", -1, "malformed"),
        ("ttl_s", 0, "malformed"),
        ("ttl_s", "60", "malformed"),
        ("ttl_s", 10**400, "malformed"),
        ("on_long", "cut", "malformed"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(
    key: str, given_value: object, reason: str
) -> None:
    found = refusal({"prompt": "hi", key: given_value})
    assert found.reason == reason
    assert found.detail.startswith(key)


def test_stop_is_one_text_or_a_list_of_them() -> None:
    assert read({"prompt": "hi", "stop": "END"}).stop == ("END",)
    assert read({"prompt": "hi", "stop": ["\n", "END"]}).stop == ("\n", "END")


def test_a_negative_ttl_names_key_value_and_limit() -> None:
    detail = refusal({"prompt": "hi", "ttl_s": -3}).detail
    assert "ttl_s" in detail
    assert "-3" in detail
    assert "greater than 0" in detail


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not_utf8"),
        (b'{"prompt": "\xe9"}', "not_utf8"),
        (b"", "malformed"),
        (b" \n\t ", "malformed"),
        (b'{"prompt": "hi"', "malformed"),
        (b'{"prompt": "hi",}', "malformed"),
        (b"{}", "malformed"),
        (b'{"prompt": ""}', "malformed"),
        (b'{"prompt": "  \\n"}', "malformed"),
        (b'{"prompt": 5}', "malformed"),
        (b'{"prompt": null}', "malformed"),
        (b'{"prompt": "a", "prompt": "b"}', "malformed"),
        (b'{"prompt": "a", "temperature": NaN}', "malformed"),
        (b'{"prompt": "a", "ttl_s": Infinity}', "malformed"),
        (b'{"prompt": "a", "ttl_s": 1e999}', "malformed"),
        (b'{"template": "t", "input": {"x": 1e999}}', "malformed"),
        (b'{"prompt": "\\ud800"}', "malformed"),
        (b'{"\\ud800": 1, "prompt": "hi"}', "malformed"),
        (b'{"template": "t", "input": {"x": "\\udfff"}}', "malformed"),
        (b'{"prompt": "a", "schema": {"const": "\\ud800"}}', "malformed"),
        (b'{"a":' * 5000, "malformed"),
        (b'{"prompt": "a", "schema": ' + b'{"not":' * 900 + b"{}" + b"}" * 901, "malformed"),
        (b'{"prompt": "hi", "answer_schema": {}}', "unknown_key"),
        (b'{"promt": "hi"}', "unknown_key"),
        (b"x" * (PROMPT_BYTES_MAX + 1), "too_large"),
    ],
)
def test_a_payload_that_means_nothing_is_refused(payload: bytes, reason: str) -> None:
    assert refusal(payload).reason == reason


def test_unknown_keys_are_refused_by_name() -> None:
    found = refusal({"prompt": "hi", "tempersture": 1, "foo": 2})
    assert found.reason == "unknown_key"
    assert "tempersture" in found.detail
    assert "foo" in found.detail


def test_an_unknown_key_of_a_message_is_refused_by_its_place() -> None:
    found = refusal({"messages": [{"role": "user", "content": "hi", "name": "x"}]})
    assert (found.reason, found.detail) == ("unknown_key", "unknown key: messages.0.name")


def test_what_calls_itself_json_must_be_an_object() -> None:
    found = refusal(b"[1]", content_type="application/json")
    assert found.reason == "malformed"
    assert "object" in found.detail


def test_a_json_text_without_that_content_type_is_a_bare_prompt() -> None:
    assert read(b'"quoted"').prompt == '"quoted"'


def test_a_payload_of_exactly_the_limit_is_taken() -> None:
    assert read(b"x" * PROMPT_BYTES_MAX).prompt == "x" * PROMPT_BYTES_MAX


@pytest.mark.parametrize(
    "table",
    [
        {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
        {"prompt": "a", "template": "t", "input": "b"},
        {"messages": [{"role": "user", "content": "b"}], "template": "t", "input": "b"},
        {"prompt": "a", "input": "b"},
        {"template": "t"},
        {"input": "b"},
        {"schema": {}},
    ],
)
def test_exactly_one_of_prompt_messages_and_template_with_input(table: dict[str, Any]) -> None:
    assert refusal(table).reason == "malformed"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hi",
        [{"role": "robot", "content": "hi"}],
        [{"role": "user"}],
        [{"content": "hi"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " "}],
    ],
)
def test_messages_are_a_list_of_roles_and_contents(messages: object) -> None:
    assert refusal({"messages": messages}).reason == "malformed"


def test_messages_keep_their_order() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    found = read({"messages": turns}).messages
    assert found is not None
    assert [turn.model_dump() for turn in found] == turns


@pytest.mark.parametrize("given_input", ["text", {"ocr": "text", "n": 5}, {}])
def test_an_input_is_a_text_or_an_object(given_input: object) -> None:
    request = read({"template": "t", "input": given_input})
    assert (request.template, request.input) == ("t", given_input)


@pytest.mark.parametrize("given_input", [5, "", [], True])
def test_another_input_is_refused_in_words_of_the_contract(given_input: object) -> None:
    detail = refusal({"template": "t", "input": given_input}).detail
    assert detail.startswith("input = ")
    assert "text or an object" in detail


def test_schema_and_stop_exclude_each_other() -> None:
    found = refusal({"prompt": "hi", "schema": {}, "stop": ["x"]})
    assert found.reason == "malformed"
    assert "stop" in found.detail


def test_a_bare_text_is_the_prompt() -> None:
    assert read("Größe?".encode()).prompt == "Größe?"


KEYS = st.sampled_from([*(item.alias or name for name, item in Request.model_fields.items()), "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PAYLOADS = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.dictionaries(KEYS, JSON, max_size=5).map(lambda table: json.dumps(table).encode())
)
PROPERTIES = st.lists(st.tuples(KEYS, st.text(max_size=8)), max_size=3).map(tuple)


@given(
    PAYLOADS,
    PROPERTIES,
    st.none() | st.text(max_size=8),
    st.none() | st.sampled_from(["text/plain", "application/json"]),
)
def test_any_message_is_a_request_or_a_refusal_of_the_closed_list(
    payload: bytes,
    properties: tuple[tuple[str, str], ...],
    template: str | None,
    content_type: str | None,
) -> None:
    message = inbound(payload, user_properties=properties, content_type=content_type)
    found = taken(message, template)
    if isinstance(found, Refusal):
        assert found.reason in REASONS
        assert found.detail.encode()
    else:
        assert found.model_dump_json().encode()


def taken(message: Inbound, template: str | None) -> Request | Refusal:
    readable_id(message)
    try:
        return read_request(message, PROMPT_BYTES_MAX, template)
    except Refusal as refused:
        return refused


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_comes_through_unchanged(text: str) -> None:
    payload = json.dumps({"prompt": f"x{text}"}).encode()
    assert read_request(inbound(payload), 10**6, None).prompt == f"x{text}"
