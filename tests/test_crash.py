"""Daemon and engine are killed at random moments; an outside client keeps the books.

Goal: every prompt that the board called `accepted` ends in exactly one outcome. Method: 50 rounds
of 20 prompts and one SIGKILL, with the shipped model; the client's own log is the only evidence.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixture import BOARD, OUTCOMES, Asker, Daemon, wait_until

ROUNDS = 50
PROMPTS = 20
MESSAGES = (
    "forklift hit pallet {n} at dock 6, 12 cartons crushed",
    "TRAILER GONE FROM BAY 3, PALLET {n} STAYED",
    "temp alarm {n} dock 2 reads 11 C",
)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.model
def test_every_accepted_prompt_has_one_outcome_after_fifty_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    kills: dict[str, int] = defaultdict(int)
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Daemon(tmp_path / "edged", broker, backend="llama") as daemon,
        Asker(broker, "observer") as observer,
    ):
        daemon.wait_for_log("connected to the broker")
        observer.listen()
        for number in range(ROUNDS):
            kills[run_round(number, daemon, observer, chance)] += 1
        wait_until(lambda: is_complete(observer), "an outcome for every prompt")
        assert daemon.stop() == 0
    books = outcomes(observer)
    with capsys.disabled():
        bodies = sum(len(found) for found in books.values())
        print(f"\nseed {seed}: {dict(kills)} kills, {len(accepted(observer))} prompts accepted,")
        print(f"{len(books)} with an outcome, {bodies} distinct bodies; heard {observer.count()}")
    assert {id: len(found) for id, found in books.items() if len(found) != 1} == {}
    assert accepted(observer) <= set(books)


def run_round(number: int, daemon: Daemon, observer: Asker, chance: random.Random) -> str:
    """Publish a burst, let a random part of it happen, kill one process; return which."""
    for place in range(PROMPTS):
        text = chance.choice(MESSAGES).format(n=40_000 + chance.randrange(9_999))
        body = {"template": "dock-event", "input": text, "receipt": True}
        observer.send(f"{BOARD}/req/observer/{number}-{place}", body)
    heard = len(observer.replies)
    so_many = heard + chance.randrange(2 * PROMPTS)
    wait_until(lambda: has_heard(observer, so_many) or not unanswered(observer), "some replies")
    if chance.random() < 0.5 and daemon.kill_engine():
        return "engine"
    daemon.kill()
    daemon.start()
    return "daemon"


def has_heard(observer: Asker, replies: int) -> bool:
    """Return whether so many replies have been heard."""
    observer.drain()
    return len(observer.replies) >= replies


def accepted(observer: Asker) -> set[str]:
    """Return the ids that the board called accepted."""
    return {reply["id"] for _, reply, _ in observer.replies if reply["event"] == "accepted"}


def outcomes(observer: Asker) -> dict[str, set[bytes]]:
    """Return the distinct outcome bodies of each id."""
    books: dict[str, set[bytes]] = defaultdict(set)
    for _, reply, message in observer.replies:
        if reply["event"] in OUTCOMES:
            books[reply["id"]].add(bytes(message.payload))
    return books


def unanswered(observer: Asker) -> set[str]:
    """Return the accepted ids without an outcome."""
    observer.drain()
    return accepted(observer) - set(outcomes(observer))


def is_complete(observer: Asker) -> bool:
    """Return whether every prompt published has an outcome: the broker's session lost none."""
    observer.drain()
    return len(outcomes(observer)) == ROUNDS * PROMPTS
