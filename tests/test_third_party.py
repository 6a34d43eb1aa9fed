"""Clients that nobody here wrote get their answers, unchanged: mosquitto's own tools.

Method: the shipped model answers `mosquitto_rr` on MQTT 5 and `mosquitto_pub`/`_sub` on 3.1.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixture import BOARD, Daemon

pytestmark = [pytest.mark.broker, pytest.mark.model]

TEXT = "forklift hit pallet 48213 at dock 6, 12 cartons crushed"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


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
