"""Connections by UNIX sockets, and those that nobody waits for any more."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from edged import config
from edged.errors import BrokerGone
from edged.mqtt.dial import THREAD, Call, OwnThread, dial
from tests.broker import Mosquitto
from tests.mqtt_fixtures import Device, board, finish, parse, payloads, take, to


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def broker(listener: socket.socket) -> config.Broker:
    return config.Broker(host="127.0.0.1", port=listener.getsockname()[1])


def heard_until_closed(listener: socket.socket) -> bytes:
    """Return what the next caller says before it hangs up."""
    caller, _ = listener.accept()
    with caller:
        caller.settimeout(10)
        said = b""
        while piece := caller.recv(4096):
            said += piece
        return said


def test_a_call_that_was_hung_up_is_closed_when_it_gets_through(listener: socket.socket) -> None:
    call = Call()
    call.hang_up()
    client = call.dial(broker(listener), "board", "5", None)
    assert b"MQTT" in heard_until_closed(listener)
    del client  # it was kept until here: nothing else closed the socket


def test_a_call_that_got_through_is_closed_when_it_is_hung_up(listener: socket.socket) -> None:
    call = Call()
    client = call.dial(broker(listener), "board", "5", None)
    call.hang_up()
    assert b"MQTT" in heard_until_closed(listener)
    del client


def test_a_board_that_ends_waits_for_no_name_to_be_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, is_over, told = threading.Event(), threading.Event(), []

    def look_up(*_: object, **__: object) -> NoReturn:
        begun.set()
        told.append(is_over.wait(10))
        raise socket.gaierror("no such name")

    async def scenario() -> None:
        async with board(parse(host="broker.lan")):
            await asyncio.to_thread(begun.wait)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    finish(scenario())
    assert told == []
    is_over.set()
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join()


def test_what_the_dialling_thread_ends_with_is_told() -> None:
    def fail() -> NoReturn:
        raise ZeroDivisionError

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(OwnThread(), len, "four") == 4
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(OwnThread(), fail)

    finish(scenario())


@pytest.mark.broker
def test_a_broker_on_a_unix_socket_is_reached_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mosquitto.sock"

    async def scenario(broker: Mosquitto) -> None:
        async with board(parse(host=str(path))) as session:
            await session.connected()
            with Device(broker) as device:
                device.subscribe("res/1")
                device.publish("req/1", b"hello")
                assert payloads(await take(session, 1)) == [b"hello"]
                await session.publish(to("res/1", b"answer"))
                assert (await device.hear()).payload == b"answer"

    with Mosquitto(tmp_path, extra_config=[f"listener 0 {path}"]) as broker:
        finish(scenario(broker))


def test_a_path_where_nobody_listens_is_named(tmp_path: Path) -> None:
    near = config.Broker(host=str(tmp_path / "nobody.sock"))
    with pytest.raises(BrokerGone, match=r"nothing listens on .*nobody\.sock: start the broker"):
        dial(near, "board", "5", None)


def test_a_socket_that_could_not_be_connected_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: left_open.append(error.object))
    near = config.Broker(host=str(tmp_path / "nobody.sock"))
    with pytest.raises(BrokerGone) as refused:
        dial(near, "board", "5", None)
    refused.value.__cause__ = None
    gc.collect()
    assert left_open == []


def test_pahos_own_loop_gets_packets_that_came_together(listener: socket.socket) -> None:
    address, port = listener.getsockname()
    client = dial(config.Broker(host=address, port=port), "board", "5", None)
    heard: list[str] = []
    client.on_message = lambda _client, _userdata, message: heard.append(message.topic)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(CONNACK + publish(b"a") + publish(b"b"))
        for _ in range(3):
            client.loop(10.0)
        client.disconnect()
        client.loop(0.1)
    assert heard == ["a", "b"]


# Source: MQTT 5, 3.2 and 3.3: success, no properties; QoS 0, no properties, no payload.
CONNACK = b"\x20\x03\x00\x00\x00"


def publish(topic: bytes) -> bytes:
    """Return a PUBLISH."""
    return bytes([0x30, len(topic) + 3, 0, len(topic)]) + topic + b"\x00"
