from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.topics import Address, Topics, is_id, is_publishable, levels, matches, mended

TOPICS = Topics("dock", "edge-1")
IDS = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
LEVELS = st.lists(st.sampled_from(["a", "b", "", "dock"]), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("edged/v1/dock/edge-1/req/c1", Address("req", "c1", None)),
        ("edged/v1/dock/edge-1/req/c1/p1", Address("req", "c1", "p1")),
        ("edged/v1/dock/edge-1/cancel/c1/p1", Address("cancel", "c1", "p1")),
        ("edged/v1/dock/edge-1/req/c1/", Address("req", "c1", "")),
        ("edged/v1/dock/edge-1/req/a b/p1", Address("req", "a b", "p1")),
        ("edged/v1/dock/edge-1/cancel/c1", None),
        ("edged/v1/dock/edge-1/req", None),
        ("edged/v1/dock/edge-1/req/c1/p1/more", None),
        ("edged/v1/dock/edge-1/res/c1/p1", None),
        ("edged/v1/dock/edge-2/req/c1/p1", None),
        ("edged/v1/dock/edge-10/req/c1/p1", None),
        ("plc/7/text", None),
    ],
)
def test_a_topic_says_who_is_meant(topic: str, expected: Address | None) -> None:
    assert TOPICS.address(topic) == expected


@given(IDS, IDS)
def test_a_reply_topic_falls_under_the_filter_its_client_subscribes(client: str, id: str) -> None:
    assert matches(TOPICS.response_filter(client), TOPICS.response(client, id))


def test_an_id_that_cannot_be_read_is_replied_to_under_a_tilde() -> None:
    assert TOPICS.response("c1", None) == "edged/v1/dock/edge-1/res/c1/~"
    assert matches(TOPICS.response_filter("c1"), TOPICS.response("c1", None))


def test_the_tilde_is_no_id() -> None:
    assert not is_id("~")


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (TOPICS.availability, "edged/v1/dock/edge-1/availability"),
        (TOPICS.state, "edged/v1/dock/edge-1/state"),
        (TOPICS.template("dock-event"), "edged/v1/dock/edge-1/template/dock-event"),
    ],
)
def test_retained_topics_are_those_of_the_contract(topic: str, expected: str) -> None:
    assert topic == expected


@given(IDS, IDS)
def test_every_request_and_cancel_topic_is_subscribed(client: str, id: str) -> None:
    for topic in (f"req/{client}", f"req/{client}/{id}", f"cancel/{client}/{id}"):
        whole = f"{TOPICS.board}/{topic}"
        assert sum(matches(item, whole) for item in TOPICS.inbound_filters) == 1
        assert TOPICS.address(whole) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("A.b_c-9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("٣", False),
        ("+", False),
    ],
)
def test_ids_are_short_and_plain(text: str, expected: bool) -> None:
    assert is_id(text) is expected


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("a/b", True),
        ("/a", True),
        ("x" * 65_535, True),
        ("x" * 65_536, False),
        ("é" * 32_768, False),
        ("/" * 127, True),
        ("/" * 128, False),
        ("", False),
        ("a/+/b", False),
        ("a/#", False),
        ("a+b", False),
        ("$SYS/x", False),
        ("a/$b", True),
        ("a\0b", False),
    ],
)
def test_answers_go_only_to_topics_that_can_be_published(topic: str, expected: bool) -> None:
    assert is_publishable(topic) is expected


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("+", "a/b", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "b/c", False),
        ("#", "a/b", True),
        ("a/+/c/#", "a/b/c/d/e", True),
        ("a/+/c/#", "a/b/d", False),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, expected: bool) -> None:
    # Source: MQTT 5, 4.7.1.
    assert matches(topic_filter, topic) is expected


@given(LEVELS)
def test_a_topic_matches_itself_and_all_its_own_wildcards(parts: list[str]) -> None:
    topic = "/".join(parts)
    assert matches(topic, topic)
    assert matches("/".join("+" for _ in parts), topic)
    assert matches("#", topic)


@given(LEVELS)
def test_levels_are_those_under_plus_in_order(parts: list[str]) -> None:
    wanted = ["+" if place % 2 else level for place, level in enumerate(parts)]
    assert levels("/".join(wanted), "/".join(parts)) == tuple(parts[1::2])


@given(st.text(st.sampled_from("ab/$+#\0"), max_size=200))
def test_a_mended_topic_can_be_published_to_and_is_the_same_if_it_could_before(topic: str) -> None:
    assert is_publishable(mended(topic))
    assert is_publishable(topic) == (mended(topic) == topic)


def test_the_longest_default_reply_topic_can_be_published() -> None:
    longest = "x" * 64
    assert is_publishable(Topics(longest, longest).response(longest, longest))
