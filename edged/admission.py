"""Takes a prompt or refuses it: pure decisions over one message.

In:  `Inbound` from mqtt, what the engine measured.     Out: a `Candidate` for the spool, a cancel,
or a `Refusal` with a reason from the closed list.
Does not know: connections, rows, clocks.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace

from edged import config
from edged.contract import (
    CORRELATION_BYTES_MAX,
    RESPONSE_TOPIC_BYTES_MAX,
    Destination,
    Inbound,
    Request,
)
from edged.engine.frames import Measured, Message, OnCap, Prompt, Sampling, Wire
from edged.errors import Refusal
from edged.power.grant import Granted
from edged.requests import fingerprint, given_id, read_request, readable_id
from edged.site import Site
from edged.spool.rows import Candidate, Job
from edged.templates import Template
from edged.topics import LEVELS_MAX, Address, is_id, is_publishable, matches

# What most prompts are sampled with, and the keys of one that says otherwise.
GREEDY = Sampling()
_SAMPLED = frozenset(field.name for field in fields(Sampling))


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message, and where a reply to it goes; `id` None: not read yet, or unreadable."""

    client: str
    id: str | None
    destination: Destination
    is_on_default_topic: bool


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A cancel: the prompt that is to stop, and where a refusal of it goes."""

    client: str
    id: str
    destination: Destination


@dataclass(frozen=True, slots=True)
class Submission:
    """A prompt that is well formed; the engine has not measured it yet."""

    sender: Sender
    board_given: bool
    request: Request
    job: Job
    fingerprint: str
    packet: int
    duplicate: bool
    ttl_s: float
    priority: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that gets `refused`.

    Attributes:
        sender: None: nobody can be told.
        prompt: where the board refuses a well-formed prompt for what it is now, that prompt: a
            copy of a known one is answered all the same. None: there is none to be looked for.
    """

    sender: Sender | None
    refusal: Refusal
    prompt: Candidate | None = None


# What a message on one of the board's topics is; None: it came on none of them.
Heard = Submission | CancelOrder | Refused | None


def read(inbound: Inbound, site: Site, fresh_id: str) -> Heard:
    """Return what a message asks for; None when its topic is none of ours.

    Args:
        inbound: the message.
        site: what this board offers.
        fresh_id: the id of a prompt whose device gave none.
    """
    mapped = site.inputs.match(inbound.topic)
    address = mapped or site.topics.address(inbound.topic)
    if address is None:
        return None
    if not is_id(address.client):
        return Refused(None, Refusal("bad_id", "the client's level is no id"))
    sender = _sender(inbound, address, site)
    try:
        sender = _redirected(inbound, sender, site)
        if address.kind == "cancel":
            return _cancel(inbound, sender, address)
        if mapped is not None:
            request = mapped.request(inbound, site.requests.prompt_bytes_max)
        else:
            rights = site.client(address.client)
            request = read_request(inbound, site.requests.prompt_bytes_max, rights.default_template)
        id = given_id(address.client, address.id, request.id, inbound)
        sender = _named(sender, id or fresh_id, site)
        return _submission(inbound, sender, request, site, id is None)
    except Refusal as refusal:
        return Refused(_known(sender, address, inbound, site), refusal)


def admit(submission: Submission, measured: Measured | None, context_tokens: int) -> Candidate:
    """Return the candidate of a submission that the engine can serve.

    Args:
        submission: a well-formed prompt.
        measured: what the engine's intake said; None when it did not say in time: then the engine
            decides when it runs.
        context_tokens: the most one sequence can ever hold.

    Raises:
        Refusal: `bad_schema`, `too_long`, or `malformed` for a `max_tokens` out of range.
    """
    job = submission.job
    if job.max_tokens is not None and job.max_tokens > context_tokens:
        limit = f"limit context_tokens = {context_tokens}"
        raise Refusal("malformed", f"max_tokens = {job.max_tokens}: {limit}")
    if measured is not None:
        _check_measured(job, measured, context_tokens)
        job = _counted(job, measured, context_tokens)
    return candidate_of(submission, job)


