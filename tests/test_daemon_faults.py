"""The daemon on a bad network and beside frozen processes: nothing accepted is lost or said twice.

Method: `tools.fault_proxy` stands between the daemon and a real mosquitto, a device on the good
side of it keeps the books.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixture import Asker, Daemon, ProxyProcess

pytestmark = pytest.mark.broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def proxy(broker: Mosquitto) -> Iterator[ProxyProcess]:
    with ProxyProcess(broker) as running:
        yield running


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[Asker]:
    with Asker(broker) as connected:
        connected.listen()
        yield connected


@pytest.fixture
def daemon(proxy: ProxyProcess, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "d", proxy) as running:
        running.wait_for_log("connected to the broker")
        yield running


def test_what_waited_at_the_broker_gets_its_refusal_over_a_slow_link(
    daemon: Daemon, proxy: ProxyProcess, device: Asker
) -> None:
    daemon.stop()
    device.ask(b"{nonsense", "bad")
    # The prompt comes right behind the CONNACK, long before the SUBACK.
    proxy.order("delay 0.3")
    daemon.start()
    assert device.next()["reason"] == "malformed"
