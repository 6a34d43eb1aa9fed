"""The proxy does to bytes what its orders say, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mqtt_fixtures import finish
from tools.fault_proxy import Cut, FaultProxy, obey

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Ends:
    """Both ends of the connections through a proxy."""

    proxy: FaultProxy
    server: asyncio.Queue[Stream]

    async def client(self) -> Stream:
        return await asyncio.open_connection(self.proxy.host, self.proxy.port)


@contextlib.asynccontextmanager
async def ends() -> AsyncIterator[Ends]:
    """Listen as the server behind a proxy."""
    arrived: asyncio.Queue[Stream] = asyncio.Queue()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await arrived.put((reader, writer))

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with FaultProxy("127.0.0.1", port) as proxy:
        yield Ends(proxy, arrived)
    server.close()
    while not arrived.empty():
        arrived.get_nowait()[1].transport.abort()


@pytest.mark.parametrize("order", ["release", "pieces 1", "pieces 7", "delay 0.001"])
def test_however_slowly_all_bytes_pass_in_order(order: str) -> None:
    async def scenario() -> None:
        async with ends() as both:
            assert obey(both.proxy, order) == "ok"
            reader, writer = await both.client()
            writer.write(bytes(range(200)))
            there, back = await both.server.get()
            assert await there.readexactly(200) == bytes(range(200))
            back.write(b"answer")
            assert await reader.readexactly(6) == b"answer"
            back.close()
            assert await reader.read() == b""
            writer.close()

    finish(scenario())


def test_what_was_held_back_passes_when_it_is_released() -> None:
    async def scenario() -> None:
        async with ends() as both:
            both.proxy.hold()
            _, writer = await both.client()
            writer.write(b"late")
            there, back = await both.server.get()
            reading = asyncio.ensure_future(there.readexactly(4))
            await silent(reading)
            both.proxy.release()
            assert await reading == b"late"
            writer.close()
            back.close()

    finish(scenario())


async def silent(reading: asyncio.Future[bytes]) -> None:
    """Let the loop turn over often enough for bytes on loopback to come, and see that none did."""
    done, _ = await asyncio.wait([reading], timeout=0.05)
    assert not done


def test_from_a_connection_that_vanished_nothing_comes_again_and_no_end() -> None:
    async def scenario() -> None:
        async with ends() as both:
            reader, writer = await both.client()
            there, back = await both.server.get()
            both.proxy.vanish()
            writer.write(b"lost")
            back.write(b"lost too")
            up, down = map(asyncio.ensure_future, (there.read(9), reader.read(9)))
            await silent(up)
            await silent(down)
            writer.close()
            await silent(up)
            back.close()

    finish(scenario())


def test_a_cut_is_an_end_and_a_reset_an_error() -> None:
    async def scenario() -> None:
        async with ends() as both:
            for order in ("cut", "reset"):
                reader, writer = await both.client()
                _, back = await both.server.get()
                obey(both.proxy, order)
                if order == "cut":
                    assert await reader.read() == b""
                else:
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                writer.transport.abort()
                back.transport.abort()

    finish(scenario())


@pytest.mark.parametrize(
    ("passes", "pieces", "wanted"),
    [(True, 1000, b"one MARK two"), (False, 1000, b"one "), (True, 3, b"one MARK ")],
)
def test_a_cut_waits_for_its_marker_and_happens_once(
    passes: bool, pieces: int, wanted: bytes
) -> None:
    async def scenario() -> None:
        async with ends() as both:
            both.proxy.cut_at(Cut("up", b"MARK", passes=passes))
            both.proxy.piece_bytes = pieces
            for heard in (wanted, b"one MARK two"):
                _, writer = await both.client()
                there, back = await both.server.get()
                writer.write(b"one MARK two")
                writer.write_eof()
                assert await there.read() == heard
                await both.proxy.has_cut()
                writer.close()
                back.close()

    finish(scenario())


def test_a_proxy_before_nothing_resets_its_clients() -> None:
    async def scenario() -> None:
        async with FaultProxy("127.0.0.1", 1) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    finish(scenario())


def test_the_command_obeys_its_input_and_says_what_it_does_not_understand() -> None:
    orders = "hold\ndelay 0.5\ncut-before up 0x4002\ndance\ndelay soon\n"
    command = [sys.executable, "-m", "tools.fault_proxy", "0", "127.0.0.1:1"]
    told = subprocess.run(
        command, cwd=Path(__file__).parent.parent, input=orders, capture_output=True, text=True
    ).stdout.splitlines()
    assert told[0].startswith("listening on ")
    assert told[1:5] == ["ok", "ok", "ok", "no such order: dance"]
    assert told[5].startswith("delay soon: could not convert")