def candidate_of(submission: Submission, job: Job) -> Candidate:
    """Return a submission as the spool would take it, with what the engine is to do."""
    request, sender = submission.request, submission.sender
    assert sender.id is not None, "every submission is named"
    return Candidate(
        client=sender.client,
        id=sender.id,
        board_given=submission.board_given,
        fingerprint=submission.fingerprint,
        packet=submission.packet,
        duplicate=submission.duplicate,
        job=job,
        destination=sender.destination,
        ttl_s=submission.ttl_s,
        priority=submission.priority,
        receipt=request.receipt,
        stream=request.stream,
        replace=request.replace,
    )


def check_grant(job: Job, granted: Granted | None, on_long: str) -> None:
    """Let a prompt pass that can be answered in time, or that waits until it can.

    Raises:
        Refusal: `too_long` for now, with what it would take, where it is not to wait.
    """
    if granted is None or on_long == "wait" or granted.context_tokens:
        return
    raise Refusal(
        "too_long",
        f"{job.prompt_tokens} prompt tokens and {job.answer_tokens} for the answer: "
        f"{granted.throttled}",
        None if granted.retry_after_s is None else math.ceil(granted.retry_after_s),
    )


def _counted(job: Job, measured: Measured, context_tokens: int) -> Job:
    """Return the job with its tokens: the power budget wants to know them before it runs."""
    room = context_tokens - measured.prompt_tokens
    most = job.max_tokens or measured.answer_tokens_max or room
    return job.counted(measured.prompt_tokens, min(most, room))


def _check_measured(job: Job, measured: Measured, context_tokens: int) -> None:
    if measured.reason is not None:
        raise Refusal(measured.reason, measured.detail)
    if job.max_tokens is not None and job.max_tokens < measured.answer_tokens_min:
        raise Refusal(
            "malformed",
            f"max_tokens = {job.max_tokens}: the schema needs at least "
            f"{measured.answer_tokens_min} tokens",
        )
    needed = measured.prompt_tokens + (job.max_tokens or measured.answer_tokens_min)
    if needed > context_tokens:
        raise Refusal(
            "too_long",
            f"{measured.prompt_tokens} prompt tokens and {needed - measured.prompt_tokens} for "
            f"the answer, limit context_tokens = {context_tokens}",
        )


def _sender(inbound: Inbound, address: Address, site: Site) -> Sender:
    """Return who is refused if nothing further can be read: replies go to the default topic."""
    id = address.id if address.id is not None and is_id(address.id) else None
    correlation = inbound.correlation
    if correlation is not None and len(correlation) > CORRELATION_BYTES_MAX:
        correlation = None  # refused for its size, so not echoed
    topic = address.reply_topic or site.topics.response(address.client, id)
    own = address.reply_topic is None
    return Sender(address.client, id, Destination(topic, correlation), own)


def _redirected(inbound: Inbound, sender: Sender, site: Site) -> Sender:
    """Return the sender with the Response Topic it asked for."""
    wanted = inbound.response_topic
    if wanted is None:
        return sender
    allowed = (
        site.topics.response_filter(sender.client),
        *site.client(sender.client).response_topics,
    )
    is_short = len(wanted.encode()) <= RESPONSE_TOPIC_BYTES_MAX
    is_allowed = any(matches(item, wanted) for item in allowed)
    if not (is_short and is_allowed and is_publishable(wanted)):
        raise Refusal(
            "response_topic",
            f"Response Topic {wanted[:80]!r}: must lie under {' or '.join(allowed)}, without "
            f"wildcard or leading $, in at most {RESPONSE_TOPIC_BYTES_MAX} bytes and {LEVELS_MAX} "
            "levels",
        )
    to = replace(sender.destination, topic=wanted)
    return replace(sender, destination=to, is_on_default_topic=False)


def _named(sender: Sender, id: str, site: Site) -> Sender:
    """Return the sender with its id; the default reply topic follows the id."""
    if id == sender.id:
        return sender
    to = sender.destination
    if sender.is_on_default_topic:
        to = replace(to, topic=site.topics.response(sender.client, id))
    return replace(sender, id=id, destination=to)


