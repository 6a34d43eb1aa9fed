"""One contract for two brokers: mosquitto, and the model that the simulation stands on.

Method: the same tests run on both, with the board's own session and devices with sockets. What the
model does here, the simulation may rely on.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.contract import Outbound
from edged.errors import BrokerGone
from edged.mqtt import Will
from edged.mqtt.packets import RECEIVE_MAX
from tests.broker import Mosquitto
from tests.mqtt_fixtures import (
    WILL,
    Device,
    Listening,
    LoneBoard,
    board,
    broker_config,
    finish,
    payloads,
    properties_of,
    publish_properties,
    take,
    to,
    until,
)
from tools.simulation.broker import Broker
from tools.simulation.link import Link, Network


class ModelBroker:
    """The model behind a port of loopback, with an event loop of its own."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._network = Network(Broker(self._loop), Path(), random.Random(0))

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self._server = opening.result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _open(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: Link(self._network), self.host, 0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        self._network.cut()
        # A transport closes its socket in the turn of the loop after the one that it was told in.
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture(params=["model", pytest.param("mosquitto", marks=pytest.mark.broker)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listening]:
    with ModelBroker() if request.param == "model" else Mosquitto(tmp_path) as running:
        yield running


def test_a_prompt_sent_while_the_board_was_away_waits_for_it(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            assert session.state.session_present is False
        with Device(broker) as device:
            device.publish("req/1", b"waited")
            device.publish("req/2", b"lost", qos=0)
            device.publish("elsewhere", b"not for it")
        async with board(broker_config(broker)) as session:
            assert payloads(await take(session, 1)) == [b"waited"]
            await session.connected()
            assert session.state.session_present is True
            assert session.buffered == 0

    finish(scenario())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_nobody_acknowledged_comes_again_in_order_and_marked(
    broker: Listening, protocol: str
) -> None:
    async def scenario() -> None:
        config = broker_config(broker, protocol=protocol)
        async with board(config) as session:
            await session.connected()
            with Device(broker) as device:
                for number in range(5):
                    device.publish("req/1", b"%d" % number)
            taken = await take(session, 5)
            session.acknowledge(taken[:2])
        async with board(config) as session:
            again = await take(session, 3)
            assert payloads(again) == [b"2", b"3", b"4"]
            assert all(delivery.inbound.duplicate for delivery in again)

    finish(scenario())


def test_no_more_are_under_way_than_the_window_allows(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            with Device(broker) as device:
                for number in range(RECEIVE_MAX + 5):
                    device.publish("req/1", b"%d" % number)
            taken = await take(session, RECEIVE_MAX)
            await session.publish(to("barrier"))
            assert session.buffered == 0
            session.acknowledge(taken)
            assert len(await take(session, 5)) == 5

    finish(scenario())


def test_a_retained_message_is_kept_until_it_is_emptied(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            await session.publish(Outbound("state", b"old", retain=True))
            await session.publish(Outbound("state", b"new", retain=True))
            with Device(broker) as device:
                device.subscribe("state")
                first = await device.hear()
                assert (first.payload, first.retain) == (b"new", True)
                await session.publish(Outbound("state", b"live", retain=True))
                live = await device.hear()
                assert (live.payload, live.retain) == (b"live", True)
            await session.publish(Outbound("state", b"", retain=True))
            with Device(broker) as device:
                device.subscribe("state")
                await session.publish(Outbound("state", b"after"))
                assert (await device.hear()).payload == b"after"

    finish(scenario())


def test_a_board_is_not_sent_what_was_retained_for_it(broker: Listening) -> None:
    async def scenario() -> None:
        with Device(broker) as device:
            device.publish("req/1", b"old", retain=True)
            async with board(broker_config(broker)) as session:
                await session.connected()
                device.publish("req/2", b"live", retain=True)
                (taken,) = await take(session, 1)
                assert (taken.inbound.payload, taken.inbound.retained) == (b"live", True)

    finish(scenario())


def test_a_sender_hears_whether_anybody_subscribes(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            assert not (await session.publish(to("res/1"))).claimed
            with Device(broker) as device:
                device.subscribe("res/+")
                assert (await session.publish(to("res/1"))).claimed
                assert not (await session.publish(to("res/1/deeper"))).claimed

    finish(scenario())


def test_properties_arrive_as_they_were_sent(broker: Listening) -> None:
    async def scenario() -> None:
        properties = publish_properties()
        properties.ResponseTopic = "res/1"
        properties.CorrelationData = b"\x00\xff"
        properties.ContentType = "text/plain"
        properties.UserProperty = [("a", "1"), ("a", "2")]
        properties.MessageExpiryInterval = 100
        async with board(broker_config(broker)) as session:
            await session.connected()
            with Device(broker) as device:
                device.publish("req/1", properties=properties, payload=b"x")
            inbound = (await take(session, 1))[0].inbound
        assert inbound.response_topic == "res/1"
        assert inbound.correlation == b"\x00\xff"
        assert inbound.content_type == "text/plain"
        assert inbound.user_properties == (("a", "1"), ("a", "2"))
        assert inbound.expiry_s is not None
        assert 90 <= inbound.expiry_s <= 100

    finish(scenario())


def test_properties_of_an_answer_reach_the_device(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            with Device(broker) as device:
                device.subscribe("res/#")
                await session.publish(to("res/1", correlation=b"k", expiry_s=50))
                found = properties_of(await device.hear())
        assert found["CorrelationData"] == b"k".hex()
        assert 40 <= found["MessageExpiryInterval"] <= 50

    finish(scenario())


def test_a_message_that_expired_while_the_board_was_away_does_not_come(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
        brief = publish_properties()
        brief.MessageExpiryInterval = 1
        with Device(broker) as device, Device(broker) as witness:
            device.publish("req/1", b"late", properties=brief)
            # A will with a delay is a clock that both brokers have.
            witness.subscribe(WILL.topic)
            with LoneBoard(broker, will_delay_s=2, client_id="clock") as clock:
                clock.kill()
            await witness.hear()
            device.publish("req/1", b"in time")
        async with board(broker_config(broker)) as session:
            assert payloads(await take(session, 1)) == [b"in time"]

    finish(scenario())


def test_a_will_is_published_when_the_board_vanishes(broker: Listening) -> None:
    async def scenario() -> None:
        with Device(broker) as device:
            device.subscribe(WILL.topic)
            with LoneBoard(broker, will_delay_s=1) as lone:
                lone.kill()
            assert (await device.hear()).payload == WILL.payload

    finish(scenario())


def test_no_will_is_published_when_the_board_says_goodbye(broker: Listening) -> None:
    async def scenario() -> None:
        with Device(broker) as device:
            device.subscribe(WILL.topic)
            will = Will(WILL.topic, WILL.payload, delay_s=0)
            async with board(broker_config(broker), will=will) as session:
                await session.connected()
            device.publish(WILL.topic, b"nothing before this")
            assert (await device.hear()).payload == b"nothing before this"

    finish(scenario())


def test_the_newer_of_two_connections_of_one_name_stays(broker: Listening) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker, reconnect_s_max=30)) as first:
            await first.connected()
            async with board(broker_config(broker)) as second:
                await second.connected()
                await until(first, lambda state: not state.connected)
                with pytest.raises(BrokerGone):
                    await first.publish(to("res/1"))

    finish(scenario())


def test_a_client_that_wants_a_clean_start_gets_one(broker: Listening) -> None:
    def connect(*, is_clean: bool) -> bool:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="twice", protocol=paho.MQTTv5)
        present: list[bool] = []
        client.on_connect = lambda _, __, flags, ___, ____: present.append(flags.session_present)
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho
        lasting.SessionExpiryInterval = 100
        client.connect(broker.host, broker.port, clean_start=is_clean, properties=lasting)
        while not present:
            client.loop(1.0)
        client.disconnect()
        return present[0]

    assert connect(is_clean=True) is False
    assert connect(is_clean=False) is True
    assert connect(is_clean=True) is False
