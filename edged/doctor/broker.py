"""Whether the broker answers, and whether it keeps the board's session.

In:  the broker's table of the configuration.     Out: `Told`, findings.
A client id of its own: with the board's the broker would throw the running daemon out. It connects
twice, so that the second time tells whether the session was kept, and leaves nothing behind.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from ipaddress import ip_address

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edged.config import Broker
from edged.credentials import is_out_of_reach
from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root, text
from edged.errors import BrokerGone
from edged.mqtt.dial import ProtocolRefused, dial, refused
from edged.mqtt.packets import Protocol

# The whole of `edged doctor` is to take two seconds.
LIMIT_S = 0.7
SESSION_S = 60
CONFS = ("/etc/mosquitto/mosquitto.conf", "/etc/mosquitto/conf.d")
START_IT = "sudo systemctl start mosquitto, or set broker.host, broker.port and its login"
KEEP = (
    "printf 'persistence true\\nautosave_on_changes true\\nautosave_interval 1\\n' | "
    "sudo tee /etc/mosquitto/conf.d/edged.conf && sudo systemctl restart mosquitto"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the broker said.

    Attributes:
        where: host and port.
        problem: why it was not reached or did not let us in; None when it did.
        keeps_session: whether the second connection met the first one's session.
        expiry_s: how long it keeps a session, where it cut what was asked.
        keeps_on_disk: what the configuration of a mosquitto on this machine says; None: no such.
        is_unit_s: it wants a secret that only edged's unit has; so it was not asked.
    """

    where: str
    problem: str | None = None
    protocol: Protocol | None = None
    keeps_session: bool = False
    expiry_s: int | None = None
    keeps_on_disk: bool | None = None
    is_unit_s: bool = False


@dataclass(frozen=True, slots=True)
class _Connack:
    is_resumed: bool
    properties: Properties | None


def look(root: Root, broker: Broker) -> Told:
    """Ask the broker; a name that does not resolve can take longer than the limit."""
    where = broker.where
    secrets = (broker.password_file, broker.tls_certificate_file, broker.tls_key_file)
    if any(map(is_out_of_reach, secrets)):
        return Told(where, is_unit_s=True)
    first: Protocol = "3.1.1" if broker.protocol == "3.1.1" else "5"
    try:
        try:
            return _asked(root, broker, first)
        except ProtocolRefused:
            if broker.protocol != "auto":
                raise
            return _asked(root, broker, "3.1.1")
    except BrokerGone as gone:
        return Told(where, str(gone))


def _asked(root: Root, broker: Broker, protocol: Protocol) -> Told:
    brief = broker.model_copy(update={"session_expiry_s": SESSION_S})
    client_id = f"edged-doctor-{os.getpid()}-{time.monotonic_ns():x}"
    _connack(brief, client_id, protocol, is_lasting=True)
    second = _connack(brief, client_id, protocol, is_lasting=True)
    _connack(brief, client_id, protocol, is_lasting=False)
    return Told(
        broker.where,
        protocol=protocol,
        keeps_session=second.is_resumed,
        expiry_s=getattr(second.properties, "SessionExpiryInterval", None),
        keeps_on_disk=keeps_on_disk(root, broker.host),
    )


def lets_anyone_in(broker: Broker) -> bool:
    """Return whether the broker takes a client that says neither name nor password.

    One that cannot be reached lets nobody in.
    """
    own = ("username", "password_file", "tls_certificate_file", "tls_key_file")
    nameless = broker.model_copy(update=dict.fromkeys(own))
    client_id = f"edged-check-{os.getpid()}-{time.monotonic_ns():x}"
    try:
        _connack(nameless, client_id, "3.1.1", is_lasting=False)
    except BrokerGone:
        return False
    return True


def _connack(broker: Broker, client_id: str, protocol: Protocol, *, is_lasting: bool) -> _Connack:
    """Connect, disconnect, and return what the broker said in between.

    Raises:
        BrokerGone: no answer, or a refusal.
    """
    client = dial(broker, client_id, protocol, None, is_lasting=is_lasting, limit_s=LIMIT_S)
    told: list[tuple[paho.ConnectFlags, ReasonCode, Properties | None]] = []
    client.on_connect = lambda _client, _data, *rest: told.append(rest)
    until_s = time.monotonic() + LIMIT_S
    while not told and time.monotonic() < until_s:
        if client.loop(timeout=0.02) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            break
    if not told:
        raise BrokerGone(
            f"{broker.where} takes the connection and does not answer as an MQTT "
            "broker: check broker.port"
        )
    flags, reason, properties = told[0]
    if reason.is_failure:
        raise refused(broker, protocol, reason)
    client.disconnect(properties=_at_once(protocol, is_lasting=is_lasting))
    client.loop(timeout=0.02)
    return _Connack(flags.session_present, properties)


def _at_once(protocol: Protocol, *, is_lasting: bool) -> Properties | None:
    """Return the wish that a session that is not to last ends with this connection."""
    if protocol != "5" or is_lasting:
        return None
    properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call] # untyped
    properties.SessionExpiryInterval = 0
    return properties


def keeps_on_disk(root: Root, host: str) -> bool | None:
    """Return what mosquitto's files say; the last line counts, and its default is not to.

    Source: mosquitto.conf(5), persistence.
    """
    main, folder = (root.at(path) for path in CONFS)
    if not _is_here(host) or not main.exists():
        return None
    lines = [
        line.split()
        for file in (main, *sorted(folder.glob("*.conf")))
        for line in text(file).splitlines()
    ]
    said = [words[1] for words in lines if len(words) > 1 and words[0] == "persistence"]
    return bool(said) and said[-1] == "true"


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.startswith("/")


def judge(told: Told, wanted_s: int) -> list[Finding]:
    """Return whether prompts reach this board, and outlive what happens to it and the broker."""
    if told.is_unit_s:
        says = f"{told.where} wants a secret that only edged.service has, and was not asked"
        return [well("broker", f"{says}; `systemctl status edged` tells whether it let edged in")]
    if told.problem is not None:
        says = f"{told.problem}; edged runs without a broker, and nobody can ask it"
        return [warning("broker", says, START_IT)]
    found = [_session(told, wanted_s)]
    if told.keeps_on_disk is False:
        says = "mosquitto on this board keeps nothing on disk: its restart loses waiting prompts"
        found.append(warning("broker", says, KEEP))
    return found


def _session(told: Told, wanted_s: int) -> Finding:
    says = f"{told.where} answers in MQTT {told.protocol}"
    if not told.keeps_session:
        mend = "let the broker keep sessions; for mosquitto, remove persistent_client_expiration"
        return warning("broker", f"{says}, and forgets the board's session", mend)
    if told.expiry_s is not None and told.expiry_s < min(wanted_s, SESSION_S):
        mend = "let the broker keep sessions as long as broker.session_expiry_s says"
        return warning("broker", f"{says}, and keeps a session {told.expiry_s} s only", mend)
    return well("broker", f"{says}, and keeps the board's session")
