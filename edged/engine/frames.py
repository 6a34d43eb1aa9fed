"""What the daemon and the engine say to each other, and how it is put on the socket.

A frame is a 4-byte big-endian length and a JSON object whose `kind` names one of the classes below.
The first frame in both directions is `Hello`; `protocol` says which versions work together.

In:  bytes of the UNIX socket.     Out: one of these frozen dataclasses, and back.
Does not know: MQTT, rows, watts.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from edged.engine.protocol import Foreign, left_or_lost

OnCap = Literal["close", "error"]

FRAME_BYTES_MAX = 8 * 2**20
LENGTH = struct.Struct(">I")

# How the model writes an answer with a schema: the JSON itself, or its values (see compact).
Wire = Literal["json", "compact"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered: three pieces of a template, or `messages` for the model's own format.

    Attributes:
        root: constant text in front, shared by all requests of a template; special tokens parsed.
        payload: the device's own text; special tokens are never parsed in it.
        suffix: constant text behind the payload; special tokens are parsed.
        messages: the conversation; when not empty the three pieces are empty.
    """

    root: str = ""
    payload: str = ""
    suffix: str = ""
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. `temperature` 0 is greedy; an unset `seed` is drawn and reported."""

    temperature: FiniteFloat = 0.0
    top_p: FiniteFloat = 1.0
    top_k: int | None = None
    min_p: FiniteFloat = 0.0
    repeat_penalty: FiniteFloat = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of each side; `spawned`: a daemon started it, so a daemon ends it."""

    version: int
    pid: int
    spawned: bool = False
    kind: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class Measure:
    """Daemon to engine: how many tokens would this take? Answered beside the steps."""

    id: str
    prompt: Prompt
    schema: str | None = None
    wire: Wire = "json"
    kind: Literal["measure"] = "measure"


