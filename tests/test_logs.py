"""What the journal tells of a real daemon: the fields of its records, at a socket like journald's.

Goal: `journalctl EDGED_REQUEST_ID=...` tells a prompt's life, and nothing tells its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.journal import Event
from tests.broker import Mosquitto
from tests.daemon_fixtures import Asker, Daemon, long_answer, wait_until
from tests.journal_socket import Fields, JournalReader
from tests.journald import Journald, needs_journald

pytestmark = pytest.mark.broker

SECRET = "Zwiebelkuchen"
SHIPPED = {"template": "dock-event", "input": "truck at door 4"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalReader]:
    with JournalReader(tmp_path / "socket") as reader:
        yield reader


@pytest.fixture
def daemon(broker: Mosquitto, journal: JournalReader, tmp_path: Path) -> Iterator[Daemon]:
    model = {"model": {"context_tokens": 8192, "sequences": 1}}
    with Daemon(tmp_path / "edged", broker, sections=model, journal=journal.path) as running:
        journal.until(MESSAGE_ID=Event.BROKER_CONNECTED)
        yield running


@pytest.fixture
def device(broker: Mosquitto, daemon: Daemon) -> Iterator[Asker]:
    with Asker(broker, "forklift-7") as connected:
        connected.listen()
        yield connected


def life(journal: JournalReader, id: str) -> list[Fields]:
    """Return what has been heard of a prompt, as journalctl would find it."""
    return [record for record in journal.heard if record.get("EDGED_REQUEST_ID") == id]


def test_the_id_of_a_prompt_finds_its_life_from_accepted_to_delivered(
    device: Asker, journal: JournalReader
) -> None:
    device.ask(SHIPPED, "p17")
    journal.until(MESSAGE_ID=Event.DELIVERED, EDGED_REQUEST_ID="p17")
    told = life(journal, "p17")
    events = [record["MESSAGE_ID"] for record in told]
    assert events == [Event.ACCEPTED, Event.OUTCOME, Event.DELIVERED]
    assert {record["EDGED_CLIENT"] for record in told} == {"forklift-7"}
    assert [record.get("EDGED_TEMPLATE") for record in told[:2]] == ["dock-event"] * 2


@needs_journald
def test_journalctl_tells_the_life_of_a_prompt_from_a_real_journal(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with (
        Journald() as journald,
        Daemon(tmp_path / "edged", broker, journal=journald.socket),
        Asker(broker, "forklift-7") as device,
    ):
        wait_until(lambda: found(journald, Event.BROKER_CONNECTED) != [], "the broker's line")
        device.listen()
        device.ask(SHIPPED, "p17")
        wait_until(lambda: found(journald, Event.DELIVERED) != [], "the line of the PUBACK")
        told = journald.find("EDGED_REQUEST_ID=p17", "EDGED_CLIENT=forklift-7")
    assert [record["MESSAGE"].split()[1] for record in told] == ["accepted:", "done:", "delivered:"]


def found(journald: Journald, event: Event) -> list[Fields]:
    """Return the records of an event."""
    return journald.find(f"MESSAGE_ID={event}")


def test_an_outcome_is_one_line_with_the_figures_of_its_reply(
    device: Asker, journal: JournalReader
) -> None:
    device.ask(SHIPPED, "p17")
    reply = device.outcome("p17")
    record = journal.until(MESSAGE_ID=Event.OUTCOME)
    timing, usage, energy = reply["timing"], reply["usage"], reply["energy"]
    assert record["MESSAGE"] == (
        f"forklift-7/p17 done: {timing['total_s']:.3f} s ({timing['queued_s']:.3f} s queued), "
        f"{usage['prompt_tokens']}+{usage['output_tokens']} tokens, {energy['j']:.3f} J estimated"
    )
    told = [float(record[f"EDGED_{name}"]) for name in ("TOTAL_S", "OUTPUT_TOKENS", "J")]
    assert told == [timing["total_s"], usage["output_tokens"], energy["j"]]
    assert record["EDGED_J_SOURCE"] == "estimated"


def test_no_line_holds_what_a_device_sent_or_was_answered(
    device: Asker, journal: JournalReader
) -> None:
    device.ask({"prompt": SECRET}, "p1")
    device.ask({"template": "dock-event", "input": SECRET}, "p2")
    device.ask({"prompt": "x", "schema": {"const": SECRET}}, "p3")
    for number, wrong in enumerate(
        [{SECRET: 1}, {"prompt": "x", "ttl_s": SECRET}, {"prompt": "x", "schema": SECRET},
         {"template": SECRET, "input": "x"}, "{" + SECRET, {"prompt": "x", "id": SECRET + " "}]
    ):  # fmt: skip
        device.ask(wrong, f"wrong{number}")
    device.send(f"edged/v1/dock/edge-1/req/a b/{SECRET}", SECRET)
    device.ask({"prompt": "the last one"}, "last")
    journal.until(MESSAGE_ID=Event.DELIVERED, EDGED_REQUEST_ID="last")
    refused = [one for one in journal.heard if one.get("MESSAGE_ID") == Event.REFUSED]
    assert [one["EDGED_REASON"] for one in refused] == [
        "unknown_key", "malformed", "bad_schema", "unknown_template", "malformed", "bad_id",
        "bad_id",
    ]  # fmt: skip
    assert [one for one in journal.heard if SECRET in str(one)] == []


@pytest.mark.slow
def test_a_prompt_that_met_the_end_of_an_engine_says_so(
    device: Asker, daemon: Daemon, journal: JournalReader
) -> None:
    journal.until(MESSAGE_ID=Event.MODEL_RESIDENT)
    device.ask({"prompt": "x", "schema": long_answer(2000), "stream": True}, "p1")
    device.next(lambda reply: reply["event"] == "chunk")
    assert daemon.kill_engine()
    journal.until(MESSAGE_ID=Event.DELIVERED, EDGED_REQUEST_ID="p1")
    events = [record["MESSAGE_ID"] for record in life(journal, "p1")]
    assert events == [Event.ACCEPTED, Event.REQUEUED, Event.OUTCOME, Event.DELIVERED]
    assert [record.get("EDGED_ATTEMPT") for record in life(journal, "p1")][1:3] == ["2", "2"]


def test_a_prompt_whose_place_was_taken_has_its_line(device: Asker, journal: JournalReader) -> None:
    device.ask({"prompt": "x", "schema": long_answer(2000), "stream": True}, "running")
    device.next(lambda reply: reply["event"] == "chunk")
    device.ask({"prompt": "y", "replace": "k"}, "old")
    device.ask({"prompt": "z", "replace": "k"}, "new")
    record = journal.until(MESSAGE_ID=Event.OUTCOME, EDGED_REQUEST_ID="old")
    assert (record["EDGED_EVENT"], record["MESSAGE"]) == (
        "superseded",
        "forklift-7/old superseded: not run",
    )
