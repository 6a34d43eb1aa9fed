"""`edged ask`: one prompt through the broker, as a device sends it.

In:  a text.     Out: the answer on stdout, progress and cost on stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from dataclasses import dataclass
from typing import Any

from edged.config import Broker, Config
from edged.contract import EVENTS, Outbound
from edged.errors import BrokerGone, EdgedError
from edged.mqtt import Session, Will
from edged.topics import Topics

CONNECT_S_MAX = 2.0
# The shortest session the broker's configuration allows: nobody comes back for this one.
SESSION_EXPIRY_S = 60
# The answer may be on its way when the deadline passes; `expired` is told too.
GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask: `text`, for a template or as a plain prompt."""

    text: str
    template: str | None
    client: str
    ttl_s: float


def ask(config: Config, question: Question, *, as_json: bool) -> int:
    """Ask and print; return 0 for `done`, 1 for any other outcome.

    Raises:
        EdgedError: no broker, or no outcome in time.
    """
    return asyncio.run(_ask(config, question, as_json=as_json))


async def _ask(config: Config, question: Question, *, as_json: bool) -> int:
    topics = Topics(config.node.site, config.node.name)
    id = f"ask-{secrets.token_hex(6)}"
    reply_topic = topics.response(question.client, id)
    session = _session(config.broker, reply_topic)
    life = asyncio.ensure_future(session.run())
    try:
        await _connected(session, config.broker)
        await session.publish(
            Outbound(f"{topics.board}/req/{question.client}/{id}", _body(question))
        )
        async with asyncio.timeout(question.ttl_s + GRACE_S):
            outcome = await _outcome(session, quiet=as_json)
    except TimeoutError as error:
        raise EdgedError(
            f"no outcome within {question.ttl_s + GRACE_S:g} s; is edged running on this broker as "
            f"{topics.board}? Its state is retained on {topics.state}"
        ) from error
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    print(json.dumps(outcome, ensure_ascii=False) if as_json else _answer(outcome))
    if not as_json:
        print(_cost(outcome), file=sys.stderr)
    return 0 if outcome["event"] == "done" else 1


def _session(broker: Broker, reply_topic: str) -> Session:
    brief = broker.model_copy(update={"session_expiry_s": SESSION_EXPIRY_S})
    name = f"edged-ask-{os.getpid()}-{secrets.token_hex(3)}"
    # A will must be given; nobody listens to this one.
    will = Will(f"{reply_topic}/gone", b"")
    return Session(brief, client_id=name, filters=(reply_topic,), will=will)


async def _connected(session: Session, broker: Broker) -> None:
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            await session.connected()
    except TimeoutError as error:
        silence = f"no answer from the broker at {broker.where}"
        raise BrokerGone(session.state.problem or silence) from error


def _body(question: Question) -> bytes:
    table: dict[str, Any] = {"stream": True, "ttl_s": question.ttl_s}
    if question.template is None:
        table["prompt"] = question.text
    else:
        table |= {"template": question.template, "input": _input(question.text)}
    return json.dumps(table).encode()


def _input(text: str) -> str | dict[str, Any]:
    """Return the variables if the text is a JSON object, else the text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, dict) else text


async def _outcome(session: Session, *, quiet: bool) -> dict[str, Any]:
    """Show what comes until the outcome, or the refusal, is there."""
    while True:
        group = await session.deliveries()
        session.acknowledge(group)
        for delivery in group:
            reply: dict[str, Any] = json.loads(delivery.inbound.payload)
            event = reply["event"]
            if event == "refused" or EVENTS[event][1]:
                return reply
            if not quiet:
                _show(reply)


def _show(reply: dict[str, Any]) -> None:
    if reply["event"] == "chunk":
        print(reply["text"], end="", flush=True, file=sys.stderr)
        return
    waits = reply.get("estimated_s")
    estimate = "" if waits is None else f", about {waits:.1f} s"
    print(f"accepted, {reply['queue_position']} before it{estimate}", file=sys.stderr)


def _answer(outcome: dict[str, Any]) -> str:
    if outcome["event"] != "done":
        reason = outcome.get("reason", "")
        return f"{outcome['event']} {outcome['status']} {reason}: {outcome.get('detail', '')}"
    if "json" in outcome:
        return json.dumps(outcome["json"], ensure_ascii=False)
    return str(outcome["text"])


def _cost(outcome: dict[str, Any]) -> str:
    """Return tokens, seconds and joules in one line."""
    parts = []
    if usage := outcome.get("usage"):
        parts.append(
            f"{usage['prompt_tokens']} prompt tokens ({usage['cached_tokens']} cached), "
            f"{usage['output_tokens']} answer tokens ({usage['forced_tokens']} forced)"
        )
    if timing := outcome.get("timing"):
        parts.append(f"{timing['total_s']:.2f} s ({timing['queued_s']:.2f} s queued)")
    if energy := outcome.get("energy"):
        parts.append(f"{energy['j']:.2f} J above idle ({energy['source']})")
    return "\n" + "; ".join(parts)