@dataclass(frozen=True, slots=True)
class Work:
    """Daemon to engine: answer this. Renews the lease.

    Attributes:
        id: the daemon's name for the row; opaque here.
        schema: JSON Schema as JSON text; None for free text.
        max_tokens: answer cap; None means the schema's maximum, else `answer_tokens_default`.
        stream: whether deltas are wanted.
        priority: 0..9, 9 is most urgent; decides who is prefilled first.
        wire: how the model writes the answer; deltas and `Outcome` are the JSON in both forms.
        on_cap: whether an answer that reaches its cap is closed by its schema, or fails.
    """

    id: str
    prompt: Prompt
    schema: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stream: bool = False
    priority: int = 5
    wire: Wire = "json"
    on_cap: OnCap = "close"
    kind: Literal["work"] = "work"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Daemon to engine: stop this one; an `Outcome` with finish `cancelled` follows."""

    id: str
    kind: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Limits:
    """Daemon to engine: what may be used from the next step on. Renews the lease.

    Attributes:
        context_tokens: prompt plus answer of one sequence, at most.
        sequences: how many may be in the batch.
        lease_s: no step starts once this has passed without another frame.
        chunk_tokens: prefill tokens of one step, at most; None: as configured.
        is_paced: whether each step is asked for with `Wish` and waits for its `Go`.
    """

    context_tokens: int
    sequences: int
    lease_s: FiniteFloat
    chunk_tokens: int | None = None
    is_paced: bool = False
    kind: Literal["limits"] = "limits"


@dataclass(frozen=True, slots=True)
class Go:
    """Daemon to engine: so many steps, none larger than this, may start. Renews the lease.

    It takes the place of an earlier one; a larger step is asked for again.
    """

    tokens: int
    sequences: int
    steps: int
    kind: Literal["go"] = "go"


@dataclass(frozen=True, slots=True)
class Loading:
    """Engine to daemon: the model is being loaded; `progress` is 0..1."""

    progress: FiniteFloat
    kind: Literal["loading"] = "loading"


@dataclass(frozen=True, slots=True)
class NpuReady:
    """The device that computes part of the model, proved while the model was loaded.

    Attributes:
        device: as its backend calls it.
        weights_share: part of the weights that it takes, 0..1, from the types in the file.
        matmuls: products of matrices that it had executed by then.
    """

    device: str
    weights_share: float
    matmuls: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Engine to daemon: the model is resident and the canary answered.

    Attributes:
        name, digest: of the model; digest is `sha256:` and 64 hex digits.
        backend: `llama`, `rkllm`, `rknn` or `sim`.
        context_tokens: the most one sequence can ever hold.
        sequences: the most that can be in the batch.
        load_s: seconds the load took.
        npu: what computes part of it under llama.cpp; None: the CPU computes all.
    """

    name: str
    digest: str
    backend: str
    context_tokens: int
    sequences: int
    load_s: FiniteFloat
    npu: NpuReady | None = None
    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Measured:
    """Engine to daemon: the answer to `Measure`; `reason` is set when it would be refused.

    Attributes:
        answer_tokens_max: of the schema, or the default of free text; None: as the context leaves.
    """

    id: str
    prompt_tokens: int = 0
    answer_tokens_min: int = 1
    answer_tokens_max: int | None = None
    reason: str | None = None
    detail: str = ""
    kind: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of one sequence; always whole UTF-8 characters."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldScore:
    """How sure the model was of one top-level field of its answer; no hit rate by itself.

    Attributes:
        log_p_sum, log_p_min: natural logarithms of the unmasked probabilities of the tokens chosen
            for its value: their sum, and the lowest; 0 where the schema left no choice.
        is_closed: whether the closing at the cap wrote on the value, or all of it.
    """

    name: str
    log_p_sum: FiniteFloat
    log_p_min: FiniteFloat
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one sequence ended.

    Attributes:
        finish: `stop` (end token or stop string), `schema` (the value is complete), `length`
            (the cap; an answer with a schema was closed at it), `cancelled`, or `failed` (then
            `reason` and `detail` say why).
        cached_tokens: prompt tokens that needed no prefill.
        forced_tokens: output tokens that the schema left no choice about, or that closed the
            answer at its cap; never sampled.
        filled: paths of the values that the closing wrote, such as `dock` or `lines[2].count`.
        ttft_s, total_s: from the arrival of `Work`; ttft_s is None before the first token.
        prefill_s, decode_s: as the compute runtime tells them; None where it tells none.
        confidence: lowest probability of a sampled token, unmasked, 0..1; None if none was sampled.
        fields: what `confidence` is of the whole, of each top-level key of an object.
        context_tokens, sequences: the limits it ran under.
    """

    id: str
    finish: Literal["stop", "schema", "length", "cancelled", "failed"]
    text: str = ""
    reason: str | None = None
    detail: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    forced_tokens: int = 0
    ttft_s: FiniteFloat | None = None
    total_s: FiniteFloat = 0.0
    prefill_s: FiniteFloat | None = None
    decode_s: FiniteFloat | None = None
    confidence: FiniteFloat | None = None
    fields: tuple[FieldScore, ...] = ()
    filled: tuple[str, ...] = ()
    seed: int | None = None
    context_tokens: int = 0
    sequences: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Engine to daemon: everything that one step changed, sent once after it.

    Attributes:
        step_s, cpu_s: wall and CPU seconds of the step; CPU of the whole engine process.
        prefill_tokens, decode_tokens: what entered the KV cache.
        shares: id -> share of this step's cost, by the measured weight of prefill and decode
            tokens; they sum to 1, or are empty when it served no request (a root, the canary).
        npu_matmuls: products of matrices that the NPU has executed since the load; None: no NPU.
    """

    step_s: FiniteFloat
    cpu_s: FiniteFloat
    prefill_tokens: int = 0
    decode_tokens: int = 0
    shares: dict[str, FiniteFloat] = field(default_factory=dict)
    deltas: tuple[Delta, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    npu_matmuls: int | None = None
    kind: Literal["step"] = "step"

    @property
    def only_decodes(self) -> bool:
        """Return whether it did nothing but give sequences their next token."""
        return bool(self.decode_tokens) and not self.prefill_tokens


@dataclass(frozen=True, slots=True)
class Held:
    """Engine to daemon, in answer to a frame: it lives, and may run nothing of what it has.

    Attributes:
        sequences: how many the limits in force keep out.
    """

    sequences: int
    kind: Literal["held"] = "held"


@dataclass(frozen=True, slots=True)
class Wish:
    """Engine to daemon, where steps are paced: the next step would have so many tokens.

    Sent once for each change; both 0: there is nothing to run, what was permitted is given back.

    Attributes:
        sequences: how many share the batch; as many as tokens where each gets its next one.
    """

    tokens: int
    sequences: int
    kind: Literal["wish"] = "wish"


@dataclass(frozen=True, slots=True)
class Broken:
    """Engine to daemon, last frame: the engine cannot serve and ends with exit 69."""

    detail: str
    kind: Literal["broken"] = "broken"


# JSON writes no number that is not finite: the other side would read a frame without it.
ToEngine = Hello | Measure | Work | Cancel | Limits | Go
FromEngine = Hello | Loading | Ready | Measured | Step | Held | Wish | Broken
Frame = ToEngine | FromEngine

_FRAMES: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])


def encode(frame: Frame) -> bytes:
    """Return the frame with its length in front."""
    kind: type = type(frame)
    body = _writer(kind).dump_json(frame)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {len(body)} bytes is over {FRAME_BYTES_MAX}")
    return LENGTH.pack(len(body)) + body


@functools.cache
def _writer(kind: type) -> TypeAdapter[Frame]:
    """Return what writes one kind of frame: it need not find out which one it has."""
    return TypeAdapter(kind)


def decode(body: bytes) -> Frame | Foreign:
    """Return the frame in `body` (without its length).

    Raises:
        EngineLost: the other side does not speak this protocol.
    """
    try:
        return _FRAMES.validate_json(body)
    except ValidationError as error:
        return left_or_lost(error)
