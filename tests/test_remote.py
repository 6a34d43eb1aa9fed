"""Orders over MQTT: only where allowed, carried out once, and told in their place.

Those of models and templates are carried out in `test_activation`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import AdminRefused
from edged.remote_orders import ActivateCommand, is_outcome, read_command
from edged.topics import COMMANDS, Command, Topics
from tests.broker import Mosquitto
from tests.daemon_fixture import BOARD, Asker, Daemon

ALLOWED = {"admin": {"mqtt": True}}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Daemon]:
    """A daemon that takes orders."""
    with Daemon(tmp_path_factory.mktemp("board"), broker, sections=ALLOWED) as daemon:
        daemon.wait_for_log("connected to the broker")
        yield daemon


def order(device: Asker, id: str, payload: object) -> None:
    """Publish an order as a fleet's console does."""
    device.publish(f"{BOARD}/cmd/budget/{id}", json.dumps(payload).encode(), retain=True)


def outcome(device: Asker, id: str) -> dict[str, Any]:
    """Return what became of an order."""
    return device.next(lambda heard: heard.get("id") == id and "state" in heard)


@pytest.mark.broker
@pytest.mark.usefixtures("board")
def test_an_order_is_carried_out_and_its_outcome_takes_its_place(broker: Mosquitto) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/#")
        order(device, "o-1", {"budget_w": 3.0, "for_s": 3600})
        assert outcome(device, "o-1") == {"id": "o-1", "state": "done", "budget_w": 3.0}
    with Asker(broker) as late:
        late.subscribe(f"{BOARD}/cmd/budget/o-1")
        assert outcome(late, "o-1")["state"] == "done"
        late.subscribe(f"{BOARD}/state")
        power = late.next(lambda heard: heard.get("power", {}).get("budget_w") == 3.0)["power"]
        assert power["set_by"] == "mqtt o-1"
        late.subscribe(f"{BOARD}/cmd/#")
        order(late, "o-2", {"reset": True})
        assert outcome(late, "o-2") == {"id": "o-2", "state": "done", "budget_w": 4.0}


@pytest.mark.broker
@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"budget_w": "much"}, "malformed"),
        ({"budget_w": 3.0, "reset": True}, "malformed"),
        ({}, "malformed"),
        ({"budget_w": 3.0, "peak_w": 1.0}, "unusable"),
    ],
)
def test_an_order_that_means_nothing_is_refused_in_its_place(
    broker: Mosquitto, payload: object, reason: str
) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/budget/bad-{reason}")
        order(device, f"bad-{reason}", payload)
        told = outcome(device, f"bad-{reason}")
    assert (told["state"], told["reason"]) == ("refused", reason)
    assert told["detail"]


@pytest.mark.broker
def test_an_order_given_while_the_board_was_away_is_carried_out_once(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/#")
        with Daemon(tmp_path / "board", broker, sections=ALLOWED) as daemon:
            daemon.wait_for_log("connected to the broker")
            daemon.stop()
            order(device, "away", {"budget_w": 2.5})
            daemon.start()
            assert outcome(device, "away")["state"] == "done"
            daemon.stop()
            daemon.start()
            order(device, "next", {"reset": True})
            assert outcome(device, "next")["budget_w"] == 4.0
        assert daemon.log.read_text().count("budget 2.5 W by mqtt away") == 1


@pytest.mark.broker
def test_without_leave_of_the_configuration_no_order_is_heard(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Asker(broker) as device:
        daemon = Daemon(tmp_path / "board", broker, sections=ALLOWED)
        with daemon:
            daemon.wait_for_log("connected to the broker")
            daemon.stop()
            text = daemon.config.read_text().replace("mqtt = true", "mqtt = false")
            daemon.config.write_text(text)
            daemon.start()
            order(device, "o-1", {"budget_w": 3.0})
            device.listen()
            device.ask({"prompt": "one prompt behind it"}, "p-1")
            assert device.outcome("p-1")["event"] == "done"
        assert "budget 3 W by" not in daemon.log.read_text()


@given(st.binary(max_size=200))
def test_no_payload_breaks_the_reader(payload: bytes) -> None:
    is_outcome(payload)
    for what in COMMANDS:
        with suppress(AdminRefused):
            read_command(Command(what, "o-1"), payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"activate":"own"}',
        b'{"version":1}',
        b'{"activate":"own","version":1,"rollback":true}',
        b'{"activate":"own","version":0}',
        b'{"rollback":false}',
        b'{"budget_w":3.0}',
    ],
)
def test_an_order_of_a_model_names_one_bundle_or_the_way_back(payload: bytes) -> None:
    with pytest.raises(AdminRefused, match=r"activate|version|rollback|budget_w"):
        read_command(Command("model", "o-1"), payload)


def test_an_order_of_templates_is_read() -> None:
    order = read_command(Command("templates", "o-1"), b'{"activate":"own","version":2}')
    assert order == ActivateCommand(activate="own", version=2)


def test_an_outcome_is_no_order() -> None:
    assert is_outcome(b'{"id":"o-1","state":"done","budget_w":3.0}')
    assert not is_outcome(b'{"budget_w":3.0}')


@pytest.mark.parametrize(
    ("topic", "command"),
    [
        ("edged/v1/s/n/cmd/budget/o-1", Command("budget", "o-1")),
        ("edged/v1/s/n/cmd/model/o-1", Command("model", "o-1")),
        ("edged/v1/s/n/cmd/templates/o-1", Command("templates", "o-1")),
        ("edged/v1/s/n/cmd/drain/o-1", None),
        ("edged/v1/s/n/cmd/budget", None),
        ("edged/v1/s/n/req/c/o-1", None),
        ("edged/v1/s/m/cmd/budget/o-1", None),
    ],
)
def test_only_command_topics_of_this_board_are_of_orders(
    topic: str, command: Command | None
) -> None:
    assert Topics("s", "n").commanded(topic) == command