def _known(sender: Sender, address: Address, inbound: Inbound, site: Site) -> Sender:
    """Return the sender of a refused message, under the id it names, if one can be read."""
    id = readable_id(inbound) if sender.id is None and address.id is None else None
    return sender if id is None else _named(sender, id, site)


def _cancel(inbound: Inbound, sender: Sender, address: Address) -> CancelOrder:
    if inbound.retained:
        raise Refusal("retained", "a retained cancel is refused: publish it with retain off")
    if sender.id is None:
        raise Refusal("bad_id", f"cancel of {str(address.id)[:80]!r}: no id")
    return CancelOrder(sender.client, sender.id, sender.destination)


def _submission(
    inbound: Inbound, sender: Sender, request: Request, site: Site, board_given: bool
) -> Submission | Refused:
    rights = site.client(sender.client)
    ttl_s = _ttl_s(request, inbound, site.requests)
    refusal: Refusal | None = None
    try:
        job = _job(request, site, rights)
    except Refusal as found:  # perhaps by a template that is not in force any more
        job, refusal = Job(Prompt()), found
    submission = Submission(
        sender=sender,
        board_given=board_given,
        request=request,
        job=job,
        fingerprint=fingerprint(inbound),
        packet=inbound.packet,
        duplicate=inbound.duplicate,
        ttl_s=ttl_s,
        priority=min(request.priority, rights.priority_max),
    )
    if refusal is not None:
        return Refused(sender, refusal, candidate_of(submission, job))
    return submission


def _job(request: Request, site: Site, rights: config.Client) -> Job:
    template = _template(request, site)
    schema = None if template is None else template.schema
    wire: Wire = "json" if template is None else template.wire
    on_cap: OnCap = "close" if template is None else template.on_cap
    if request.answer_schema is not None:
        on_cap = "close"
        schema = json.dumps(request.answer_schema, ensure_ascii=False, separators=(",", ":"))
        wire = "json"  # the compact form was chosen for the template's own schema
    if schema is not None and request.stop:
        raise Refusal("malformed", "stop cannot be combined with the template's schema")
    return Job(
        prompt=_prompt(request, template, site, rights),
        schema=schema,
        max_tokens=request.max_tokens or (template.max_tokens if template else None),
        sampling=_sampling(request),
        template=None if template is None else (template.name, template.digest),
        wire=wire,
        on_cap=on_cap,
    )


def _template(request: Request, site: Site) -> Template | None:
    if request.template is None:
        return None
    template = site.templates.get(request.template)
    if template is None:
        names = ", ".join(site.templates) or "none"
        raise Refusal("unknown_template", f"template {request.template!r}; installed: {names}")
    return template


def _prompt(
    request: Request, template: Template | None, site: Site, rights: config.Client
) -> Prompt:
    if template is not None and request.input is not None:
        return template.prompt(request.input)
    if request.prompt is not None:
        return Prompt(messages=(Message("user", request.prompt),))
    turns = tuple(Message(turn.role, turn.content) for turn in request.messages or ())
    if any(turn.role == "system" for turn in turns) and not (
        rights.system_role or site.requests.system_role
    ):
        raise Refusal("malformed", "messages: role system is not allowed for this client")
    return Prompt(messages=turns)


def _sampling(request: Request) -> Sampling:
    if _SAMPLED.isdisjoint(request.model_fields_set):
        return GREEDY
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        repeat_penalty=request.repeat_penalty,
        seed=request.seed,
        stop=request.stop,
    )


def _ttl_s(request: Request, inbound: Inbound, limits: config.Requests) -> float:
    """Return the seconds until the deadline: ttl_s, or the smaller one with Message Expiry."""
    if request.ttl_s is not None and request.ttl_s > limits.ttl_s_max:
        limit = f"limit requests.ttl_s_max = {limits.ttl_s_max:g}"
        raise Refusal("malformed", f"ttl_s = {request.ttl_s:g}: {limit}")
    ttl_s = request.ttl_s or min(limits.ttl_s_default, limits.ttl_s_max)
    if inbound.expiry_s is None:
        return ttl_s
    given_s = min(float(inbound.expiry_s), limits.ttl_s_max)
    return given_s if request.ttl_s is None else min(ttl_s, given_s)
