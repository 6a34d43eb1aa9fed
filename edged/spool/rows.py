"""A prompt in the spool: its row, and what asks for one.

State of a request = state of its row: queued -> running -> settled -> delivered -> purged.
Times are seconds of the spool's clock (`*_s`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edged.contract import Destination
from edged.engine.frames import OnCap, Prompt, Sampling, Wire, Work
from edged.topics import mended

# What `row_of` and `letter_of` make of a query's columns, in their order.
ROW_COLUMNS = (
    "serial, client, id, state, topic, correlation, accepted_s, deadline_s, "
    "deadline_certain, priority, stream, receipt, replace_key, attempts, restarts, "
    "iif(json_valid(job), json_extract(job, '$.prompt_tokens'), NULL), "
    "iif(json_valid(job), json_extract(job, '$.answer_tokens'), NULL)"
)
LETTER_COLUMNS = "serial, client, id, event, status, outcome, topic, correlation, settled_s"


class State(StrEnum):
    """Where a prompt is; a purged one has no row any more."""

    QUEUED = "queued"
    RUNNING = "running"
    SETTLED = "settled"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Job:
    """What the engine needs to answer a row, fixed when it is accepted.

    Attributes:
        schema: JSON Schema as text; None for free text.
        max_tokens: answer cap; None: the engine's bound.
        template: name and digest of the template, for the reply; None without one.
        trimmed_tokens: what `on_long` = `trim` took from the prompt.
        wire: how the model writes the answer; the template's, if its schema counts.
        on_cap: what becomes of an answer with a schema that reaches its cap.
        prompt_tokens, answer_tokens: of the prompt, and the most it may answer; None: not measured.
    """

    prompt: Prompt
    schema: str | None = None
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    template: tuple[str, str] | None = None
    trimmed_tokens: int = 0
    wire: Wire = "json"
    on_cap: OnCap = "close"
    prompt_tokens: int | None = None
    answer_tokens: int | None = None

    def counted(self, prompt_tokens: int, answer_tokens: int) -> Job:
        """Return the job with its tokens."""
        return Job(  # each prompt comes by here, and `replace` takes twice as long
            prompt=self.prompt,
            schema=self.schema,
            max_tokens=self.max_tokens,
            sampling=self.sampling,
            template=self.template,
            trimmed_tokens=self.trimmed_tokens,
            wire=self.wire,
            on_cap=self.on_cap,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
        )

    def to_json(self) -> str:
        """Return the text that the spool keeps until the outcome."""
        return _JOB.dump_json(self).decode()

    @staticmethod
    def from_json(text: bytes) -> Job | None:
        """Return the job that `to_json` wrote, by this version or an earlier one.

        None if a disk changed it: whatever comes back is one that the engine can be told.
        """
        try:
            return _JOB.validate_json(text)
        except ValidationError:
            return None


_JOB: TypeAdapter[Job] = TypeAdapter(Job)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt that admission would take.

    Attributes:
        board_given: the board gave the id, since the device gave none.
        fingerprint: same id and fingerprint are the same prompt.
        packet: under which id the broker sent it; 0 at QoS 0.
        duplicate: the broker sent it before (DUP), so a row with a board-given id may be this one.
    """

    client: str
    id: str
    board_given: bool
    fingerprint: str
    packet: int
    duplicate: bool
    job: Job
    destination: Destination
    ttl_s: float
    priority: int
    receipt: bool
    stream: bool
    replace: str | None

    @property
    def is_plain(self) -> bool:
        """Return whether nothing but its own id can stand in the way of this prompt."""
        return self.replace is None and not (self.board_given and self.duplicate)

    @property
    def kept_fingerprint(self) -> str:
        """Return it as the spool keeps it: with the packet id, where that tells equals apart."""
        return f"{self.fingerprint} {self.packet}" if self.board_given else self.fingerprint


