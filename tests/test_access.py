"""Who gets in, with mosquitto as it is shipped: certificates, topics of one's own, and nobody else.

The site's authority is `tools/site-ca`'s, the broker's files are those of systemd/mosquitto.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.errors import BrokerGone
from edged.mqtt.dial import dial
from tests.daemon_fixtures import BOARD, ROOT, Daemon, wait_until
from tests.mqtt_fixtures import (
    CLIENT_ID,
    DEADLINE_S,
    Device,
    board,
    finish,
    payloads,
    take,
    to,
    until,
)
from tests.site_broker import GOOD, OVER, SiteBroker, made
from tools.board_processes import write_config
from tools.site_ca import Site

pytestmark = pytest.mark.broker

REFUSED = 0x87  # MQTT 5, table 2-6: not authorized


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return made(tmp_path_factory.mktemp("site"), "edge-1", "edge-2", "scanner-7", "plc-3", "desk")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[SiteBroker]:
    with SiteBroker(tmp_path_factory.mktemp("broker"), site) as running:
        yield running


def problem_of(broker: SiteBroker, name: str, site: Site | None = None) -> str:
    """Return why a client is not let in."""
    said: list[str] = []

    async def scenario() -> None:
        async with board(broker.table(name, site)) as session:
            state = await until(session, lambda state: bool(state.problem) or state.connected)
            assert not state.connected
            said.append(state.problem)

    finish(scenario())
    return said[0]


def code_of(device: Device, topic: str) -> int:
    """Return the reason code of the broker's PUBACK."""
    codes: list[int] = []
    device._client.on_publish = lambda _, __, ___, reason, ____: codes.append(reason.value)
    device.publish(topic, b"x")
    return codes[0]


def test_a_board_with_a_certificate_of_the_site_is_let_in(broker: SiteBroker) -> None:
    async def scenario() -> None:
        async with board(broker.table("edge-1"), filters=(f"{BOARD}/req/+",)) as session:
            await session.connected()
            with broker.device("scanner-7") as device:
                device.publish(f"{BOARD}/req/scanner-7", b"hello")
                assert payloads(await take(session, 1)) == [b"hello"]

    finish(scenario())


def test_a_client_without_a_certificate_is_refused(broker: SiteBroker, site: Site) -> None:
    ca = str(site.folder / "ca.pem")
    nameless = broker.table("edge-1").model_copy(
        update={"tls_certificate_file": None, "tls_key_file": None}
    )
    assert str(nameless.tls_ca_file) == ca

    async def scenario() -> None:
        async with board(nameless) as session:
            state = await until(session, lambda state: bool(state.problem) or state.connected)
            assert not state.connected

    finish(scenario())
    assert "peer did not return a certificate" in broker.log.read_text()


def test_a_client_of_an_unknown_authority_is_refused(broker: SiteBroker, tmp_path: Path) -> None:
    assert problem_of(broker, "edge-1", made(tmp_path / "other", "edge-1"))
    assert "certificate verify failed" in broker.log.read_text()


def test_an_expired_client_certificate_is_refused(
    broker: SiteBroker, site: Site, tmp_path: Path
) -> None:
    for name in ("ca.pem", "ca.key"):
        shutil.copy(site.folder / name, tmp_path)
    same_authority = Site(tmp_path)
    same_authority.client("edge-1", OVER)
    before = broker.log.read_text().count("certificate verify failed")
    assert problem_of(broker, "edge-1", same_authority)
    assert broker.log.read_text().count("certificate verify failed") > before


def test_a_revoked_certificate_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    site = made(tmp_path / "site", "edge-1", "edge-2")
    site.revoke("edge-2", GOOD.begins)
    with SiteBroker(tmp_path / "broker", site, ["crlfile"]) as broker:
        assert problem_of(broker, "edge-2")

        async def scenario() -> None:
            async with board(broker.table("edge-1")) as session:
                await session.connected()

        finish(scenario())


