"""Orders over MQTT: only where allowed, carried out once, and told in their place.

Those of models and templates are carried out in `test_activation` and `test_activation_templates`.
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

from edged import config
from edged.admin.client import asked
from edged.admin.wire import StatusAsk
from edged.errors import AdminRefused
from edged.orders.command_topics import ActivateCommand, is_outcome, read_command
from edged.topics import COMMANDS, Command, Topics, What
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, Asker, Daemon, long_answer

ALLOWED = {"admin": {"mqtt": True}}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Daemon]:
    """A daemon that takes orders."""
    with Daemon(tmp_path_factory.mktemp("board"), broker, sections=ALLOWED) as daemon:
        daemon.wait_for_log("connected to the broker")
        yield daemon


def order(device: Asker, id: str, payload: object, what: What = "budget") -> None:
    """Publish an order as a fleet's console does."""
    device.publish(f"{BOARD}/cmd/{what}/{id}", json.dumps(payload).encode(), retain=True)


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
def test_a_drain_has_the_board_refuse_prompts_until_it_is_told_to_resume(
    board: Daemon, broker: Mosquitto
) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/#")
        device.listen()
        order(device, "d-1", {"drain": True, "for_s": 3600}, "drain")
        assert outcome(device, "d-1") == {"id": "d-1", "state": "done", "mode": "draining"}
        told = asked(config.load(board.config), StatusAsk())
        device.ask({"prompt": "hello"}, "p-1")
        refused = device.next(lambda heard: heard.get("id") == "p-1")
        order(device, "d-2", {"resume": True}, "drain")
        assert outcome(device, "d-2") == {"id": "d-2", "state": "done", "mode": "serving"}
        device.ask({"prompt": "hello"}, "p-1")
        assert device.next(lambda heard: heard.get("id") == "p-1")["event"] == "done"
    assert told.state is not None
    assert told.state["service"]["set_by"] == "mqtt d-1"
    assert 0 < (told.left_s["service"] or 0) <= 3600
    assert (refused["event"], refused["reason"]) == ("refused", "draining")


@pytest.mark.broker
def test_what_was_taken_before_a_drain_is_answered(board: Daemon, broker: Mosquitto) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/#")
        device.listen()
        device.ask({"prompt": "x", "schema": long_answer(400), "receipt": True}, "p-2")
        device.next(lambda heard: heard.get("event") == "accepted")
        order(device, "d-3", {"drain": True}, "drain")
        done = device.next(lambda heard: heard.get("event") == "done")
        order(device, "d-4", {"resume": True}, "drain")
        assert (outcome(device, "d-4")["mode"], done["id"]) == ("serving", "p-2")


@pytest.mark.broker
def test_a_drain_outlives_a_restart_and_a_resume_waits_for_the_board(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/#")
        device.subscribe(f"{BOARD}/state")
        with Daemon(tmp_path / "board", broker, sections=ALLOWED) as daemon:
            daemon.wait_for_log("connected to the broker")
            order(device, "d-1", {"drain": True}, "drain")
            outcome(device, "d-1")
            daemon.stop()
            daemon.start()
            state = device.next(lambda heard: heard.get("boot") == 2)
            daemon.stop()
            order(device, "d-2", {"resume": True}, "drain")
            daemon.start()
            assert (state["service"], outcome(device, "d-2")["mode"]) == (
                {"mode": "draining", "set_by": "mqtt d-1", "until": None},
                "serving",
            )


@pytest.mark.broker
@pytest.mark.usefixtures("board")
def test_a_drain_that_means_nothing_is_refused_in_its_place_with_what_to_do(
    broker: Mosquitto,
) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/cmd/drain/d-5")
        order(device, "d-5", {"drain": "now"}, "drain")
        told = outcome(device, "d-5")
    assert (told["state"], told["reason"], "drain" in told["detail"]) == (
        "refused",
        "malformed",
        True,
    )


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
            order(device, "o-1", {"drain": True}, "drain")
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


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"for_s":60}',
        b'{"drain":false}',
        b'{"drain":true,"resume":true}',
        b'{"resume":true,"for_s":60}',
        b'{"drain":true,"for_s":0}',
        b'{"drain":true,"why":"stocktaking"}',
    ],
)
def test_an_order_of_service_drains_or_resumes(payload: bytes) -> None:
    with pytest.raises(AdminRefused, match=r"drain|resume|for_s|why"):
        read_command(Command("drain", "o-1"), payload)


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
        ("edged/v1/s/n/cmd/drain/o-1", Command("drain", "o-1")),
        ("edged/v1/s/n/cmd/reboot/o-1", None),
        ("edged/v1/s/n/cmd/budget", None),
        ("edged/v1/s/n/req/c/o-1", None),
        ("edged/v1/s/m/cmd/budget/o-1", None),
    ],
)
def test_only_command_topics_of_this_board_are_of_orders(
    topic: str, command: Command | None
) -> None:
    assert Topics("s", "n").commanded(topic) == command