@dataclass(frozen=True, slots=True)
class Row:
    """An unfinished prompt, without its text.

    Attributes:
        serial: arrival order; the row's name inside the board.
        attempts: engine deaths or hangs while it was in the batch.
        restarts: daemon restarts and power cuts while it was running.
        deadline_certain: false once time passed that no clock saw.
        prompt_tokens, answer_tokens: as in its job.
    """

    serial: int
    client: str
    id: str
    state: State
    destination: Destination
    accepted_s: float
    deadline_s: float
    deadline_certain: bool
    priority: int
    stream: bool
    receipt: bool
    replace: str | None
    attempts: int
    restarts: int
    prompt_tokens: int | None = None
    answer_tokens: int | None = None

    @property
    def attempt(self) -> int:
        """Return the number of the inference that runs or would run next, from 1."""
        return 1 + self.attempts + self.restarts


def queued_row(candidate: Candidate, serial: int, now_s: float) -> Row:
    """Return the row of a prompt that is accepted now."""
    return Row(
        serial=serial,
        client=candidate.client,
        id=candidate.id,
        state=State.QUEUED,
        destination=candidate.destination,
        accepted_s=now_s,
        deadline_s=now_s + candidate.ttl_s,
        deadline_certain=True,
        priority=candidate.priority,
        stream=candidate.stream,
        receipt=candidate.receipt,
        replace=candidate.replace,
        attempts=0,
        restarts=0,
        prompt_tokens=candidate.job.prompt_tokens,
        answer_tokens=candidate.job.answer_tokens,
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """The one outcome of a row: event, status and the reply's bytes."""

    event: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A stored outcome and where it goes."""

    serial: int
    client: str
    id: str
    settlement: Settlement
    destination: Destination
    settled_s: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """Verdict: a new row; `superseded` are the rows it took the place of."""

    row: Row
    superseded: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """Verdict: the same prompt is here already and has no outcome yet."""

    row: Row


@dataclass(frozen=True, slots=True)
class Answered:
    """Verdict: the same prompt has its outcome, which goes to the new copy's destination."""

    id: str
    letter: Letter


@dataclass(frozen=True, slots=True)
class Conflict:
    """Verdict: the id belongs to another prompt."""

    id: str


@dataclass(frozen=True, slots=True)
class Full:
    """Verdict: no room; `reason` is `queue_full` or `spool_full`."""

    reason: str
    detail: str


Verdict = Fresh | Known | Answered | Conflict | Full


def work_of(row: Row, job: Job) -> Work:
    """Return what the engine is told of a row that starts."""
    return Work(
        id=str(row.serial),
        prompt=job.prompt,
        schema=job.schema,
        sampling=job.sampling,
        max_tokens=job.max_tokens,
        stream=row.stream,
        priority=row.priority,
        wire=job.wire,
        on_cap=job.on_cap,
    )


def row_of(columns: tuple[Any, ...]) -> Row:
    """Return a row from its columns, `ROW_COLUMNS`."""
    serial, client, id, state, topic, correlation, *rest = columns
    accepted_s, deadline_s, certain, priority, stream, receipt, replace_key, *counts = rest
    tries, starts, prompt_tokens, answer_tokens = counts
    return Row(
        serial=serial,
        client=client,
        id=id,
        state=State(state),
        destination=Destination(mended(topic), correlation),
        accepted_s=accepted_s,
        deadline_s=deadline_s,
        deadline_certain=bool(certain),
        priority=priority,
        stream=bool(stream),
        receipt=bool(receipt),
        replace=replace_key,
        attempts=tries,
        restarts=starts,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
    )


def letter_of(columns: tuple[Any, ...]) -> Letter:
    """Return a letter from its columns, `LETTER_COLUMNS`."""
    serial, client, id, event, status, outcome, topic, correlation, settled_s = columns
    return Letter(
        serial=serial,
        client=client,
        id=id,
        settlement=Settlement(event, status, bytes(outcome)),
        destination=Destination(mended(topic), correlation),
        settled_s=settled_s,
    )
