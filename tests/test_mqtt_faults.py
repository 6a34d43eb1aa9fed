"""The session on a bad network: a proxy before a real mosquitto cuts, holds, slows and forgets.

Goal: whatever the network does, a prompt that was not acknowledged comes again and the session
comes back by itself. Method: `tools.fault_proxy` runs in the same event loop as the session, so a
session that blocked the loop, while it connects or ever, would wait for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.errors import BrokerGone
from edged.mqtt import Session
from tests.broker import Mosquitto, free_port
from tests.mqtt_fixtures import (
    WILL,
    Device,
    board,
    broker_config,
    finish,
    make_certificate,
    parse,
    payloads,
    take,
    to,
    until,
)
from tools.fault_proxy import Cut, FaultProxy

pytestmark = pytest.mark.broker

# Source: MQTT 5, 3.4: the PUBACK of packet 1; with a reason it would be longer.
PUBACK = bytes([0x40, 2, 0, 1])
SLOW = pytest.mark.slow
BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@contextlib.asynccontextmanager
async def faulty(broker: Mosquitto, **keys: Any) -> AsyncIterator[tuple[FaultProxy, config.Broker]]:
    """Put a proxy before the broker; yield it and what a board is told of it."""
    port = keys.pop("port", broker.port)
    async with FaultProxy(broker.host, port) as proxy:
        yield proxy, parse(host=proxy.host, port=proxy.port, **keys)


async def served_again(session: Session) -> None:
    """Wait for a second connection."""
    await until(session, lambda state: state.connected and state.connections == 2)


@pytest.mark.parametrize("fault", ["byte by byte", "slowly"])
def test_packets_that_come_in_pieces_are_whole(broker: Mosquitto, fault: str) -> None:
    async def scenario() -> None:
        async with faulty(broker) as (proxy, address):
            if fault == "slowly":
                proxy.delay_s = 0.05
            else:
                proxy.piece_bytes = 1
            with Device(broker) as device:
                device.subscribe("heard/#")
                async with board(address) as session:
                    await session.connected()
                    device.publish("req/1", b"prompt" * 100)
                    (delivery,) = await take(session, 1)
                    assert delivery.inbound.payload == b"prompt" * 100
                    session.acknowledge([delivery])
                    assert (await session.publish(to("heard/1", b"answer" * 100))).claimed
                assert (await device.hear()).payload == b"answer" * 100

    finish(scenario())


def test_a_prompt_cut_in_the_middle_comes_again_whole(broker: Mosquitto) -> None:
    async def scenario() -> None:
        async with faulty(broker) as (proxy, address), board(address) as session:
            await session.connected()
            proxy.cut_at(Cut("down", b"and half", passes=False))
            with Device(broker) as device:
                device.publish("req/1", b"half and half")
            await proxy.has_cut()
            assert payloads(await take(session, 1)) == [b"half and half"]
            await served_again(session)

    finish(scenario())


@BOTH
def test_a_prompt_whose_puback_was_lost_comes_again(broker: Mosquitto, protocol: str) -> None:
    async def scenario() -> None:
        async with faulty(broker, protocol=protocol) as (proxy, address):
            async with board(address) as session:
                await session.connected()
                proxy.cut_at(Cut("up", PUBACK, passes=False))
                with Device(broker) as device:
                    device.publish("req/1", b"prompt")
                session.acknowledge(await take(session, 1))
                (again,) = await take(session, 1)
                assert (again.inbound.payload, again.inbound.duplicate) == (b"prompt", True)
                session.acknowledge([again])
                await served_again(session)
                await session.publish(to("flushed"))
            async with board(address) as session:
                with Device(broker) as device:
                    device.publish("req/2", b"next")
                assert payloads(await take(session, 1)) == [b"next"]

    finish(scenario())


def test_a_publish_whose_puback_was_lost_fails_and_the_broker_has_it(broker: Mosquitto) -> None:
    async def scenario() -> None:
        async with faulty(broker) as (proxy, address), board(address) as session:
            await session.connected()
            with Device(broker) as device:
                device.subscribe("heard/#")
                proxy.cut_at(Cut("up", b"answer", passes=True))
                with pytest.raises(BrokerGone):
                    await session.publish(to("heard/1", b"answer"))
                assert (await device.hear()).payload == b"answer"
                await served_again(session)

    finish(scenario())


@BOTH
def test_over_a_slow_link_with_a_full_window_the_last_word_is_offline(
    broker: Mosquitto, protocol: str
) -> None:
    async def scenario(device: Device) -> None:
        async with faulty(broker, protocol=protocol) as (proxy, address):
            async with board(address) as session:
                await session.connected()
                await session.publish(to(WILL.topic, b"online", retain=True))
                assert (await device.hear()).payload == b"online"
                proxy.delay_s = 0.6
                answers = [asyncio.create_task(session.publish(to("t"))) for _ in range(64)]
                await asyncio.sleep(0)
                session.leave_with(to(WILL.topic, WILL.payload, retain=True))
            await asyncio.gather(*answers, return_exceptions=True)
            assert (await device.hear()).payload == WILL.payload

    with Device(broker) as device:
        device.subscribe(WILL.topic)
        finish(scenario(device))


@BOTH
@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_an_idle_connection_that_ends_is_noticed_at_once(
    broker: Mosquitto, fault: str, protocol: str
) -> None:
    async def scenario() -> None:
        behind = faulty(broker, protocol=protocol)
        async with behind as (proxy, address), board(address) as session:
            await session.connected()
            getattr(proxy, fault)()
            await served_again(session)
            assert session.state.session_present is True

    finish(scenario())


@pytest.mark.parametrize("moment", ["CONNECT", "CONNACK", "SUBACK"])
def test_a_connection_cut_while_it_opens_is_tried_again(broker: Mosquitto, moment: str) -> None:
    cut = {
        "CONNECT": Cut("up", b"MQTT", passes=True),
        "CONNACK": Cut("down", bytes([0x20]), passes=False),
        "SUBACK": Cut("up", b"req/#", passes=True),
    }[moment]

    async def scenario() -> None:
        async with faulty(broker) as (proxy, address):
            proxy.cut_at(cut)
            async with board(address) as session:
                await proxy.has_cut()
                await session.connected()
                assert session.state.protocol == "5"

    finish(scenario())


@BOTH
def test_a_burst_over_a_link_that_breaks_again_and_again_arrives_in_order(
    broker: Mosquitto, protocol: str
) -> None:
    lines = [b"prompt %03d" % number for number in range(120)]

    async def scenario() -> None:
        behind = faulty(broker, protocol=protocol)
        async with behind as (proxy, address), board(address) as session:
            await session.connected()
            taken: list[bytes] = []
            with Device(broker) as device:
                for line in lines:
                    device.publish("req/1", line)
            for marker in (b"prompt 020", b"prompt 070"):
                proxy.cut_at(Cut("down", marker, passes=True))
                while lines[119] not in taken:
                    group = await session.deliveries()
                    session.acknowledge(group)
                    taken += payloads(group)
            assert list(dict.fromkeys(taken)) == lines

    finish(scenario())


@SLOW
@BOTH
def test_a_half_open_connection_is_noticed_within_two_keep_alives(
    broker: Mosquitto, protocol: str
) -> None:
    async def scenario() -> None:
        behind = faulty(broker, keepalive_s=5, protocol=protocol)
        async with behind as (proxy, address), board(address) as session:
            await session.connected()
            proxy.vanish()
            with Device(broker) as device:
                device.publish("req/1", b"sent into the void")
            assert payloads(await take(session, 1)) == [b"sent into the void"]
            await served_again(session)
            assert session.state.session_present is True

    finish(scenario())


def test_a_broker_that_was_frozen_for_a_moment_costs_nothing(broker: Mosquitto) -> None:
    async def scenario() -> None:
        async with board(broker_config(broker)) as session:
            await session.connected()
            os.kill(broker.pid, signal.SIGSTOP)
            publish = asyncio.create_task(session.publish(to("t")))
            done, _ = await asyncio.wait([publish], timeout=0.3)
            os.kill(broker.pid, signal.SIGCONT)
            assert not done
            await publish
            assert session.state.connections == 1

    finish(scenario())


# Over TLS. The proxy passes what it cannot read.


# paho 2.2 leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_a_renewed_client_certificate_counts_at_the_next_connect(tmp_path: Path) -> None:
    server, old, new = (tmp_path / name for name in ("server.pem", "old.pem", "new.pem"))
    for certificate in (server, old, new):
        make_certificate(certificate)
    port = free_port()
    listener = [f"listener {port} 127.0.0.1", f"certfile {server}", f"keyfile {server}.key"]
    listener += [f"cafile {new}", "require_certificate true"]

    async def scenario(broker: Mosquitto) -> None:
        files = {"tls_certificate_file": old, "tls_key_file": f"{old}.key"}
        link = faulty(broker, port=port, tls_ca_file=server, **files)
        async with link as (_, address), board(address) as session:
            await until(session, lambda state: state.problem != "")
            shutil.copy(new, old)
            shutil.copy(f"{new}.key", f"{old}.key")
            await session.connected()

    with Mosquitto(tmp_path / "broker", extra_config=listener) as broker:
        finish(scenario(broker))


def test_a_handshake_that_hangs_does_not_hold_up_the_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = tmp_path / "server.pem"
    make_certificate(server)
    port = free_port()
    listener = [f"listener {port} 127.0.0.1", f"certfile {server}", f"keyfile {server}.key"]

    async def scenario(broker: Mosquitto) -> None:
        async with faulty(broker, port=port, tls_ca_file=server) as (proxy, address):
            proxy.hold()
            asyncio.get_running_loop().call_later(0.2, proxy.release)
            async with board(address) as session:
                await session.connected()

    with Mosquitto(tmp_path / "broker", extra_config=listener) as broker:
        finish(scenario(broker))
    # A loop that stood still would have released nothing before the handshake was given up.
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
