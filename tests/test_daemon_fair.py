"""Turns, quotas and estimates as devices meet them: real processes, the simulated engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edged.config import Spool
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, Asker, Daemon, long_answer, state_of, wait_until

pytestmark = pytest.mark.broker

SHORT = {"prompt": "x", "schema": long_answer(20)}
MIDDLING = {"prompt": "x", "schema": long_answer(150)}
LONG = {"prompt": "x", "schema": long_answer(400)}


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    sections: dict[str, dict[str, Any]] = {
        "model": {"sequences": 1},
        "engine": {"kv_tokens": 8192},
        "clients.two": {"outstanding_max": 2},
        "clients.rated": {"tokens_per_minute": 600.0},
        "clients.thrifty": {"joules_per_minute": 0.001},
        "clients.brief": {"tokens_per_minute": 600.0},
    }
    with Daemon(tmp_path_factory.mktemp("daemon"), broker, sections=sections) as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


@contextmanager
def both(broker: Mosquitto, name: str) -> Iterator[tuple[Asker, Asker]]:
    """Two devices of which the first hears what both are told."""
    with Asker(broker, f"{name}-one") as one, Asker(broker, f"{name}-other") as other:
        one.listen()
        one.subscribe(f"edged/v1/dock/+/res/{other.client}/#")
        yield one, other


@pytest.mark.usefixtures("daemon")
def test_one_prompt_is_not_kept_waiting_by_another_clients_many(broker: Mosquitto) -> None:
    with both(broker, "turns") as (flood, single):
        for number in range(8):
            flood.ask(MIDDLING | {"ttl_s": 100}, f"flood-{number}")
        single.ask(SHORT, "single")
        flood.outcome("single")
        assert flood.count()["done"] < 6


@pytest.mark.usefixtures("daemon")
def test_an_urgent_prompt_does_not_wait_for_the_batch(broker: Mosquitto) -> None:
    with both(broker, "urgent") as (usual, urgent):
        usual.ask(LONG | {"stream": True}, "usual")
        usual.next(lambda reply: reply["event"] == "chunk")
        urgent.ask(SHORT | {"priority": 7}, "urgent")
        usual.outcome("urgent")
        assert "done" not in usual.events("usual")
        assert usual.outcome("usual")["attempt"] == 1


@pytest.mark.usefixtures("daemon")
def test_a_client_over_its_number_of_prompts_is_refused_and_taken_later(broker: Mosquitto) -> None:
    with Asker(broker, "two") as device:
        device.listen()
        for id in ("p1", "p2", "p3"):
            device.ask(LONG, id)
        refused = device.next(lambda reply: reply["id"] == "p3")
        assert (refused["event"], refused["status"], refused["reason"]) == ("refused", 429, "quota")
        assert refused["retry_after_s"] > 0
        assert "limit outstanding_max = 2" in refused["detail"]
        device.ask(LONG, "p2")  # a copy of a known prompt is no new one
        device.outcome("p1")
        device.outcome("p2")
        assert device.events("p2") == ["done"]
        device.ask(SHORT, "p3")
        assert device.outcome("p3")["event"] == "done"


@pytest.mark.usefixtures("daemon")
def test_a_client_over_its_tokens_is_told_when_they_are_there(broker: Mosquitto) -> None:
    with Asker(broker, "rated") as device:
        device.listen()
        for number in range(9):
            device.ask(SHORT, f"p{number}")
        refused = device.next(lambda reply: reply["event"] == "refused")
        assert refused["reason"] == "quota"
        assert "limit tokens_per_minute" in refused["detail"]
        assert 0 < refused["retry_after_s"] <= 60


@pytest.mark.usefixtures("daemon")
def test_a_client_over_its_joules_is_told_when_they_are_there(broker: Mosquitto) -> None:
    with Asker(broker, "thrifty") as device:
        device.listen()
        for number in range(9):
            device.ask(SHORT, f"p{number}")
        refused = device.next(lambda reply: reply["event"] == "refused")
        assert (refused["status"], refused["reason"]) == (429, "quota")
        assert "limit joules_per_minute" in refused["detail"]
        assert refused["retry_after_s"] > 0


@pytest.mark.usefixtures("daemon")
def test_tokens_that_an_answer_did_not_take_are_there_for_the_next(broker: Mosquitto) -> None:
    with Asker(broker, "brief") as device:
        device.listen()
        for id in ("p1", "p2", "p3"):
            device.ask({"prompt": "x", "max_tokens": 400}, id)
            answer = device.next()
            assert (answer["id"], answer["event"]) == (id, "done")
            assert answer["usage"]["output_tokens"] < 100


@pytest.mark.usefixtures("daemon")
def test_the_state_publishes_what_a_client_may_ask_and_what_the_spool_takes(
    broker: Mosquitto,
) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/state")
        limits = device.next()["limits"]
    assert (limits["queue"], limits["outstanding_max"]) == (10_000, 5000)
    assert 0 < limits["spool_bytes"] < Spool().bytes_max
    assert limits["clients"]["two"]["outstanding_max"] == 2
    assert limits["clients"]["rated"]["tokens_per_minute"] == 600
    assert limits["clients"]["thrifty"]["joules_per_minute"] == 0.001


def test_a_device_is_told_when_its_answer_comes_and_in_the_outcome_what_it_was_told(
    broker: Mosquitto, daemon: Daemon
) -> None:
    with Asker(broker, "estimated") as device:
        device.listen()
        device.ask(SHORT, "first")
        device.outcome("first")
        device.ask(SHORT | {"receipt": True}, "second")
        accepted = device.next(lambda reply: reply["event"] == "accepted")
        assert accepted["estimated_s"] > 0
        timing = device.outcome("second")["timing"]
        assert timing["estimated_s"] == accepted["estimated_s"]
    wait_until(
        lambda: (state_of(daemon)["queue"]["estimate_error_share"] or 0) > 0, "the estimates' error"
    )
