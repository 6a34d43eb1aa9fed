"""Clients that nobody here wrote get their answers, unchanged.

Method: the shipped model answers mosquitto's own tools, the `mqtt` command of MQTT.js, aiomqtt and
gmqtt, on MQTT 5 with Response Topic and Correlation Data, and on 3.1.1 without either.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import aiomqtt
import pytest
from paho.mqtt.properties import Properties

from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, ROOT, Daemon
from tests.mqtt_fixtures import DEADLINE_S, finish, publish_properties
from tools.third_party_clients import gmqtt_folder, mqtt_command

pytestmark = [pytest.mark.broker, pytest.mark.model]

TEXT = "forklift hit pallet 48213 at dock 6, 12 cartons crushed"
BODY = json.dumps({"template": "dock-event", "input": TEXT})
COPIES_MAX = 15
CORRELATION = b"\x00my-17"

Version = Literal["5", "3.1.1"]
BOTH_VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


@dataclass(frozen=True)
class Answer:
    """What a client heard."""

    topic: str
    payload: bytes | str
    correlation: bytes | None = None


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), broker, backend="llama") as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


def test_mosquitto_rr_gets_its_answer_with_its_correlation_data(
    broker: Mosquitto, daemon: Daemon
) -> None:
    printed = broker.run(
        *("mosquitto_rr", "-V", "5", "-t", f"{BOARD}/req/rr", "-e", "edged/v1/dock/x/res/rr/1"),
        *("-D", "publish", "correlation-data", "my-17"),
        *("-D", "publish", "user-property", "template", "dock-event"),
        *("-m", TEXT, "-F", "%D|%C|%p"),
    )
    correlation, content_type, payload = printed.split("|", 2)
    assert (correlation, content_type) == ("my-17", "application/json")
    assert json.loads(payload)["json"]["pallet"] == "P48213"


def test_mosquitto_pub_and_sub_do_the_same_on_3_1_1(broker: Mosquitto, daemon: Daemon) -> None:
    device = ("-V", "311", "-i", "plc", "-c", "-q", "1", "-t", "edged/v1/+/+/res/plc/#")
    broker.run("mosquitto_sub", *device, "-E")  # subscribes, then sleeps; its session stays
    body = json.dumps({"template": "dock-event", "input": TEXT})
    topic = f"{BOARD}/req/plc/1"
    broker.run("mosquitto_pub", "-V", "311", "-q", "1", "-t", topic, "-m", body)
    reply = json.loads(broker.run("mosquitto_sub", *device, "-C", "1", "-W", "30"))
    assert (reply["event"], reply["json"]["damaged_cartons"]) == ("done", 12)


@BOTH_VERSIONS
def test_aiomqtt_gets_its_answer(broker: Mosquitto, daemon: Daemon, version: Version) -> None:
    async def scenario() -> None:
        name, is_5 = f"aio-{version}", version == "5"
        protocol = aiomqtt.ProtocolVersion.V5 if is_5 else aiomqtt.ProtocolVersion.V311
        async with aiomqtt.Client(
            broker.host, broker.port, identifier=name, protocol=protocol
        ) as client:
            await client.subscribe(replies(name), qos=1)
            properties = asked_by(name) if is_5 else None
            await client.publish(prompts(name), BODY, qos=1, properties=properties)
            message = await anext(client.messages)
        correlation = getattr(message.properties, "CorrelationData", None)
        assert isinstance(message.payload, bytes)
        expect(Answer(str(message.topic), message.payload, correlation), name, version)

    finish(scenario())


def asked_by(name: str) -> Properties:
    """Return the properties of a prompt with a reply topic of its client's choice."""
    properties = publish_properties()
    properties.ResponseTopic, properties.CorrelationData = wanted(name), CORRELATION
    return properties


@pytest.mark.skipif(gmqtt_folder() is None, reason="no gmqtt here: tools/test gets it")
@BOTH_VERSIONS
def test_gmqtt_gets_its_answer(broker: Mosquitto, daemon: Daemon, version: Version) -> None:
    name = f"gmqtt-{version}"
    asking = {
        "client": name,
        "prompts": prompts(name),
        "replies": replies(name),
        "version": version,
        "body": BODY,
        "properties": {"response_topic": wanted(name)} if version == "5" else {},
        "correlation": CORRELATION.hex() if version == "5" else None,
    }
    command = [sys.executable, str(ROOT / "tests" / "gmqtt_client.py"), broker.host]
    printed = subprocess.run(
        [*command, str(broker.port), json.dumps(asking)],
        env={**os.environ, "PYTHONPATH": str(gmqtt_folder())},
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    ).stdout
    heard = json.loads(printed)
    correlation = None if heard["correlation"] is None else bytes.fromhex(heard["correlation"])
    expect(Answer(heard["topic"], heard["payload"], correlation), name, version)


@pytest.mark.skipif(mqtt_command() is None, reason="no MQTT.js here: tools/test gets it from npm")
@BOTH_VERSIONS
def test_the_command_of_mqtt_js_gets_its_answer(
    broker: Mosquitto, daemon: Daemon, version: Version
) -> None:
    name = f"js-{version}"
    options = ["-h", broker.host, "-p", str(broker.port), "-q", "1"]
    options += ["--protocolVersion", "5" if version == "5" else "4"]
    listening = [str(mqtt_command()), "subscribe", *options, "-i", name, "-t", replies(name), "-v"]
    with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as listener:
        try:
            assert listener.stdout is not None
            asking = [str(mqtt_command()), "publish", *options, "-t", f"{prompts(name)}/1"]
            # Nobody tells when it has subscribed: ask as a device does, again until it hears.
            for _ in range(COPIES_MAX):
                subprocess.run([*asking, "-m", BODY], check=True, timeout=DEADLINE_S)
                if select.select([listener.stdout], [], [], 2.0)[0]:
                    break
            topic, payload = listener.stdout.readline().split(" ", 1)
        finally:
            listener.kill()
    assert topic == f"{BOARD}/res/{name}/1"
    expect(Answer(topic, payload), name, "3.1.1")  # its command line sets no Response Topic


def prompts(name: str) -> str:
    """Return the topic that a client asks on."""
    return f"{BOARD}/req/{name}"


def replies(name: str) -> str:
    """Return the filter that a client hears all its replies by."""
    return f"edged/v1/dock/+/res/{name}/#"


def wanted(name: str) -> str:
    """Return a reply topic of a client's own choice."""
    return f"edged/v1/dock/x/res/{name}/mine"


def expect(answer: Answer, name: str, version: Version) -> None:
    """Compare an answer with what a client of this version is to get."""
    assert json.loads(answer.payload)["json"]["pallet"] == "P48213"
    if version == "5":
        assert (answer.topic, answer.correlation) == (wanted(name), CORRELATION)
    else:
        assert answer.topic.startswith(f"{BOARD}/res/{name}/")
