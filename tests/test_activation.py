"""Models become active by serving, and else not: on a real daemon with the shipped model.

Templates: `test_activation_templates`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.admin.client import asked
from edged.admin.wire import ActivateAsk
from edged.models.installed import SHIPPED
from edged.store.register import Choice
from edged.store.store import Store
from tests.activation_fixtures import MESSAGE, STRICT, answered, done
from tests.activation_fixtures import _commands_look_often as _commands_look_often
from tests.activation_fixtures import board as board
from tests.activation_fixtures import broker as broker
from tests.activation_fixtures import lasting as lasting
from tests.activation_fixtures import lasting_broker as lasting_broker
from tests.activation_fixtures import signer as signer
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, ROOT, Asker, Daemon, edged, long_answer, wait_until
from tests.daemon_fixtures import state_of as state
from tests.store_fixtures import Signer, model_folder, sign, templates_folder

pytestmark = [pytest.mark.broker, pytest.mark.model]


def dock_mini(folder: Path, version: int, *, changes: tuple[tuple[str, str], ...] = ()) -> Path:
    """Write dock-mini as a bundle of another file: one byte longer, which no tensor holds."""
    shutil.copytree(SHIPPED / "dock-mini", folder, ignore=shutil.ignore_patterns("eval"))
    weights = folder / "dock-mini.gguf"
    with weights.open("ab") as file:
        file.write(bytes([version]))
    text = (folder / "model.toml").read_text()
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    lines = [line for line in text.splitlines() if not line.startswith("sha256")]
    text = f'version = {version}\nsha256 = "{sha256}"\n' + "\n".join(lines)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "model.toml").write_text(text + "\n")
    return folder


def test_a_signed_model_takes_the_place_of_the_shipped_one(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    pid = board.engine_pid
    folder = sign(dock_mini(tmp_path / "bundle", 2), signer)
    assert state(board)["model"]["trust"] == "shipped"
    assert "stands in slot a" in done(board, "model", "install", str(folder))
    with Asker(broker) as device:
        device.listen()
        done(board, "model", "activate")
        device.ask(MESSAGE, "p")
        outcome = device.outcome("p")
    assert outcome["event"] == "done"
    told = state(board)
    assert outcome["model"]["digest"] == told["model"]["digest"]
    assert (told["model"]["trust"], told["model"]["version"]) == ("signed", 2)
    assert told["templates_trust"] == "signed"
    assert told["store"]["last"]["state"] == "done"
    assert board.engine_pid == pid
    listed = json.loads(done(board, "model", "list", "--json"))
    assert [row["active"] for row in listed] == [True, False]


def test_rolling_back_brings_the_shipped_model_again(
    board: Daemon, signer: Signer, tmp_path: Path
) -> None:
    shipped = state(board)["model"]
    done(board, "model", "install", str(sign(dock_mini(tmp_path / "bundle", 2), signer)))
    done(board, "model", "activate")
    assert state(board)["model"] != shipped
    done(board, "model", "rollback")
    assert state(board)["model"] == shipped


def test_what_is_active_is_loaded_after_a_restart(
    board: Daemon, signer: Signer, tmp_path: Path
) -> None:
    done(board, "model", "install", str(sign(dock_mini(tmp_path / "bundle", 2), signer)))
    done(board, "model", "activate")
    board.stop()
    board.start()
    wait_until(lambda: (state(board)["model"] or {}).get("version") == 2, "the model again")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (('"severity":"high"', '"severity":"low"'), "the model answers its test prompt with"),
        (("bos = true", 'bos = "yes"'), "format.bos"),
    ],
    ids=["canary", "format"],
)
def test_a_model_that_does_not_serve_is_not_made_active(
    lasting: Daemon,
    lasting_broker: Mosquitto,
    signer: Signer,
    tmp_path: Path,
    changes: tuple[str, str],
    words: str,
) -> None:
    shipped = state(lasting)["model"]
    folder = sign(dock_mini(tmp_path / "bundle", 2, changes=(changes,)), signer)
    done(lasting, "model", "install", str(folder))
    ran = edged(lasting, "model", "activate")
    assert ran.code == 1
    assert words in ran.stderr
    assert state(lasting)["store"]["last"]["state"] == "fell_back"
    assert answered(lasting_broker, MESSAGE)["event"] == "done"
    assert state(lasting)["model"] == shipped


def test_a_file_that_is_no_model_is_not_made_active(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    done(board, "model", "install", str(sign(model_folder(tmp_path / "bundle"), signer)))
    ran = edged(board, "model", "activate")
    assert ran.code == 1
    assert "GGUF" in ran.stderr
    assert answered(broker, MESSAGE)["event"] == "done"


def test_a_model_that_fails_its_evaluation_set_is_not_made_active(
    lasting: Daemon, lasting_broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    shipped = state(lasting)["model"]
    folder = dock_mini(tmp_path / "bundle", 2)
    with (folder / "model.toml").open("a") as file:
        file.write(STRICT)
    rows = folder / "eval" / "held_out"
    rows.mkdir(parents=True)
    (rows / "dock-event.jsonl").write_text('{"input": "all quiet", "expected": {"dock": 99}}\n')
    done(lasting, "model", "install", str(sign(folder, signer)))
    ran = edged(lasting, "model", "activate")
    assert ran.code == 1
    assert "0 of 1 answers of the evaluation set are exact" in ran.stderr
    wait_until(lambda: state(lasting)["model"] == shipped, "the shipped model again")
    assert answered(lasting_broker, MESSAGE)["event"] == "done"


def test_an_unsigned_bundle_is_not_installed(lasting: Daemon, tmp_path: Path) -> None:
    ran = edged(lasting, "model", "install", str(model_folder(tmp_path / "bundle")))
    assert ran.code == 1
    assert "nobody signed it" in ran.stderr


def test_without_a_daemon_the_next_one_tries(board: Daemon, signer: Signer, tmp_path: Path) -> None:
    done(board, "model", "install", str(sign(dock_mini(tmp_path / "bundle", 2), signer)))
    board.stop()
    assert "is tried when a daemon starts" in done(board, "model", "activate")
    board.start()
    wait_until(lambda: (state(board)["store"]["last"] or {}).get("state") == "done", "the trial")
    assert state(board)["model"]["version"] == 2


def test_a_daemon_that_is_killed_in_a_trial_leaves_it_to_the_next(
    board: Daemon, signer: Signer, tmp_path: Path
) -> None:
    done(board, "model", "install", str(sign(dock_mini(tmp_path / "bundle", 2), signer)))
    store = Store(board.state_dir)
    command = [sys.executable, "-m", "edged", "model", "activate", "--config", str(board.config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as ordering:
        wait_until(lambda: store.file.read().trial is not None, "the trial")
        board.kill()
        ordering.kill()
    board.start()
    wait_until(lambda: store.file.read().trial is None, "the end of the trial")
    assert store.file.read().active == Choice("a")
    wait_until(lambda: (state(board)["model"] or {}).get("version") == 2, "the new model")


def test_an_order_over_mqtt_tries_and_tells_what_became_of_it(
    board: Daemon, broker: Mosquitto, signer: Signer, tmp_path: Path
) -> None:
    done(board, "model", "install", str(sign(dock_mini(tmp_path / "bundle", 2), signer)))
    with Asker(broker) as console:
        console.subscribe(f"{BOARD}/cmd/#")
        topic = f"{BOARD}/cmd/model/o-1"
        order = json.dumps({"activate": "dock-mini", "version": 2}).encode()
        console.publish(topic, order, retain=True)
        states = [console.next(lambda heard: "state" in heard) for _ in range(2)]
    assert [told["state"] for told in states] == ["trying", "done"]
    assert states[1] == {"id": "o-1", "state": "done", "title": "dock-mini version 2"}
    assert state(board)["model"]["version"] == 2
    assert state(board)["store"]["last"]["by"] == "mqtt o-1"


def test_an_order_over_mqtt_for_what_is_in_no_slot_is_refused(
    lasting: Daemon, lasting_broker: Mosquitto
) -> None:
    with Asker(lasting_broker) as console:
        console.subscribe(f"{BOARD}/cmd/#")
        for kind, payload in (
            ("model", {"activate": "dock-mini", "version": 9}),
            ("templates", {"rollback": True}),
        ):
            topic = f"{BOARD}/cmd/{kind}/o-{kind}"
            console.publish(topic, json.dumps(payload).encode(), retain=True)
            told = console.next(lambda heard: heard.get("state") == "refused")
            assert (told["id"], told["reason"]) == (f"o-{kind}", "unusable")


@pytest.fixture
def desk(tmp_path: Path, broker: Mosquitto) -> Iterator[Daemon]:
    """A daemon with the simulated engine that takes what nobody signed."""
    with Daemon(
        tmp_path / "desk",
        broker,
        sections={"store": {"allow_unsigned": True}, "model": {"context_tokens": 2048}},
    ) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        yield daemon


def test_what_nobody_signed_shows_in_the_state(desk: Daemon, tmp_path: Path) -> None:
    done(desk, "template", "install", str(templates_folder(tmp_path / "bundle")))
    assert state(desk)["templates_trust"] == "shipped"
    done(desk, "template", "activate")
    told = state(desk)
    assert told["templates_trust"] == "unsigned"
    assert told["store"]["templates"]["signer"] is None
    assert "templates unsigned" in done(desk, "status")


def test_prompts_that_run_end_before_a_model_is_tried_and_others_wait(
    desk: Daemon, broker: Mosquitto, tmp_path: Path
) -> None:
    done(desk, "model", "install", str(model_folder(tmp_path / "bundle")))
    with Asker(broker) as device:
        device.listen()
        device.ask({"prompt": "x", "schema": long_answer(1000), "receipt": True}, "long")
        assert device.next()["event"] == "accepted"
        order = asked(config.load(desk.config), ActivateAsk(kind="model"))
        assert order.state is not None
        device.ask({"prompt": "x", "schema": long_answer(10)}, "short")
        outcomes = [device.outcome("long"), device.outcome("short")]
    assert [(told["event"], told["attempt"]) for told in outcomes] == [("done", 1), ("done", 1)]
    wait_until(lambda: state(desk)["store"]["trial"] is None, "the end of the trial")
    assert state(desk)["store"]["last"]["state"] == "done"


def test_a_model_by_path_goes_before_the_store(broker: Mosquitto, tmp_path: Path) -> None:
    sections: dict[str, dict[str, Any]] = {
        "store": {"allow_unsigned": True},
        "model": {"path": str(tmp_path / "m.gguf")},
    }
    with Daemon(tmp_path / "desk", broker, sections=sections) as daemon:
        done(daemon, "model", "install", str(model_folder(tmp_path / "bundle")))
        wait_until(config.load(daemon.config).admin_socket.exists, "the daemon's socket")
        ran = edged(daemon, "model", "activate")
    assert ran.code == 1
    assert "goes before the store" in ran.stderr
