"""Figures flow while somebody watches, and no longer."""

from __future__ import annotations

import itertools
import json
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.live import EVERY_S, WATCH_S
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, Asker, Daemon, edged, long_answer, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.model]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Daemon]:
    sections = {"model": {"context_tokens": 2048, "sequences": 1}}
    with Daemon(tmp_path_factory.mktemp("board"), broker, sections=sections) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        yield daemon


def watch(viewer: Asker, *, retain: bool = False) -> None:
    viewer.publish(f"{BOARD}/watch", b"x", retain=retain)


def figures(
    viewer: Asker, where: Callable[[dict[str, Any]], bool] = lambda _: True
) -> dict[str, Any]:
    """Return the next figures for which `where` holds; the watch is renewed until they come."""
    while not where(told := viewer.next(lambda heard: "tokens_per_s" in heard)):
        watch(viewer)
    return told


@pytest.mark.usefixtures("board")
def test_whoever_watches_gets_figures(broker: Mosquitto) -> None:
    with Asker(broker, "viewer") as viewer:
        viewer.subscribe(f"{BOARD}/live")
        watch(viewer)
        told = figures(viewer)
    assert told["node"] == "edge-1"
    assert told["power"]["limit_w"] == 4.0
    assert told["batch"]["sequences"] == 1


@pytest.mark.usefixtures("board")
def test_work_is_seen_while_it_is_done_and_when_it_ended(broker: Mosquitto) -> None:
    with Asker(broker, "viewer") as viewer, Asker(broker, "dev") as device:
        viewer.subscribe(f"{BOARD}/live")
        watch(viewer)
        device.ask({"prompt": "x", "schema": long_answer(1500)}, "runs")
        for number in range(3):
            device.ask({"prompt": "x", "priority": 2, "max_tokens": 8}, f"waits-{number}")
        device.ask({"prompt": "x", "priority": 4, "max_tokens": 8}, "waits-less")
        busy = figures(viewer, lambda one: one["queue"] == {"4": 1, "2": 3})
        assert busy["batch"]["running"] == 1
        assert figures(viewer, lambda one: one["tokens_per_s"]["decode"] > 0)
        device.cancel("runs")
        done = figures(viewer, lambda one: len(one["last"]) >= 5)["last"]
        assert {one["id"] for one in done} >= {"runs", "waits-0", "waits-less"}
        assert {one["client"] for one in done} == {"dev"}
        assert all(one["total_s"] > 0 and one["j"] is not None for one in done)


@pytest.mark.slow
@pytest.mark.usefixtures("board")
def test_without_a_viewer_the_board_falls_silent(broker: Mosquitto) -> None:
    with Asker(broker, "viewer") as viewer:
        viewer.subscribe(f"{BOARD}/live")
        watch(viewer)
        figures(viewer)
        assert WATCH_S / EVERY_S - 2 <= heard_until_silent(viewer) <= WATCH_S / EVERY_S + 1
        watch(viewer)
        figures(viewer)


def heard_until_silent(viewer: Asker) -> int:
    """Return how many messages come before two seconds without one."""
    for count in itertools.count():
        try:
            viewer._heard.get(timeout=2.0)
        except queue.Empty:
            return count
    raise AssertionError("it never falls silent")


@pytest.mark.slow
def test_a_watch_that_was_retained_moves_no_board(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Asker(broker, "viewer") as viewer:
        viewer.subscribe(f"{BOARD}/live")
        watch(viewer, retain=True)
        with Daemon(tmp_path / "board", broker) as daemon:
            daemon.wait_for_log("connected to the broker")
            watch(viewer, retain=True)
            with pytest.raises(queue.Empty):
                viewer._heard.get(timeout=2.0)
            watch(viewer)
            assert figures(viewer)


def test_the_status_of_another_board_is_read_at_the_broker(board: Daemon) -> None:
    wait_until(lambda: edged(board, "status", "--node", "edge-1").code == 0, "a state")
    told = edged(board, "status", "--node", "edge-1", "--json")
    assert json.loads(told.stdout)["state"]["node"] == "edge-1"


def test_a_board_that_never_was_has_no_status(board: Daemon) -> None:
    told = edged(board, "status", "--node", "edge-9")
    assert told.code == 1
    assert "edged/v1/dock/edge-9/state: nothing is retained there" in told.stderr
