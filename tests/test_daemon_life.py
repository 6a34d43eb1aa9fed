"""Start, end and kill of the daemon, beside rivals and without a broker or a model: it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import Asker, Daemon, long_answer, named, wait_until
from tests.daemon_fixtures import daemon as daemon

pytestmark = pytest.mark.broker


def test_what_was_accepted_before_a_kill_is_answered_after_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    sections = named(tmp_path / "d", "edge-2") | {"model": {"context_tokens": 8192}}
    with Daemon(tmp_path / "d", broker, sections=sections) as daemon, Asker(broker) as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        body = {"prompt": "x", "schema": long_answer(400), "receipt": True}
        device.send("edged/v1/dock/edge-2/req/dev/p", body)
        device.next(lambda reply: reply["event"] == "accepted")
        daemon.kill()
        engine = daemon.engine_pid
        daemon.start()
        assert device.outcome("p")["event"] == "done"
        assert daemon.engine_pid == engine, "the engine was taken over, not started again"


def test_a_second_board_of_the_same_name_keeps_none_from_working(
    broker: Mosquitto, daemon: Daemon, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker) as rival:
        rival.wait_for_log("connection to")
        rival.wait_for_log("is resident")
        assert rival.stop() == 0
    daemon.wait_for_log("connected to the broker")


def test_sigterm_ends_daemon_and_spawned_engine(broker: Mosquitto, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, sections=named(tmp_path, "edge-5")) as daemon:
        daemon.wait_for_log("is resident")
        assert daemon.stop() == 0
        assert daemon.engine_pid is None


def test_a_second_daemon_on_the_same_state_is_refused_with_78(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, sections=named(tmp_path, "edge-6")) as first:
        first.wait_for_log("is resident")
        second = Daemon(tmp_path, broker, sections=named(tmp_path, "edge-6"))
        second.start()
        assert second.process is not None
        assert second.process.wait(60) == 78
        assert "another edged" in first.log.read_text()


def test_a_missing_model_is_refused_with_engine_down(broker: Mosquitto, tmp_path: Path) -> None:
    sections = named(tmp_path / "d", "edge-3")
    sections["model"] = {"path": str(tmp_path / "no.gguf")}
    daemon = Daemon(tmp_path / "d", broker, backend="llama", sections=sections)
    with daemon, Asker(broker) as device:
        daemon.wait_for_log("no such model file")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.send("edged/v1/dock/edge-3/req/dev/p", b"hello")
        reply = device.next()
    assert (reply["reason"], reply["retry_after_s"] > 0) == ("engine_down", True)


def test_without_a_broker_it_stays_up_and_says_so(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with Daemon(tmp_path / "d", broker) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log(f"127.0.0.1:{broker.port}")
        with broker:
            daemon.wait_for_log("connected to the broker")


def test_a_wrong_password_is_told_and_tried_again(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    sections: dict[str, dict[str, Any]] = {
        "broker": {"username": "edged", "password_file": str(password)}
    }
    with (
        Mosquitto(tmp_path / "broker", users={"edged": "right"}) as broker,
        Daemon(tmp_path / "d", broker, sections=sections) as daemon,
    ):
        wait_until(
            lambda: "password" in daemon.log.read_text().lower(), "a word about the password"
        )
        password.write_text("right\n")
        daemon.wait_for_log("connected to the broker")


def test_it_says_offline_when_it_ends_and_online_when_it_runs(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", broker, sections=named(tmp_path / "d", "edge-4")) as daemon:
        daemon.wait_for_log("connected to the broker")
        listen = ("-t", "edged/v1/dock/edge-4/availability", "-C")
        assert broker.run("mosquitto_sub", *listen, "1").strip() == "online"
        daemon.stop()
        assert broker.run("mosquitto_sub", *listen, "1").strip() == "offline"
