"""Cases that others test their command executors with, as edged means them.

Goal: what Azure's IoT Operations SDKs ask of an executor of commands over MQTT 5 is asked of edged
too. Method: one test for each case that no other test covers, named after it; docs/delivery.md
says which test stands for which case, and where edged answers otherwise and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.errors import ConfigError
from tests.broker import Mosquitto
from tests.daemon_fixtures import (
    BOARD,
    Asker,
    Daemon,
    ProxyProcess,
    long_answer,
    wait_until,
)
from tests.daemon_fixtures import device as device
from tests.spool_fixtures import settled

pytestmark = pytest.mark.broker

SHORT = {"prompt": "hello", "max_tokens": 8}
# Two inferences of it differ.
DRAWN = {"prompt": "x", "temperature": 1.5, "max_tokens": 60}
# As the daemon of these tests calls itself.
SESSION = "edged-dock-edge-1"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    directory = tmp_path_factory.mktemp("broker")
    (directory / "acl").write_text(
        "topic readwrite #\ntopic deny edged/v1/dock/+/res/denied/#\n", encoding="utf-8"
    )
    lines = [f"acl_file {directory}/acl", "log_type all"]
    with Mosquitto(directory, extra_config=lines) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), broker) as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


def sent(broker: Mosquitto, client: str) -> list[str]:
    """Return the packet ids under which a client's prompts went to the board, in order."""
    line = rf"Sending PUBLISH to {SESSION} \(d\d, q1, r0, m(\d+), '{BOARD}/req/{client}"
    return re.findall(line, broker.log.read_text())


def acknowledged(broker: Mosquitto, packets: list[str]) -> list[str]:
    """Return which of these packets the board has acknowledged, in the order that it did."""
    found = re.findall(rf"Received PUBACK from {SESSION} \(Mid: (\d+)", broker.log.read_text())
    return [packet for packet in found if packet in packets]


def test_basic_request_responds_and_acks(broker: Mosquitto, device: Asker) -> None:
    device.ask(SHORT, "p")
    assert device.outcome("p")["event"] == "done"
    packets = sent(broker, device.client)
    wait_until(lambda: acknowledged(broker, packets) == packets, "one PUBACK for one prompt")
    assert len(packets) == 1


def test_requests_complete_out_of_order_request_acked_in_order(
    broker: Mosquitto, device: Asker
) -> None:
    device.ask({"prompt": "x", "schema": long_answer(300)}, "long")
    device.ask(SHORT, "short")
    order = [device.next()["id"] for _ in range(2)]
    assert order == ["short", "long"]
    packets = sent(broker, device.client)
    wait_until(lambda: len(acknowledged(broker, packets)) == 2, "both PUBACKs")
    assert acknowledged(broker, packets) == packets


def test_dispatch_concurrency_satisfies_need_complete_successfully(device: Asker) -> None:
    ids = ["a", "b", "c"]
    for id in ids:
        device.ask({"prompt": "x", "schema": long_answer(200), "stream": True}, id)
    for _ in ids:
        device.next(lambda reply: reply["event"] == "done")
    told = [(reply["event"], reply["id"]) for _, reply, _ in device.replies]
    first_end = min(told.index(("done", id)) for id in ids)
    assert {id for event, id in told[:first_end] if event == "chunk"} == set(ids)


def test_dispatch_concurrency_below_need_timeout_errors(broker: Mosquitto, tmp_path: Path) -> None:
    sections: dict[str, dict[str, Any]] = {
        "node": {"state_dir": str(tmp_path), "name": "one"},
        "model": {"sequences": 1},
    }
    with Daemon(tmp_path, broker, sections=sections) as own, Asker(broker) as device:
        own.wait_for_log("is resident")
        own.wait_for_log("connected to the broker")
        device.listen()
        request = "edged/v1/dock/one/req/dev"
        slow = {"prompt": "x", "schema": long_answer(700), "stream": True}
        device.send(f"{request}/first", slow)
        device.next(lambda reply: reply["event"] == "chunk")
        device.send(f"{request}/second", SHORT | {"ttl_s": 1})
        assert device.outcome("second")["status"] == 408
        assert device.outcome("first")["event"] == "done"


def test_receives_duplicate_non_idempotent_request_response_from_cache(device: Asker) -> None:
    body = {"prompt": "x", "schema": long_answer(200), "temperature": 1.5}
    for _ in range(3):
        device.ask(body, "p")
    device.outcome("p")
    device.ask(SHORT, "later")
    device.outcome("later")
    assert device.events("p") == ["done"]


def test_receives_equivalent_request_from_different_invoker_command_executed(
    broker: Mosquitto, device: Asker
) -> None:
    with Asker(broker, "another-invoker") as other:
        other.listen()
        for asker in (device, other):
            asker.ask({"prompt": "x", "schema": long_answer(20), "stream": True}, "p")
        for asker in (device, other):
            asker.outcome("p")
            assert "chunk" in asker.events("p"), "a stored outcome has no chunks"


