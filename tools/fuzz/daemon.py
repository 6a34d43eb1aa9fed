"""Whole prompts through a real mosquitto to a real daemon: each must be answered.

In:  how many, from which random number.     Out: what was heard, counted; whether a rule broke.
Each prompt carries its number as Correlation Data. The rules: every prompt gets a refusal or an
outcome, the board publishes to its own topics and to its client's only, and daemon and engine are
the processes that they were before.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.bench.delivery.board import Board, Tables
from edged.bench.delivery.device import OUTCOMES, Device, Heard, Prompt
from edged.errors import EngineUnusable
from edged.topics import matches
from tools.broker import free_port, start_mosquitto
from tools.broker_programs import provide
from tools.fuzz import prompts
from tools.fuzz.mutate import mutated

CLIENT = "fuzz"
AT_ONCE = 200
# Of each prompt, by its Message Expiry: an answer that takes longer is `expired`.
TTL_S = 5
TABLES: Tables = {
    "engine": {"backend": "sim", "answer_tokens_default": 4},
    "model": {"context_tokens": 128, "sequences": 64},
}
FINAL = (*OUTCOMES, "refused")


def fuzzed(count: int, seed: int) -> bool:
    """Send so many prompts; return whether a rule was broken."""
    random, events, problems = Random(f"daemon {seed}"), Counter[str](), []
    began_s = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="edged-") as folder,
        _broker(Path(folder) / "broker") as port,
        Board(Path(folder) / "fuzzed", port, TABLES) as board,
        Device(port, CLIENT) as device,
    ):
        board.wait_until_ready()
        before = board.pids
        device.listen("#")
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(count, first + AT_ONCE))
            problems += _group(board, device, numbers, random, events)
        if board.pids != before:
            problems.append(f"the processes were {before} and are {board.pids}")
    told = ", ".join(f"{event} {number}" for event, number in sorted(events.items()))
    took_s = time.perf_counter() - began_s
    print(f"daemon: {count} prompts, {len(problems)} findings, {took_s:.0f} s; {told}", flush=True)
    for problem in problems[:20]:
        print(f"  {problem}")
    return bool(problems)


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """Run a mosquitto that drops nothing until the block ends; its port."""
    broker = start_mosquitto(provide(), folder, free_port(), ["max_queued_messages 0"])
    try:
        yield broker.port
    finally:
        broker.stop()


def _group(
    board: Board, device: Device, numbers: range, random: Random, events: Counter[str]
) -> list[str]:
    """Send prompts and wait for all their replies; return what was wrong."""
    asked = {str(number).encode(): _prompt(board, number, random) for number in numbers}
    device.publish(asked.values())
    waiting, problems = set(asked), list[str]()
    while waiting:
        try:
            heard = device.next(lambda heard: "/req/" not in heard.topic)
        except EngineUnusable:
            lost = [(asked[name].topic, asked[name].payload[:200]) for name in sorted(waiting)]
            return [*problems, *(f"no reply: {topic} {payload!r}" for topic, payload in lost)]
        if not _is_allowed(board, heard):
            problems.append(f"the board published to {heard.topic!r}")
        elif heard.correlation is not None and heard.reply["event"] in FINAL:
            events[heard.reply["event"]] += 1
            waiting.discard(heard.correlation)
    return problems


def _is_allowed(board: Board, heard: Heard) -> bool:
    own = ("availability", "state", "template/+")
    filters = [*(f"{board.topic}/{name}" for name in own), f"edged/v1/dock/+/res/{CLIENT}/#"]
    return any(matches(one, heard.topic) for one in filters)


def _prompt(board: Board, number: int, random: Random) -> Prompt:
    """Return a prompt made of a seed of payloads, and the properties of a seed of messages."""
    payloads, messages = (prompts.TARGETS[place] for place in (0, 1))
    said = prompts.as_inbound(mutated(messages.seeds(), messages.pieces, random))
    table = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho annotates none
    table.CorrelationData = str(number).encode()
    table.MessageExpiryInterval = TTL_S
    if said.response_topic is not None:
        topics = (_plain(said.response_topic), f"edged/v1/dock/other/res/{CLIENT}/x")
        table.ResponseTopic = random.choice(topics)
    if said.content_type is not None:
        table.ContentType = _plain(said.content_type)
    table.UserProperty = [(_plain(name), _plain(text)) for name, text in said.user_properties[:60]]
    front = f"{board.topic}/req/{CLIENT}"
    topic = front if random.random() < 0.2 else f"{front}/f-{number}"
    payload = mutated(payloads.seeds(), payloads.pieces, random)
    return Prompt(topic, payload, table, retain=random.random() < 0.02)


def _plain(text: str) -> str:
    """Return what of a text a broker lets through: no control characters, no wildcards."""
    return "".join(_printable(text))[:1000] or "x"


def _printable(text: str) -> Iterator[str]:
    return (one for one in text if one.isprintable() and one not in "+#\ufffd")