def test_a_board_refuses_a_broker_of_an_unknown_authority(
    broker: SiteBroker, tmp_path: Path
) -> None:
    other = made(tmp_path / "other", "edge-1")
    table = broker.table("edge-1").model_copy(update={"tls_ca_file": other.folder / "ca.pem"})
    with pytest.raises(BrokerGone, match="certificate not accepted"):
        dial(table, "edge-1", "5", None)


def test_a_board_refuses_a_broker_whose_certificate_expired(tmp_path: Path) -> None:
    site = made(tmp_path / "site", "edge-1", term=OVER)
    with (
        SiteBroker(tmp_path / "broker", site) as broker,
        pytest.raises(BrokerGone, match="expired"),
    ):
        dial(broker.table("edge-1"), "edge-1", "5", None)


@pytest.mark.parametrize(
    "topic",
    [
        f"{BOARD}/req/plc-3/p1",
        f"{BOARD}/req/plc-3",
        f"{BOARD}/cancel/plc-3/p1",
        f"{BOARD}/res/scanner-7/p1",
        f"{BOARD}/state",
        f"{BOARD}/availability",
        f"{BOARD}/watch",
        f"{BOARD}/cmd/budget/o1",
        f"{BOARD}/cmd/drain/o1",
        "scanner/1/text",
    ],
)
def test_a_client_on_a_topic_that_is_not_its_own_is_refused(broker: SiteBroker, topic: str) -> None:
    with broker.device("scanner-7") as device:
        assert code_of(device, topic) == REFUSED
        assert code_of(device, f"{BOARD}/req/scanner-7/p1") != REFUSED


def test_a_board_on_another_board_s_topic_is_refused(broker: SiteBroker) -> None:
    with broker.device("edge-2") as other:
        assert code_of(other, f"{BOARD}/res/scanner-7/p1") == REFUSED
        assert code_of(other, f"{BOARD}/availability") == REFUSED


def test_a_client_hears_its_own_answers_and_nobody_else_s(broker: SiteBroker) -> None:
    async def scenario() -> None:
        async with board(broker.table("edge-1")) as session:
            await session.connected()
            with broker.device("scanner-7") as device:
                device.subscribe("edged/v1/#")
                await session.publish(to(f"{BOARD}/res/plc-3/p1", b"not for you"))
                await session.publish(to(f"{BOARD}/req/scanner-7/p1", b"not for you"))
                await session.publish(to(f"{BOARD}/live", b"not for you"))
                await session.publish(to(f"{BOARD}/res/scanner-7/p1", b"yours"))
                assert (await device.hear()).payload == b"yours"

    finish(scenario())


def test_whoever_looks_after_boards_may_watch_and_not_ask(broker: SiteBroker) -> None:
    async def scenario() -> None:
        async with board(broker.table("edge-1"), filters=(f"{BOARD}/watch",)) as session:
            await session.connected()
            with broker.device("desk") as desk:
                desk.subscribe(f"{BOARD}/live")
                desk.publish(f"{BOARD}/watch", b"")
                await take(session, 1)
                await session.publish(to(f"{BOARD}/live", b"figures"))
                assert (await desk.hear()).payload == b"figures"
                assert code_of(desk, f"{BOARD}/req/scanner-7/p1") == REFUSED

    finish(scenario())


def test_a_message_over_the_limit_ends_its_sender_s_connection_and_no_other(
    broker: SiteBroker,
) -> None:
    async def scenario() -> None:
        async with board(broker.table("edge-1"), filters=(f"{BOARD}/req/+/+",)) as session:
            number = await session.connected()
            with broker.device("plc-3") as greedy, broker.device("scanner-7") as device:
                ended = threading.Event()
                greedy._client.on_disconnect = lambda *_: ended.set()
                greedy._client.publish(f"{BOARD}/req/plc-3/p1", b"x" * 300_000, 1)
                assert await asyncio.to_thread(ended.wait, DEADLINE_S)
                device.publish(f"{BOARD}/req/scanner-7/p1", b"small")
                # What earlier tests left unacknowledged comes too.
                while b"small" not in payloads(await session.deliveries()):
                    continue
            assert session.state.connections == number

    finish(scenario())


