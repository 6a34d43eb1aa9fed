"""What the doctor learns of a broker: reached, refused, forgetful."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edged.config import Broker
from edged.doctor import broker
from edged.doctor.broker import Told
from edged.doctor.root import Root
from tests.broker import Mosquitto
from tests.doctor_fixtures import levels, write

WEEK_S = 604_800


def at(port: int, **keys: object) -> Broker:
    return Broker.model_validate({"port": port, **keys})


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_keeps_sessions_is_well(tmp_path: Path, protocol: str) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        told = broker.look(Root(tmp_path), at(mosquitto.port, protocol=protocol))
    assert (told.problem, told.protocol, told.keeps_session) == (None, protocol, True)
    assert levels(broker.judge(told, WEEK_S), "broker") == ["ok"]


@pytest.mark.broker
def test_a_refused_login_is_told_in_the_broker_s_words(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", users={"edge-1": "secret"}) as mosquitto:
        told = broker.look(Root(tmp_path), at(mosquitto.port))
    (found,) = broker.judge(told, WEEK_S)
    assert (found.level, "no user name" in found.says) == ("warning", True)


def test_a_broker_that_wants_a_secret_of_the_unit_is_not_asked(tmp_path: Path) -> None:
    told = broker.look(Root(tmp_path), at(9, username="u", password_file="credential:edged.pw"))
    (found,) = broker.judge(told, WEEK_S)
    assert (found.level, "only edged.service has" in found.says) == ("ok", True)


def test_a_port_without_a_broker_is_a_warning(tmp_path: Path) -> None:
    (found,) = broker.judge(broker.look(Root(tmp_path), at(9)), WEEK_S)
    assert (found.level, "nothing listens" in found.says) == ("warning", True)


def test_a_port_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = broker.look(Root(tmp_path), at(silent.getsockname()[1], protocol="5"))
    assert told.problem is not None
    assert "does not answer as an MQTT broker" in told.problem


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [("persistence true\n", True), ("persistence true\npersistence false\n", False), ("", False)],
)
def test_a_mosquitto_on_the_board_must_write_to_disk(
    tmp_path: Path, lines: str, keeps: bool
) -> None:
    root = Root(tmp_path)
    write(root, "/etc/mosquitto/mosquitto.conf", "per_listener_settings false\n")
    write(root, "/etc/mosquitto/conf.d/edged.conf", lines)
    assert broker.keeps_on_disk(root, "127.0.0.1") is keeps
    assert broker.keeps_on_disk(root, "10.0.0.1") is None


def test_a_broker_that_forgets_is_a_warning_with_a_command() -> None:
    forgetful = Told("b:1", protocol="5", keeps_session=False)
    short = Told("b:1", protocol="5", keeps_session=True, expiry_s=5)
    in_memory = Told("b:1", protocol="5", keeps_session=True, keeps_on_disk=False)
    found = [broker.judge(told, WEEK_S)[-1] for told in (forgetful, short, in_memory)]
    assert [(one.level, bool(one.mend)) for one in found] == [("warning", True)] * 3
