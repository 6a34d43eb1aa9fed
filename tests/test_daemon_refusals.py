"""What the daemon refuses: each reason of the contract, told to the device that asked.

Method: a device publishes, and what it hears is the whole evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import (
    BOARD,
    SHIPPED,
    Asker,
    Daemon,
    long_answer,
    named,
    state_of,
    wait_until,
)
from tests.daemon_fixtures import daemon as daemon
from tests.daemon_fixtures import device as device

pytestmark = pytest.mark.broker
REFUSED: dict[str, tuple[object, dict[str, Any], str]] = {
    "not UTF-8": (b"\xff\xfe", {}, "not_utf8"),
    "not JSON where JSON is meant": (b"{nonsense", {}, "malformed"),
    "an unknown key": ({"prompt": "x", "promt": "y"}, {}, "unknown_key"),
    "a wrong type": ({"prompt": 7}, {}, "malformed"),
    "an empty prompt": (b"  ", {}, "malformed"),
    "an empty prompt in JSON": ({"prompt": ""}, {}, "malformed"),
    "a payload over the limit": (b"x" * 5000, {}, "too_large"),
    "a payload of a megabyte": (b"x" * 1_048_576, {}, "too_large"),
    "an unknown template": ({"template": "nope", "input": "x"}, {}, "unknown_template"),
    "a schema that is none": ({"prompt": "x", "schema": {"type": "banana"}}, {}, "bad_schema"),
    "an unknown keyword": ({"prompt": "x", "schema": {"typ": "string"}}, {}, "bad_schema"),
    "an infinite schema": (
        {
            "prompt": "x",
            "schema": {
                "$ref": "#/$defs/a",
                "$defs": {
                    "a": {
                        "type": "object",
                        "properties": {"next": {"$ref": "#/$defs/a"}},
                        "required": ["next"],
                    }
                },
            },
        },
        {},
        "bad_schema",
    ),
    "a minimal answer over the context": (
        {"prompt": "x", "schema": {"type": "string", "minLength": 9000}},
        {},
        "bad_schema",
    ),
    "max_tokens under the schema's minimum": (
        {"prompt": "x", "schema": long_answer(50), "max_tokens": 3},
        {},
        "malformed",
    ),
    "max_tokens over the context": ({"prompt": "x", "max_tokens": 100_000}, {}, "malformed"),
    "a negative ttl": ({"prompt": "x", "ttl_s": -1}, {}, "malformed"),
    "a foreign Response Topic": (b"x", {"ResponseTopic": "plc/1/coil"}, "response_topic"),
    "2 kB of Correlation Data": (b"x", {"CorrelationData": b"c" * 2000}, "too_large"),
    "200 user properties": (b"x", {"UserProperty": [("k", "v")] * 200}, "too_large"),
    "an id that differs from the topic's": ({"id": "other", "prompt": "x"}, {}, "bad_id"),
    "stop beside a schema": (
        {"prompt": "x", "schema": {"type": "string"}, "stop": ["a"]},
        {},
        "malformed",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_its_reason_and_a_sentence(device: Asker, what: str) -> None:
    payload, properties, reason = REFUSED[what]
    device.ask(payload, "p", **properties)
    reply = device.next()
    assert (reply["event"], reply["reason"]) == ("refused", reason)
    assert len(reply["detail"]) > 10


def test_a_response_topic_with_a_wildcard_is_refused(device: Asker) -> None:
    device.ask(b"x", "p", ResponseTopic=f"edged/v1/dock/any/res/{device.client}/#")
    assert device.next()["reason"] == "response_topic"


def test_a_retained_prompt_is_refused(device: Asker, broker: Mosquitto) -> None:
    topic = f"{BOARD}/req/{device.client}/p"
    device.publish(topic, b"hello", retain=True)
    assert device.next()["reason"] == "retained"
    device.publish(topic, b"", retain=True)  # clears it for the tests that follow


def test_an_id_that_cannot_be_read_is_answered_under_the_tilde(device: Asker) -> None:
    device.send(f"{BOARD}/req/{device.client}/a b", b"hello")
    device.next()
    topic, reply, _ = device.replies[0]
    assert (topic.rpartition("/")[2], reply["reason"]) == ("~", "bad_id")


def test_after_every_refusal_the_daemon_still_answers(device: Asker) -> None:
    for number, (payload, properties, _) in enumerate(REFUSED.values()):
        device.ask(payload, f"bad-{number}", **properties)
    device.ask({"prompt": "hello"}, "good")
    assert device.outcome("good")["event"] == "done"


CONTEXT = "context_tokens"
# What a board may become -> what it refuses then, and why.
CHANGED: dict[str, tuple[dict[str, Any], object]] = {
    "engine_down": ({"path": "no.gguf"}, "hello"),
    "too_long": ({CONTEXT: 256}, "x" * 400),
    "malformed": ({CONTEXT: 256}, {"prompt": "x", "max_tokens": 300}),
    "unknown_template": ({"templates_dir": "none"}, SHIPPED),
}


@pytest.mark.parametrize("reason", CHANGED)
def test_a_copy_of_a_known_prompt_gets_its_outcome_where_a_fresh_one_is_refused(
    broker: Mosquitto, tmp_path: Path, reason: str
) -> None:
    (tmp_path / "none").mkdir()
    changed, prompt = CHANGED[reason]
    sections, name = named(tmp_path / "d", reason), f"edged/v1/dock/{reason}/req/dev"
    with Asker(broker) as device:
        device.listen()
        with Daemon(tmp_path / "d", broker, sections=sections) as daemon:
            daemon.wait_for_log("connected to the broker")
            device.send(f"{name}/known", prompt)
            outcome = device.next()
        backend = "llama" if "path" in changed else "sim"
        places = {key: str(tmp_path / one) for key, one in changed.items() if key != CONTEXT}
        sections["model"] = changed | places
        with Daemon(tmp_path / "d", broker, backend=backend, sections=sections) as daemon:
            phase = "broken" if backend == "llama" else "ready"
            wait_until(lambda: state_of(daemon)["engine"]["phase"] == phase, phase)
            device.send(f"{name}/fresh", prompt)
            assert device.next()["reason"] == reason
            device.send(f"{name}/known", prompt)
            assert device.next() == outcome
