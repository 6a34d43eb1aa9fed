"""Opens a connection to the broker: what blocks, and the words for why it failed.

In:  the broker's table of the configuration.     Out: a paho client whose CONNECT is on its way.
Runs in a thread of its own: files, names, TCP and TLS block. Does not know: the event loop.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edged.config import Broker
from edged.credentials import located
from edged.errors import BrokerGone
from edged.mqtt.client import Client
from edged.mqtt.packets import Protocol, Will, connect_properties, will_properties
from edged.mqtt.tls import tls_context, unusable
from edged.time_floor import TimeFloor

CONNECT_S = 5.0
THREAD = "dial"

P = ParamSpec("P")
T = TypeVar("T")

# Source: MQTT 5, table 2-6; paho gives the return codes of 3.1.1 the same numbers.
_UNSUPPORTED_PROTOCOL_VERSION = 0x84
_BAD_USER_NAME_OR_PASSWORD = 0x86
_NOT_AUTHORIZED = 0x87


class ProtocolRefused(BrokerGone):
    """The broker said that it does not speak this version of MQTT."""


class Unanswered(BrokerGone):
    """The broker closed the connection, or kept silent, instead of answering CONNECT.

    Both are ways not to know MQTT 5: amqtt 0.12 takes the properties for the client id, and waits
    for the rest of the packet.
    """


def dial(
    broker: Broker,
    client_id: str,
    protocol: Protocol,
    will: Will | None,
    *,
    is_lasting: bool = True,
    limit_s: float = CONNECT_S,
    floor: TimeFloor | None = None,
) -> Client:
    """Return a client that has a socket and has sent CONNECT.

    It has no callbacks yet, so none runs in this thread, and paho writes CONNECT by itself.
    Passwords and certificates are read each time: a changed file counts at the next connect.

    Args:
        broker: where and how.
        client_id: whose session it is.
        protocol: version of MQTT.
        will: what the broker publishes when the board vanishes.
        is_lasting: goes on with the session that the broker has; else that one is wiped.
        limit_s: longest wait for TCP.
        floor: what time it is at least, for certificates; None: as this machine's clock says.

    Raises:
        BrokerGone: with what to do about it.
    """
    client = _new_client(broker, client_id, protocol, will, is_lasting=is_lasting)
    client.connect_timeout = limit_s
    if broker.username is not None:
        client.username_pw_set(broker.username, _password(broker))
    if broker.tls_ca_file is not None:
        client.tls_set_context(tls_context(broker, floor))
    where = (broker.host, broker.port, broker.keepalive_s)
    try:
        if protocol == "5":
            # paho's default wipes the broker's session at the first connect of each process.
            properties = connect_properties(broker)
            client.connect(*where, clean_start=not is_lasting, properties=properties)
        else:
            client.connect(*where)
    except (OSError, UnicodeError) as error:
        raise BrokerGone(_unreachable(broker, error)) from error
    return client


class Call:
    """A connection that is dialled in a thread; hung up in another one, it is closed at once.

    A thread cannot be cancelled: what it still reaches is closed when it gets there.

    Args:
        floor: what time it is at least, for certificates; None: as this machine's clock says.
    """

    def __init__(self, floor: TimeFloor | None = None) -> None:
        self._floor = floor
        self._reached: list[Client] = []
        self._is_hung_up = False

    def dial(self, broker: Broker, client_id: str, protocol: Protocol, will: Will | None) -> Client:
        """Dial as the function does; return its client.

        Raises:
            BrokerGone: as there.
        """
        client = dial(broker, client_id, protocol, will, floor=self._floor)
        self._reached.append(client)
        if self._is_hung_up:
            self._close()
        return client

    def hang_up(self) -> None:
        """Close what was reached, or will be."""
        self._is_hung_up = True
        self._close()

    def _close(self) -> None:
        # Both threads may come here: each client is popped by one of them.
        with contextlib.suppress(IndexError):
            sock = self._reached.pop().socket()
            if sock is not None:
                sock.close()


class OwnThread(Executor):
    """Runs each job in a thread of its own, which nobody waits for when the process ends.

    asyncio waits for its own threads without limit, and no name lookup can be cancelled: SIGTERM
    took 39 s (measured, with a name server that does not answer).
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a job."""
        told: Future[T] = Future()
        job = functools.partial(fn, *args, **kwargs)
        threading.Thread(target=_run, args=(job, told), name=THREAD, daemon=True).start()
        return told


def _run(job: Callable[[], T], told: Future[T]) -> None:
    """Run a job and tell what it returned or raised, whatever that is."""

    def failed(_: object, error: BaseException | None, __: object) -> bool:
        told.set_exception(error)
        return True

    if told.set_running_or_notify_cancel():
        with contextlib.ExitStack() as on_error:
            on_error.push(failed)
            found = job()
            on_error.pop_all()
            told.set_result(found)


def _new_client(
    broker: Broker, client_id: str, protocol: Protocol, will: Will | None, *, is_lasting: bool
) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if protocol == "5" else not is_lasting,
        protocol=paho.MQTTv5 if protocol == "5" else paho.MQTTv311,
        transport="unix" if broker.is_near else "tcp",
        # Its own reconnect has no jitter, and would also downgrade to MQTT 3.1.
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if will is not None:
        properties = will_properties(will) if protocol == "5" else None
        client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
    return client


def _password(broker: Broker) -> str | None:
    if broker.password_file is None:
        return None
    try:
        lines = located(broker.password_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("broker.password_file", broker.password_file, error) from error
    if not lines:
        raise BrokerGone(f"broker.password_file = {broker.password_file}: the file is empty")
    return lines[0]


def _unreachable(broker: Broker, error: Exception) -> str:
    where = broker.where
    match error:
        case ConnectionRefusedError() | FileNotFoundError() if broker.is_near:
            return f"nothing listens on {where}: start the broker, or check broker.host"
        case ConnectionRefusedError():
            return f"nothing listens on {where}: start the broker, or check broker.port"
        case socket.gaierror() | UnicodeError():
            return f"the name {broker.host!r} cannot be resolved: check broker.host ({error})"
        case TimeoutError():
            return f"no answer from {where} within {CONNECT_S:g} s: check network and broker.host"
        case ssl.SSLCertVerificationError():
            why = error.verify_message
            return f"{where}: certificate not accepted ({why}): check tls_ca_file and the clock"
        case ssl.SSLError():
            return f"{where} does not speak TLS as expected ({error}): check broker.port"
    return f"{where} cannot be reached: {error}"


def refused(broker: Broker, protocol: Protocol, reason: ReasonCode) -> BrokerGone:
    """Return the error that a refusing CONNACK stands for."""
    where = f"the broker at {broker.where}"
    if reason.value == _UNSUPPORTED_PROTOCOL_VERSION:
        advice = 'set broker.protocol = "auto"'
        return ProtocolRefused(f"{where} does not speak MQTT {protocol}: {advice}")
    if reason.value in (_BAD_USER_NAME_OR_PASSWORD, _NOT_AUTHORIZED):
        name = "no user name" if broker.username is None else f"user {broker.username!r}"
        advice = "check broker.username, broker.password_file and the broker's own list"
        return BrokerGone(f"{where} does not let {name} in ({reason}): {advice}")
    return BrokerGone(f"{where} refused the connection: {reason}")


def send_at_once(connected: object) -> None:
    """Let small packets go when they are written; a UNIX socket does so anyway.

    Else a small answer waits for the ACK of the PUBACK before it (Nagle's algorithm).
    """
    if isinstance(connected, socket.socket) and connected.family != socket.AF_UNIX:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
