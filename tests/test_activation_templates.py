"""Templates become active by serving, and else not: on a real daemon with the shipped model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.activation_fixtures import MESSAGE, STRICT, answered, done
from tests.activation_fixtures import _commands_look_often as _commands_look_often
from tests.activation_fixtures import board as board
from tests.activation_fixtures import broker as broker
from tests.activation_fixtures import lasting as lasting
from tests.activation_fixtures import lasting_broker as lasting_broker
from tests.activation_fixtures import signer as signer
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, Asker, Daemon, edged
from tests.daemon_fixtures import state_of as state
from tests.store_fixtures import Signer, sign, templates_folder

pytestmark = [pytest.mark.broker, pytest.mark.model]

CASES = '{"input": "dock 6", "expected": {"dock": 6}}\n'
WRONG = '{"input": "dock 6", "expected": {"dock": 7}}\n'


def test_templates_change_without_a_new_load(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    folder = sign(templates_folder(tmp_path / "bundle", rows=CASES), signer)
    done(board, "template", "install", str(folder))
    done(board, "template", "activate")
    outcome = answered(broker, {"template": "dock-number", "input": "truck at dock 4"})
    assert outcome["event"] == "done"
    told = state(board)
    assert (list(told["templates"]), told["templates_trust"]) == (["dock-number"], "signed")
    assert board.log.read_text().count("is resident") == 1
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/template/+")
        assert device.next()["name"] == "dock-number"
    refused = answered_or_refused(broker, MESSAGE)
    assert refused["reason"] == "unknown_template"


def answered_or_refused(broker: Mosquitto, prompt: dict[str, Any]) -> dict[str, Any]:
    """Return the first word about a prompt."""
    with Asker(broker) as device:
        device.listen()
        device.ask(prompt, "q")
        return device.next(lambda reply: reply["id"] == "q")


def test_templates_go_back_to_the_shipped_ones(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    shipped = state(board)["templates"]
    done(board, "template", "install", str(sign(templates_folder(tmp_path / "bundle"), signer)))
    done(board, "template", "activate")
    done(board, "template", "rollback")
    assert state(board)["templates"] == shipped
    assert answered(broker, MESSAGE)["event"] == "done"


@pytest.mark.parametrize(
    ("about", "rows", "words"),
    [
        (STRICT, WRONG, "of the evaluation set are exact"),
        ('model = "sha256:' + "00" * 32 + '"\n', "", "made for the model sha256:0000"),
        ("", '{"input": "x"}\n', "dock-number.jsonl: line 1"),
    ],
    ids=["evaluation", "another model", "broken set"],
)
def test_templates_that_do_not_serve_are_not_made_active(
    lasting: Daemon,
    lasting_broker: Mosquitto,
    signer: Signer,
    tmp_path: Path,
    about: str,
    rows: str,
    words: str,
) -> None:
    shipped = state(lasting)["templates"]
    folder = templates_folder(tmp_path / "bundle", about=about, rows=rows)
    done(lasting, "template", "install", str(sign(folder, signer)))
    ran = edged(lasting, "template", "activate")
    assert ran.code == 1
    assert words in ran.stderr
    assert state(lasting)["templates"] == shipped
    assert answered(lasting_broker, MESSAGE)["event"] == "done"


def test_templates_are_scored_before_they_are_active(
    lasting: Daemon, signer: Signer, tmp_path: Path
) -> None:
    folder = sign(templates_folder(tmp_path / "bundle", rows=CASES + WRONG), signer)
    done(lasting, "template", "install", str(folder))
    report = json.loads(done(lasting, "template", "test", "--json"))
    assert report["templates"]["dock-number"]["json"]["held_out"]["n"] == 2
    assert "dock-number" not in state(lasting)["templates"]


def test_templates_over_mqtt_tell_why_they_fell_back(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    folder = templates_folder(tmp_path / "bundle", about=STRICT, rows=WRONG)
    done(board, "template", "install", str(sign(folder, signer)))
    with Asker(broker) as console:
        console.subscribe(f"{BOARD}/cmd/#")
        order = json.dumps({"activate": "dock", "version": 1}).encode()
        console.publish(f"{BOARD}/cmd/templates/o-2", order, retain=True)
        told = console.next(lambda heard: heard.get("state") == "fell_back")
    assert "of the evaluation set are exact" in told["detail"]
