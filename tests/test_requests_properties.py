"""What stands beside a payload counts too: default template, user properties, MQTT's own fields."""

from __future__ import annotations

import pytest

from tests.request_fixtures import read, refusal, value


def test_a_bare_text_is_the_input_of_the_clients_default_template() -> None:
    request = read(b"dock 4", default_template="dock-event")
    assert (request.prompt, request.template, request.input) == (None, "dock-event", "dock 4")


def test_an_input_without_template_goes_to_the_default_one() -> None:
    request = read({"input": "dock 4"}, default_template="dock-event")
    assert (request.template, request.input) == ("dock-event", "dock 4")


def test_a_json_prompt_of_a_client_with_a_default_template_stays_a_prompt() -> None:
    assert read({"prompt": "hi"}, default_template="dock-event").template is None


def test_a_user_property_names_the_template_of_a_bare_text() -> None:
    request = read(b"dock 4", "other", user_properties=(("template", "dock-event"),))
    assert (request.template, request.input) == ("dock-event", "dock 4")


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("id", "a1", "a1"),
        ("max_tokens", "9", 9),
        ("temperature", "0.5", 0.5),
        ("top_p", "0.9", 0.9),
        ("top_k", "40", 40),
        ("min_p", "0.1", 0.1),
        ("repeat_penalty", "1.1", 1.1),
        ("seed", "7", 7),
        ("receipt", "true", True),
        ("stream", "false", False),
        ("priority", "7", 7),
        ("ttl_s", "60", 60.0),
        ("on_long", "trim", "trim"),
        ("replace", "slot", "slot"),
    ],
)
def test_user_properties_carry_every_scalar_key(key: str, text: str, expected: object) -> None:
    assert value(read(b"hi", user_properties=((key, text),)), key) == expected


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("max_tokens", "nine"),
        ("max_tokens", "1_0"),
        ("max_tokens", "٣"),
        ("max_tokens", "9" * 5000),
        ("temperature", "nan"),
        ("ttl_s", "inf"),
        ("ttl_s", "1_0"),
        ("ttl_s", "-5"),
        ("receipt", "yes"),
        ("priority", "10"),
        ("on_long", "cut"),
    ],
)
def test_a_user_property_of_the_wrong_type_is_refused_by_name(key: str, text: str) -> None:
    found = refusal(b"hi", user_properties=((key, text),))
    assert found.reason == "malformed"
    assert key in found.detail


def test_the_payloads_key_wins_over_the_user_property() -> None:
    request = read({"prompt": "hi", "priority": 3}, user_properties=(("priority", "9"),))
    assert request.priority == 3


def test_other_user_properties_are_ignored() -> None:
    properties = (("trace", "x"), ("prompt", "not me"), ("schema", "{}"), ("traceparent", "00"))
    assert read(b"hi", user_properties=properties) == read(b"hi")


def test_64_user_properties_are_read_and_65_refused() -> None:
    assert read(b"hi", user_properties=(("x", "y"),) * 64).prompt == "hi"
    for count in (65, 200):
        assert refusal(b"hi", user_properties=(("x", "y"),) * count).reason == "too_large"


def test_256_bytes_of_correlation_data_are_kept_and_more_refused() -> None:
    assert read(b"hi", correlation=b"c" * 256).prompt == "hi"
    for count in (257, 2048):
        assert refusal(b"hi", correlation=b"c" * count).reason == "too_large"


def test_a_retained_prompt_is_refused() -> None:
    assert refusal(b"hi", retained=True).reason == "retained"
