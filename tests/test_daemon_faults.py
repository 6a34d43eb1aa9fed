"""The daemon on a bad network and beside frozen processes: nothing accepted is lost or said twice.

Method: `tools.fault_proxy` stands between the daemon and a real mosquitto, a device on the good
side of it keeps the books.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import (
    BOARD,
    Asker,
    Daemon,
    ProxyProcess,
    long_answer,
    wait_until,
)
from tests.daemon_fixtures import device as device
from tests.spool_fixtures import settled

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def proxy(broker: Mosquitto) -> Iterator[ProxyProcess]:
    with ProxyProcess(broker) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(proxy: ProxyProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), proxy) as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


def test_what_waited_at_the_broker_gets_its_refusal_over_a_slow_link(
    daemon: Daemon, proxy: ProxyProcess, device: Asker
) -> None:
    daemon.stop()
    device.ask(b"{nonsense", "bad")
    # The prompt comes right behind the CONNACK, long before the SUBACK.
    proxy.order("delay 0.2")
    daemon.start()
    assert device.next()["reason"] == "malformed"
    proxy.order("delay 0")


def test_an_answer_whose_puback_was_lost_comes_again_with_the_same_bytes(
    daemon: Daemon, proxy: ProxyProcess, device: Asker
) -> None:
    proxy.order('cut-after up "event":"done"')
    device.ask({"prompt": "hello"}, "p")
    device.outcome("p")
    device.outcome("p")
    first, again = (message.payload for _, _, message in device.replies)
    assert first == again


@pytest.mark.parametrize("id", ["p", None])
def test_a_prompt_whose_puback_was_lost_is_answered_once(
    daemon: Daemon, proxy: ProxyProcess, device: Asker, id: str | None
) -> None:
    breaks = daemon.log.read_text().count("broke")
    proxy.order("cut-before up 0x4002")  # a PUBACK; MQTT 5, 3.4
    device.ask({"prompt": "hello"}, id)
    wait_until(lambda: daemon.log.read_text().count("broke") > breaks, "the cut")
    device.ask({"prompt": "last", "temperature": 0}, "last")
    device.outcome("last")
    device.drain()
    heard = {reply["id"]: bytes(message.payload) for _, reply, message in device.replies}
    assert len(heard) == 2, "one prompt, one id"
    assert {bytes(message.payload) for _, _, message in device.replies} == set(heard.values())


def test_an_answer_waits_for_a_broker_that_froze(
    broker: Mosquitto, daemon: Daemon, device: Asker
) -> None:
    before = settled(daemon.state_dir)
    device.ask({"prompt": "x", "schema": long_answer(300), "receipt": True}, "p")
    device.next(lambda reply: reply["event"] == "accepted")
    with frozen(broker.pid):
        wait_until(lambda: settled(daemon.state_dir) > before, "an outcome in the spool")
    assert device.outcome("p")["event"] == "done"
    assert device.events("p") == ["accepted", "done"]


@pytest.mark.slow
def test_an_engine_that_froze_is_replaced_and_its_prompt_answered(
    daemon: Daemon, device: Asker
) -> None:
    engine = daemon.engine_pid
    assert engine is not None
    device.ask({"prompt": "x", "schema": long_answer(900), "stream": True}, "p")
    device.next(lambda reply: reply["event"] == "chunk")
    with frozen(engine):
        assert device.outcome("p")["attempt"] == 2
    assert daemon.engine_pid != engine


def test_a_broker_that_lost_everything_gets_all_retained_again(
    broker: Mosquitto, daemon: Daemon
) -> None:
    topics = ("availability", "state", "template/dock-event")
    broker.stop()
    (broker.directory / "mosquitto.db").unlink()
    broker.start()
    daemon.wait_for_log("the broker lost our session")
    for topic in topics:
        assert broker.run("mosquitto_sub", "-t", f"{BOARD}/{topic}", "-C", "1", "-W", "30")


def test_what_was_unread_at_sigterm_waits_at_the_broker(daemon: Daemon, device: Asker) -> None:
    ids = {f"p-{number}" for number in range(80)}
    for number, id in enumerate(ids):
        device.ask({"prompt": "hello", "max_tokens": 2}, id)
        if number == 50:
            assert daemon.stop() == 0
    daemon.start()
    while {reply["id"] for _, reply, _ in device.replies} < ids:
        device.next()
    # An outcome may come twice, always with the same bytes.
    assert len({bytes(message.payload) for _, _, message in device.replies}) == len(ids)


def test_what_was_unread_at_a_kill_is_not_taken_for_an_equal_prompt_before(
    daemon: Daemon, device: Asker
) -> None:
    device.ask("door 4 is open")
    ids = {device.next()["id"]}
    assert daemon.process is not None
    with frozen(daemon.process.pid):
        for _ in range(2):
            device.ask("door 4 is open")
        daemon.kill()
    daemon.start()
    while len(ids) < 3:
        ids.add(device.next()["id"])


def test_a_board_whose_broker_is_silent_ends_when_it_is_told_to(
    daemon: Daemon, proxy: ProxyProcess
) -> None:
    proxy.order("hold")
    assert daemon.stop() == 0
    proxy.order("release")
    daemon.start()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process as a debugger or a full machine would, as long as the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