def test_receives_equivalent_non_idempotent_request_command_executed(device: Asker) -> None:
    for id in ("one", "two"):
        device.ask(DRAWN, id)
    replies = [device.next() for _ in range(2)]
    assert {reply["id"] for reply in replies} == {"one", "two"}
    assert replies[0]["text"] != replies[1]["text"]


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_receives_pseudo_duplicate_request(device: Asker, temperature: float) -> None:
    body = {"prompt": "x", "temperature": temperature, "max_tokens": 60}
    topics = [f"edged/v1/dock/any/res/{device.client}/{place}" for place in ("one", "two")]
    for topic in topics:
        device.ask(body, "p", ResponseTopic=topic)
        device.outcome("p")
    assert [topic for topic, _, _ in device.replies] == topics
    first, second = (message.payload for _, _, message in device.replies)
    assert first == second


def test_request_expires_while_disconnected_request_not_acknowledged(
    broker: Mosquitto, tmp_path: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "node": {"state_dir": str(tmp_path), "name": "away"},
        "engine": {"socket": "/proc/none.sock"},  # no engine can listen there: prompts wait
    }
    request = "edged/v1/dock/away/req/dev"
    with (
        ProxyProcess(broker) as proxy,
        Daemon(tmp_path, proxy, sections=sections) as own,
        Asker(broker) as device,
    ):
        own.wait_for_log("connected to the broker")
        device.listen()
        # Longer than the other one's second, also where the cut is noticed late.
        device.send(f"{request}/stored", SHORT | {"ttl_s": 5, "receipt": True})
        device.next()
        proxy.order("hold")
        proxy.order("cut")
        own.wait_for_log("broke")
        device.send(f"{request}/unread", SHORT | {"receipt": True}, MessageExpiryInterval=1)
        wait_until(lambda: settled(tmp_path) == 1, "the end of the stored prompt's time")
        proxy.order("release")
        assert device.outcome("stored")["event"] == "expired"
        device.send(f"{request}/alive", SHORT | {"receipt": True})
        device.next(lambda reply: reply["id"] == "alive")
        assert device.events("unread") == []


def test_response_pub_ack_failure_request_acknowledged(
    broker: Mosquitto, daemon: Daemon, device: Asker
) -> None:
    with Asker(broker, "denied") as denied:
        denied.ask(SHORT, "p")
        daemon.wait_for_log("the broker refused a message")
    packets = sent(broker, "denied")
    wait_until(lambda: acknowledged(broker, packets) == packets, "the PUBACK of its prompt")
    device.ask(SHORT, "p")
    assert device.outcome("p")["event"] == "done"


REQUESTS: dict[str, tuple[object, dict[str, Any], str]] = {
    "RequestInvalidTimestamp": (SHORT, {"UserProperty": ("__ts", "yesterday")}, "done"),
    "RequestUnparsableProtocolVersion": (SHORT, {"UserProperty": ("__protVer", "x")}, "done"),
    "RequestUnsupportedProtocolVersion": (SHORT, {"UserProperty": ("__protVer", "99.0")}, "done"),
    "ReceivesUnexpectedHeader": (SHORT, {"UserProperty": ("__foo", "bar")}, "done"),
    "RequestNoContentType": (SHORT, {"PayloadFormatIndicator": 1}, "done"),
    "RequestUnspecifiedFormatIndicator": (SHORT, {"ContentType": "application/json"}, "done"),
    "RequestWrongContentType": (b"\xff\xd8\xff", {"ContentType": "image/jpeg"}, "not_utf8"),
    "RequestInvalidCorrelationData": (SHORT, {"CorrelationData": b"no GUID"}, "done"),
    "ZeroTimeout": (SHORT | {"ttl_s": 0}, {}, "malformed"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_of_a_case(device: Asker, case: str) -> None:
    payload, properties, wanted = REQUESTS[case]
    device.ask(payload, "p", **properties)
    reply = device.next()
    assert reply.get("reason", reply["event"]) == wanted


@pytest.mark.parametrize(
    "topic", ["edged/v1/dock/edge-2/req/{}/p", "edged/v2/dock/edge-1/req/{}/p"]
)
def test_request_wrong_topic_no_response(broker: Mosquitto, device: Asker, topic: str) -> None:
    device.send(topic.format(device.client), SHORT)
    device.ask(SHORT, "right")
    device.outcome("right")
    assert device.events("p") == []
    assert len(sent(broker, device.client)) == 1


SETTINGS: dict[str, dict[str, Any]] = {
    "InvalidTopicNamespace": {"node": {"site": "invalid/{modelId}"}},
    "NoRequestTopicPattern": {"input": [{"topic": "", "template": "dock-event"}]},
    "NullName": {"node": {"name": ""}},
    "ZeroTimeout": {"requests": {"ttl_s_default": 0}},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_of_a_case_is_refused(case: str) -> None:
    ((section, _),) = SETTINGS[case].items()
    with pytest.raises(ConfigError, match=f"{section}[.]"):
        config.parse(SETTINGS[case], "a test")
