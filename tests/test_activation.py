"""Bundles become active by serving, and else not: on a real daemon with the shipped model."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.admin.client import asked
from edged.admin.wire import ActivateAsk
from edged.models.installed import SHIPPED
from edged.store.register import Choice
from edged.store.store import Store
from tests.broker import Mosquitto
from tests.daemon_fixture import BOARD, ROOT, Asker, Daemon, edged, long_answer, wait_until
from tests.daemon_fixture import state_of as state
from tests.store_fixtures import Signer, model_folder, new_signer, sign, templates_folder

pytestmark = [pytest.mark.broker, pytest.mark.model]

MESSAGE = {"template": "dock-event", "input": "forklift hit pallet 48213 at dock 6"}
CASES = '{"input": "dock 6", "expected": {"dock": 6}}\n'
WRONG = '{"input": "dock 6", "expected": {"dock": 7}}\n'
STRICT = "[evaluation]\nexact_match_min = 1.0\n"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer()


@contextmanager
def serving(folder: Path, broker: Mosquitto, signer: Signer) -> Iterator[Daemon]:
    """Run a daemon with the shipped model that believes one signer."""
    (folder / "signer.pem").write_bytes(signer.pem)
    sections: dict[str, dict[str, Any]] = {
        "store": {"keys": [str(folder / "signer.pem")]},
        "admin": {"mqtt": True},
        "engine": {"backend": "llama"},
    }
    with Daemon(folder / "board", broker, sections=sections) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        yield daemon


@pytest.fixture
def board(tmp_path: Path, broker: Mosquitto, signer: Signer) -> Iterator[Daemon]:
    """A daemon of a test's own."""
    with serving(tmp_path, broker, signer) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def lasting_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, lasting_broker: Mosquitto, signer: Signer
) -> Iterator[Daemon]:
    """A daemon of all tests that leave it with what is shipped; its slots keep what they tried."""
    with serving(tmp_path_factory.mktemp("lasting"), lasting_broker, signer) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def _commands_look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.store.commands.LOOK_S", 0.05)


def done(daemon: Daemon, *words: str) -> str:
    """Run a command that has to succeed; return what it printed."""
    ran = edged(daemon, *words)
    assert ran.code == 0, ran.stderr
    return ran.stdout


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


def answered(broker: Mosquitto, prompt: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of a prompt that no board knows."""
    id = uuid.uuid4().hex
    with Asker(broker) as device:
        device.listen()
        device.ask(prompt, id)
        return device.outcome(id)


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
