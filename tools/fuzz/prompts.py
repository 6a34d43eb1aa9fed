"""Targets: payloads, properties and topics of messages, as a broker hands them to the board.

In:  bytes.     Out: nothing; an exception is a finding.
The rules: a message on one of the board's topics becomes a prompt, a cancel or a refusal, never
nothing; every reply can be written and goes to a topic that its client may be answered on; what a
prompt is stored as comes back from the spool as it was.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

from edged import config
from edged.admission import CancelOrder, Refused, Sender, Submission, admit, read
from edged.answers import Answers
from edged.contract import Inbound, Outbound
from edged.engine.frames import Work, decode, encode
from edged.errors import Refusal
from edged.mqtt import packets
from edged.site import Site, site_of
from edged.spool.rows import Job, Row, queued_row, work_of
from edged.topics import is_id, is_publishable, matches
from tools.fuzz.target import Target

CONTEXT_TOKENS = 1024
FRESH_ID = "b-1-1"
# A fixed device, a client with rights of its own, and one with a template for its bare texts.
BOARD = {
    "clients": {
        "forklift-7": {
            "default_template": "dock-event",
            "priority_max": 9,
            "response_topics": ["plc/forklift-7/answer", "plc/+/extra/#"],
        },
        "gate": {"system_role": True},
    },
    "input": [
        {
            "topic": "plant/+/scan/+",
            "client": "{1}",
            "template": "dock-event",
            "reply_topic": "plant/{1}/answer/{2}",
        },
        {
            "topic": "scale/+/json",
            "client": "scale-{1}",
            "template": "dock-event",
            "input": {"message": "text"},
        },
    ],
}
TOPIC = "edged/v1/dock/edge-1/req/forklift-7/m-1"


@functools.cache
def site() -> Site:
    """Return what the board of these targets offers."""
    return site_of(config.parse(BOARD, "the fuzzed board"))


def check_message(inbound: Inbound) -> None:
    """Take a message as the daemon does.

    Raises:
        AssertionError: a rule of this module does not hold.
    """
    heard = read(inbound, site(), FRESH_ID)
    match heard:
        case None:
            assert not _is_ours(inbound.topic), "a message on one of our topics is nobody's"
        case Refused(sender, refusal):
            _check_refused(sender, refusal, inbound)
        case CancelOrder():
            _check_topic(heard.destination.topic, heard.client)
        case Submission():
            _check_submission(heard)


def _is_ours(topic: str) -> bool:
    filters = site().topics.inbound_filters + site().inputs.filters
    return any(matches(one, topic) for one in filters)


def _check_refused(sender: Sender | None, refusal: Refusal, inbound: Inbound) -> None:
    if sender is None:
        address = site().inputs.match(inbound.topic) or site().topics.address(inbound.topic)
        assert address is not None
        assert not is_id(address.client), "nobody is told, though the client has a name"
        return
    message = Answers("edge-1").refused(sender.id, sender.destination, refusal)
    _check_reply(message, sender.client, "refused")


def _check_submission(submission: Submission) -> None:
    try:
        candidate = admit(submission, None, CONTEXT_TOKENS)
    except Refusal as refusal:
        sender = submission.sender
        message = Answers("edge-1").refused(sender.id, sender.destination, refusal)
        _check_reply(message, sender.client, "refused")
        return
    row = queued_row(candidate, 1, 0.0)
    job = Job.from_json(candidate.job.to_json().encode())
    assert job == candidate.job, "the spool would give another prompt back"
    work = decode(encode(work_of(row, job))[4:])
    assert isinstance(work, Work)
    for message in _replies(row):
        _check_reply(message, candidate.client, json.loads(message.payload)["event"])


def _replies(row: Row) -> Iterator[Outbound]:
    answers = Answers("edge-1")
    yield answers.accepted(row, 0, None, 0.0)
    yield answers.chunk(row, 0, "text", 0.0)


def _check_reply(message: Outbound, client: str, event: str) -> None:
    _check_topic(message.topic, client)
    packets.packet_bytes(message, packets.publish_properties(message))
    assert json.loads(message.payload)["event"] == event


def _check_topic(topic: str, client: str) -> None:
    assert is_publishable(topic), f"{topic!r} is no topic"
    allowed = [
        site().topics.response_filter(client),
        *site().client(client).response_topics,
        *(["plant/+/answer/+"] if not client.startswith("scale-") else []),
    ]
    assert any(matches(one, topic) for one in allowed), f"{client} is answered on {topic!r}"


def check_payload(data: bytes) -> None:
    """Take bytes as the payload of a prompt."""
    check_message(Inbound(TOPIC, data))


def check_topic(data: bytes) -> None:
    """Take bytes as the topic of a prompt."""
    payload = b'{"prompt": "hi", "receipt": true}'
    check_message(Inbound(data.decode("utf-8", "replace"), payload))


def check_properties(data: bytes) -> None:
    """Take bytes as a whole message: flags, then texts with their lengths in two bytes."""
    check_message(as_inbound(data))


def as_inbound(data: bytes) -> Inbound:
    """Return the message that bytes say; what is missing at their end is empty."""
    flags = data[0] if data else 0
    texts = list(_texts(data[1:]))
    topic, payload, response, correlation, kind, *rest = [*texts, *[b""] * 5][: max(5, len(texts))]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    return Inbound(
        topic=_text(topic) or TOPIC,
        payload=payload,
        retained=bool(flags & 1),
        duplicate=bool(flags & 2),
        response_topic=_text(response) if flags & 4 else None,
        correlation=correlation if flags & 8 else None,
        expiry_s=int.from_bytes(correlation[:4], "big") if flags & 16 else None,
        content_type=_text(kind) if flags & 32 else None,
        user_properties=tuple((_text(name), _text(value)) for name, value in pairs),
    )


def _texts(data: bytes) -> Iterator[bytes]:
    while data:
        length = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + length]
        data = data[2 + length :]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_KEYS = tuple(
    f'"{name}":'.encode()
    for name in (
        *("id", "prompt", "messages", "template", "input", "schema", "max_tokens", "temperature"),
        *("top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop", "receipt", "stream"),
        *("priority", "ttl_s", "on_long", "replace", "role", "content"),
    )
)
_LEVELS = (
    *(
        b"edged/v1/dock/edge-1",
        b"/req/",
        b"/cancel/",
        b"/res/",
        b"forklift-7",
        b"plant/",
        b"/scan/",
    ),
    *(b"scale/", b"/json", b"$SYS/", b"../", b"x" * 65, b"plc/forklift-7/answer"),
)

TARGETS = (
    Target("payload", check_payload, _KEYS, share=3.0),
    Target("properties", check_properties, (*_KEYS, *_LEVELS), share=3.0),
    Target("topic", check_topic, _LEVELS, share=1.0),
)
