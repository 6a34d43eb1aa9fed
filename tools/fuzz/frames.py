"""Targets: what processes say to each other, and the schemas that a prompt brings.

In:  bytes.     Out: nothing; an exception is a finding.
"""

from __future__ import annotations

import functools
import json
import socket

from edged.admin.wire import read_ask
from edged.contract import Destination
from edged.engine.arrivals import Arrivals
from edged.engine.constraints import Constraints
from edged.engine.frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    Measure,
    Prompt,
    Wire,
    decode,
    encode,
)
from edged.engine.prepare import written_schema
from edged.engine.protocol import Foreign
from edged.engine.schema import Lengths
from edged.engine.sim import N_VOCAB, SimVocabulary
from edged.errors import AdminRefused, EngineLost, Refusal
from edged.spool.rows import Job, Row, State, work_of
from tools.fuzz.target import Target

# Both forms of a schema, each of which an engine prepares within its lease of 2 s.
SCHEMA_S_MAX = 1.5
WIRES: tuple[Wire, ...] = ("json", "compact")


def check_frame(data: bytes) -> None:
    """Read a frame's body: it is none of ours, or it can be written and read again."""
    try:
        frame = decode(data)
    except EngineLost:
        return
    assert isinstance(frame, Foreign) or decode(encode(frame)[LENGTH.size :]) == frame


def check_stream(data: bytes) -> None:
    """Read frames from a socket until it says that it is none, or ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5.0)
        theirs.sendall(data[:65_536])
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(5.0)
        try:
            arrivals = Arrivals(ours)
            while arrivals.read() is not None:
                continue
        except EngineLost:
            return


def check_job(data: bytes) -> None:
    """Read a row's text as a disk may have changed it: it is lost, or the engine can run it."""
    job = Job.from_json(data)
    if job is not None:
        frame = work_of(ROW, job)
        assert len(encode(frame)) <= FRAME_BYTES_MAX
        assert decode(encode(frame)[LENGTH.size :]) == frame


ROW = Row(
    serial=1,
    client="c",
    id="p",
    state=State.QUEUED,
    destination=Destination("edged/v1/dock/edge-1/res/c/p"),
    accepted_s=0.0,
    deadline_s=300.0,
    deadline_certain=True,
    priority=5,
    stream=False,
    receipt=False,
    replace=None,
    attempts=0,
    restarts=0,
)


@functools.cache
def constraints() -> Constraints:
    """Return what compiles schemas, for a vocabulary of bytes."""
    return Constraints(SimVocabulary().guidance, N_VOCAB, Lengths())


def check_schema(data: bytes) -> None:
    """Take bytes as a prompt's schema, in both forms: refused, or held to with known bounds."""
    text = data.decode("utf-8", "replace")
    for wire in WIRES:
        try:
            written = written_schema(Measure("1", Prompt(payload="x"), text, wire))
            found = constraints().constraint(written or "")
        except Refusal as refusal:
            if refusal.reason != "bad_schema":
                raise
            continue
        most = found.answer_tokens_max
        assert found.answer_tokens_min >= 1
        assert most is None or most >= found.answer_tokens_min
        json.loads(text)


def check_order(data: bytes) -> None:
    """Take bytes as a line on the admin socket."""
    try:
        read_ask(data)
    except AdminRefused as refused:
        if refused.reason != "malformed":
            raise


_FRAME = tuple(
    f'"{name}":'.encode()
    for name in ("kind", "id", "prompt", "schema", "sampling", "stop", "shares", "deltas")
)
_SCHEMA = tuple(
    f'"{name}":'.encode()
    for name in (
        *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "properties"),
        *("required", "additionalProperties", "patternProperties", "minProperties", "items"),
        *("prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    )
)

TARGETS = (
    Target("frame", check_frame, _FRAME, share=2.0),
    Target("stream", check_stream, _FRAME, share=1.0),
    Target("job", check_job, _FRAME, share=2.0),
    Target("schema", check_schema, _SCHEMA, share=0.3, long_s=SCHEMA_S_MAX),
    Target("order", check_order, (b'"command":', b'"for_s":', b'"budget_w":'), share=1.0),
)