def test_a_client_with_a_certificate_can_take_the_client_id_of_a_board(broker: SiteBroker) -> None:
    async def scenario() -> None:
        async with board(broker.table("edge-1")) as session:
            await session.connected()
            with broker.device("scanner-7", client_id=CLIENT_ID):
                state = await until(session, lambda state: not state.connected)
                assert state.problem

    finish(scenario())


def test_the_broker_reads_what_it_carries(tmp_path: Path, site: Site) -> None:
    async def scenario(broker: SiteBroker) -> None:
        async with board(broker.table("edge-1"), filters=(f"{BOARD}/req/+/+",)) as session:
            await session.connected()
        with broker.device("scanner-7") as device:
            device.publish(f"{BOARD}/req/scanner-7/p1", b"it waits in the clear")
        await asyncio.to_thread(saved, broker, b"it waits in the clear")

    with SiteBroker(tmp_path, site) as broker:
        finish(scenario(broker))


def test_prompts_and_sessions_at_the_broker_survive_kill_9_of_it(
    tmp_path: Path, site: Site
) -> None:
    async def scenario(broker: SiteBroker) -> None:
        filters = (f"{BOARD}/req/+/+",)
        async with board(broker.table("edge-1"), filters=filters) as session:
            await session.connected()
        with broker.device("scanner-7") as device:
            device.publish(f"{BOARD}/req/scanner-7/p1", b"waits")
        await asyncio.to_thread(saved, broker, b"waits")
        broker.kill()
        broker.start()
        async with board(broker.table("edge-1"), filters=filters) as session:
            state = await until(session, lambda state: state.connected)
            assert state.session_present
            assert payloads(await take(session, 1)) == [b"waits"]

    with SiteBroker(tmp_path, site) as broker:
        finish(scenario(broker))


def saved(broker: SiteBroker, payload: bytes) -> None:
    """Wait until the broker has written what it acknowledged; it does at its next round."""
    database = broker.log.parent / "mosquitto.db"
    wait_until(lambda: database.exists() and payload in database.read_bytes(), "the broker's save")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, site: Site, broker: SiteBroker
) -> Iterator[Daemon]:
    """A daemon whose key is a credential, as systemd hands it over."""
    credentials = tmp_path_factory.mktemp("credentials")
    shutil.copy(site.folder / "edge-1.key", credentials / "edged.key")
    identity = broker.identity("edge-1") | {"tls_key_file": "credential:edged.key"}
    daemon = Daemon(
        tmp_path_factory.mktemp("board"),
        broker,
        sections={"broker": identity},
        environment={"CREDENTIALS_DIRECTORY": str(credentials)},
    )
    with daemon:
        daemon.wait_for_log("connected to the broker")
        yield daemon


@pytest.mark.model
@pytest.mark.usefixtures("served")
def test_a_daemon_reads_its_key_from_a_credential_and_answers_over_tls(broker: SiteBroker) -> None:
    with broker.device("scanner-7") as device:
        device.subscribe(f"{BOARD}/res/scanner-7/#")
        device.publish(f"{BOARD}/req/scanner-7/p1", b'{"prompt":"pallet 48213"}')
        reply = json.loads(asyncio.run(device.hear()).payload)
    assert (reply["id"], reply["event"]) == ("p1", "done")


@pytest.mark.model
@pytest.mark.usefixtures("served")
def test_a_person_asks_from_another_machine_with_a_certificate_of_their_own(
    broker: SiteBroker, tmp_path: Path
) -> None:
    table = {"host": broker.host, "port": broker.port, **broker.identity("scanner-7")}
    config = write_config(tmp_path, broker=table)
    words = ["ask", "--config", str(config), "--client", "scanner-7", "--json", "pallet 48213"]
    command = [sys.executable, "-m", "edged", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["event"] == "done"


def test_a_credential_outside_a_unit_is_named(broker: SiteBroker) -> None:
    from edged.config import Broker

    table = Broker.model_validate({"username": "u", "password_file": "credential:edged.password"})
    with pytest.raises(BrokerGone, match=r"credential:edged\.password: .*CREDENTIALS_DIRECTORY"):
        dial(table, "edge-1", "5", None)
