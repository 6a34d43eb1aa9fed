"""The cable of a board is pulled out and put in again: nobody is told, and nothing is lost.

Method: the daemon runs in a network namespace of its own, mosquitto and the device outside of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.broker import Mosquitto, free_port
from tests.daemon_fixtures import Asker, Daemon, long_answer, wait_until
from tests.daemon_fixtures import device as device
from tests.network_namespace import Cable, End, cable, needs_namespaces
from tests.spool_fixtures import settled

pytestmark = [pytest.mark.broker, needs_namespaces]

BOTH_ENDS = pytest.mark.parametrize("end", ["cable", "board"])


@dataclass
class Listener:
    """Where the board finds the broker."""

    host: str
    port: int


@pytest.fixture(scope="module")
def link() -> Iterator[Cable]:
    with cable() as made:
        yield made


@pytest.fixture(scope="module")
def listener(link: Cable) -> Listener:
    return Listener(link.host, free_port())


@pytest.fixture(scope="module")
def broker(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    outward = f"listener {listener.port} {listener.host}"
    with Mosquitto(tmp_path_factory.mktemp("broker"), extra_config=[outward]) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(
    broker: Mosquitto, listener: Listener, link: Cable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    place = tmp_path_factory.mktemp("daemon")
    sections = {"broker": {"keepalive_s": 5}}
    with Daemon(place, listener, sections=sections, prefix=link.prefix) as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


@BOTH_ENDS
def test_an_answer_waits_for_the_cable(
    daemon: Daemon, device: Asker, link: Cable, end: End
) -> None:
    before = settled(daemon.state_dir)
    device.ask({"prompt": "x", "schema": long_answer(200), "receipt": True}, "p")
    device.next(lambda reply: reply["event"] == "accepted")
    with link.pulled(end):
        wait_until(lambda: settled(daemon.state_dir) > before, "an outcome in the spool")
    assert device.outcome("p")["event"] == "done"
    assert len({bytes(message.payload) for _, _, message in device.replies}) == 2


@pytest.mark.slow
@BOTH_ENDS
def test_a_link_that_is_gone_is_noticed_and_taken_up_again(
    daemon: Daemon, device: Asker, link: Cable, end: End
) -> None:
    breaks = daemon.log.read_text().count("trying again")
    with link.pulled(end):
        device.ask({"prompt": "hello"}, "p")
        wait_until(lambda: daemon.log.read_text().count("trying again") > breaks, "the end")
    assert device.outcome("p")["event"] == "done"


def test_a_broker_that_restarted_behind_a_pulled_cable_is_found_again(
    broker: Mosquitto, daemon: Daemon, device: Asker, link: Cable
) -> None:
    connects = daemon.log.read_text().count("connected to the broker")
    with link.pulled("cable"):
        broker.kill()
        broker.start()
    # The board's next packet, at the latest its PINGREQ, meets a machine that knows nothing of it.
    wait_until(
        lambda: daemon.log.read_text().count("connected to the broker") > connects, "a connection"
    )
    with Asker(broker, "after") as after:
        after.listen()
        after.ask({"prompt": "hello"}, "p")
        assert after.outcome("p")["event"] == "done"
