from __future__ import annotations

from typing import Any

import pytest

from edged import config
from edged.contract import Inbound, Request
from edged.errors import ConfigError, Refusal
from edged.inputs import InputMap, Mapped

TOPIC = "plant/4/gate/9/text"
GATES = config.Input(
    topic="plant/+/gate/+/text",
    client="gate-{1}-{2}",
    template="dock-event",
    reply_topic="plant/{1}/gate/{2}/answer",
)
SCALES = config.Input(
    topic="scale/+/json",
    template="stock-question",
    input={"table": "rows", "question": "ask"},
)


def mapped(topic: str, *rules: config.Input) -> Mapped:
    found = InputMap(rules).match(topic)
    assert found is not None
    return found


def request(rule: config.Input, payload: bytes, **more: Any) -> Request:
    topic = rule.topic.replace("+", "4")
    return mapped(topic, rule).request(Inbound(topic, payload, **more), 1000)


def refusal(rule: config.Input, payload: bytes, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        request(rule, payload, **more)
    return caught.value


def test_topic_levels_name_the_client_and_the_reply_topic() -> None:
    found = mapped(TOPIC, GATES)
    assert found.client == "gate-4-9"
    assert found.reply_topic == "plant/4/gate/9/answer"
    assert (found.kind, found.id) == ("req", None)


def test_without_a_reply_topic_the_usual_one_is_used() -> None:
    assert mapped("scale/s1/json", SCALES).reply_topic is None


def test_the_first_rule_that_matches_counts() -> None:
    every = config.Input(topic="plant/#", client="plant", template="other")
    assert mapped(TOPIC, every, GATES).client == "plant"
    assert mapped(TOPIC, GATES, every).client == "gate-4-9"


def test_a_topic_of_no_rule_speaks_for_nobody() -> None:
    assert InputMap([GATES, SCALES]).match("plant/4/door/9/text") is None
    assert InputMap([]).match(TOPIC) is None


def test_each_filter_is_subscribed_once() -> None:
    assert InputMap([GATES, SCALES, GATES]).filters == (GATES.topic, SCALES.topic)


def test_the_whole_payload_is_the_input() -> None:
    found = request(GATES, b'{"any": "thing"}')
    assert (found.template, found.input) == ("dock-event", '{"any": "thing"}')


def test_keys_of_the_devices_json_become_variables() -> None:
    found = request(SCALES, b'{"rows": [1, 2], "ask": "how many?", "more": 0}')
    assert found.input == {"table": [1, 2], "question": "how many?"}


@pytest.mark.parametrize(
    ("rule", "payload", "reason", "word"),
    [
        (GATES, b"", "malformed", "empty"),
        (GATES, b" \n", "malformed", "empty"),
        (GATES, b"\xff", "not_utf8", "UTF-8"),
        (GATES, b"x" * 1001, "too_large", "1000"),
        (SCALES, b"rows", "malformed", "JSON"),
        (SCALES, b"[]", "malformed", "object"),
        (SCALES, b'{"rows": "a"}', "malformed", "ask"),
        (SCALES, b'{"rows": "\\ud800", "ask": "x"}', "malformed", "JSON"),
        (SCALES, b'{"rows": NaN, "ask": "x"}', "malformed", "JSON"),
        (SCALES, b'{"rows": ' + b"[" * 500, "malformed", "JSON"),
    ],
)
def test_a_fixed_device_that_sends_something_else_is_refused(
    rule: config.Input, payload: bytes, reason: str, word: str
) -> None:
    found = refusal(rule, payload)
    assert found.reason == reason
    assert word in found.detail


def test_a_fixed_devices_retained_message_is_no_prompt() -> None:
    assert refusal(GATES, b"hi", retained=True).reason == "retained"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"client": "{3}"}, ["input.0.client", "{3}", "2 levels"]),
        ({"client": "{0}"}, ["input.0.client", "{0}"]),
        ({"client": "gate {1}"}, ["input.0.client", "gate {1}"]),
        ({"client": "{line}"}, ["input.0.client", "{line}"]),
        ({"reply_topic": "a/{3}"}, ["input.0.reply_topic", "{3}"]),
        ({"reply_topic": "a/#"}, ["input.0.reply_topic", "a/#"]),
        ({"reply_topic": "$SYS/a"}, ["input.0.reply_topic", "$SYS/a"]),
        ({"reply_topic": ""}, ["input.0.reply_topic"]),
    ],
)
def test_a_rule_that_can_never_work_is_an_error_by_its_key(
    keys: dict[str, str], words: list[str]
) -> None:
    rule = config.Input.model_validate({"topic": "p/+/+", "client": "c", "template": "t"} | keys)
    with pytest.raises(ConfigError) as caught:
        InputMap([rule])
    assert [word for word in words if word not in str(caught.value)] == []
