"""The wire contract as types: what comes in, what a request may say, what a reply says.

In:  `Inbound` from mqtt.     Out: `Request` to admission (read by requests.py); reply bodies.
Pure. Does not know: rows, tokens, whether a template exists. The prose is docs/contract.md, and a
test keeps the two in step.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

CORRELATION_BYTES_MAX = 256
RESPONSE_TOPIC_BYTES_MAX = 256
USER_PROPERTIES_MAX = 64
# Source: MQTT 5, 3.3.2.3.3: four bytes.
EXPIRY_S_MAX = 2**32 - 1
PRIORITY_DEFAULT = 5
# llama.cpp counts tokens in int32_t.
INT32_MAX = 2**31 - 1

# event -> (status, whether it ends the id). `refused` and `error` take their reason's status.
EVENTS: dict[str, tuple[int | None, bool]] = {
    "accepted": (202, False),
    "chunk": (206, False),
    "refused": (None, False),
    "done": (200, True),
    "error": (None, True),
    "expired": (408, True),
    "cancelled": (499, True),
    "superseded": (410, True),
}

# The closed list of reasons and the status each one has.
REASONS: dict[str, int] = {
    "malformed": 400,
    "unknown_key": 400,
    "bad_id": 400,
    "bad_schema": 400,
    "retained": 400,
    "response_topic": 403,
    "unknown_template": 404,
    "unknown_id": 404,
    "id_conflict": 409,
    "too_large": 413,
    "too_long": 413,
    "not_utf8": 415,
    "quota": 429,
    "queue_full": 503,
    "over_budget": 503,
    "draining": 503,
    "engine_down": 503,
    "spool_full": 507,
    "engine_failed": 500,
    "invalid_answer": 500,
    "cap": 500,
}


@dataclass(frozen=True, slots=True)
class Inbound:
    """One PUBLISH as it came, with what MQTT 5 adds.

    Attributes:
        duplicate: the broker sent it before (DUP), under the same packet id.
        packet: its packet id, the same until it is acknowledged; 0 at QoS 0.
        expiry_s: Message Expiry Interval that is left, s; None when the device gave none.
    """

    topic: str
    payload: bytes
    retained: bool = False
    duplicate: bool = False
    packet: int = 0
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


class Turn(BaseModel):
    """One message of `messages`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    role: Literal["user", "assistant", "system"]
    content: str


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1)]


class Request(BaseModel):
    """A prompt as the device asked for it; keys, types, ranges and defaults of the contract."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Id | None = None
    prompt: Text | None = None
    messages: Annotated[list[Turn], Field(min_length=1)] | None = None
    template: Id | None = None
    input: Text | dict[str, Any] | None = None
    answer_schema: dict[str, Any] | None = Field(None, alias="schema")
    max_tokens: int | None = Field(None, ge=1, le=INT32_MAX)
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int | None = Field(None, ge=1, le=INT32_MAX)
    min_p: float = Field(0.0, ge=0, le=1)
    repeat_penalty: float = Field(1.0, gt=0, le=10)
    seed: int | None = Field(None, ge=0, lt=2**32)
    stop: tuple[Text, ...] = Field((), max_length=16)
    receipt: bool = False
    stream: bool = False
    priority: int = Field(PRIORITY_DEFAULT, ge=0, le=9)
    ttl_s: float | None = Field(None, gt=0)
    on_long: Literal["wait", "trim", "refuse"] = "wait"
    replace: Id | None = None


class Usage(BaseModel):
    """Tokens of one answer."""

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    forced_tokens: int


class Timing(BaseModel):
    """Seconds of one answer, from the acceptance."""

    queued_s: float
    ttft_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    estimated_s: float | None = None
    total_s: float


class Energy(BaseModel):
    """Joules above idle; `settled` is false while a part is forecast."""

    j: float
    source: str
    settled: bool


class Granted(BaseModel):
    """The limits an answer ran under; `throttled` is false or the reason."""

    context_tokens: int
    sequences: int
    throttled: Literal[False] | str = False
    trimmed_tokens: int = 0


class Named(BaseModel):
    """Something with a name and a digest: the model, a template."""

    name: str
    digest: str


class Reply(BaseModel):
    """One message to a device; keys that do not apply are left out."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    event: str
    status: int
    reason: str | None = None
    detail: str | None = None
    retry_after_s: float | None = None
    queue_position: int | None = None
    estimated_s: float | None = None
    deadline_certain: bool | None = None
    node: str
    attempt: int | None = None
    seq: int | None = None
    text: str | None = None
    answer: Any = Field(None, alias="json")
    finish: str | None = None
    filled: list[str] | None = None
    confidence: float | None = None
    confidence_fields: dict[str, float] | None = None
    calibrated: bool | None = None
    seed: int | None = None
    usage: Usage | None = None
    timing: Timing | None = None
    energy: Energy | None = None
    limits: Granted | None = None
    model: Named | None = None
    template: Named | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a device wants its replies, and what it wants back with them."""

    topic: str
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """One PUBLISH to be sent.

    Attributes:
        expiry_s: Message Expiry Interval, s; MQTT 5 only.
        user_properties: MQTT 5 only.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None
    expiry_s: int | None = None
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = field(default=())


def status_of(event: str, reason: str | None) -> int:
    """Return the status of an event; `refused` and `error` have their reason's."""
    status, _ = EVENTS[event]
    return status if status is not None else REASONS[reason or ""]


def parse(text: str) -> Any:
    """Return the value of JSON text, if it can be written again as JSON.

    Raises:
        ValueError: not JSON; a key twice, half of a surrogate pair, a number over the range of a
            double, or nested too deep.
    """
    try:
        value = _READER.decode(text)
        if "\\u" in text:  # only so can half of a pair be written
            _WRITER.encode(value).encode()
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair") from error
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is over the range of a double")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("an object names a key twice")
    return table


# json.loads and json.dumps would make these anew for each text.
_READER = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
)
_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def encode(reply: Reply) -> bytes:
    """Return the reply's JSON, compact, keys in the contract's order."""
    table = reply.model_dump(by_alias=True, exclude_none=True, exclude={"answer"})
    if "answer" in reply.model_fields_set:  # null is an answer too
        table["json"] = reply.answer
    ordered = {key: table[key] for key in _KEYS if key in table}
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()


_KEYS = [item.alias or name for name, item in Reply.model_fields.items()]


def to_publish(body: bytes, event: str, status: int, to: Destination, expiry_s: float) -> Outbound:
    """Return the PUBLISH that carries `body` to a device.

    Args:
        body: an encoded reply.
        event: repeated as a user property, so that a device need not parse JSON.
        status: likewise.
        to: the device's destination.
        expiry_s: after so many seconds the broker may drop it; brought into MQTT's range, from 1.
    """
    return Outbound(
        topic=to.topic,
        payload=body,
        qos=0 if event == "chunk" else 1,
        correlation=to.correlation,
        expiry_s=int(min(max(1.0, expiry_s), EXPIRY_S_MAX)),
        content_type="application/json",
        user_properties=(("edged-event", event), ("edged-status", str(status))),
    )
