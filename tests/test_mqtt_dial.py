"""A connection that nobody waits for any more is closed, whichever thread is first."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edged import config
from edged.mqtt.dial import Call


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
