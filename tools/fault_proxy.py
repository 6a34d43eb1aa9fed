"""A TCP proxy that fails on purpose, between a client and its broker.

In:  a server's address.  Out: a port of loopback with the same server behind a bad network.
Standard library only. Knows nothing of MQTT, so that TLS passes too, and nothing of edged.

    python3 -m tools.fault_proxy LISTEN_PORT SERVER:PORT

takes orders on its standard input, one a line, and says `ok` or what is wrong with it:

    hold | release       keep all bytes back; let them go
    vanish               standing connections go silent for ever, and nobody is told
    cut | reset          end standing connections: FIN, or RST
    delay SECONDS        each piece waits so long; 0: none
    pieces BYTES         at most so many at a time; 1: byte by byte
    cut-before up|down TEXT    the next time this text comes along, end that connection before it
    cut-after up|down TEXT     or behind the piece that it ends in
    (a text like 0x4002 is bytes)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
MARKER_BYTES_MAX = 256

# `up` is from the client to the server.
Direction = Literal["up", "down"]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Source: socket(7), SO_LINGER: on, for 0 s; closing then sends RST.
LINGER_0_S = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """An end of a connection that waits for its moment.

    Attributes:
        direction: where it looks.
        marker: what it waits for, at most 256 bytes; also found across pieces.
        passes: whether the piece that the marker ends in still reaches the other side, as a whole.
    """

    direction: Direction
    marker: bytes
    passes: bool


class FaultProxy:
    """A proxy on a free port of loopback; as an async context manager it listens and ends.

    Args:
        host, port: the server behind it.
        listen_port: its own port; 0 for a free one.

    Attributes:
        port: where it listens.
        accepted: how many connections it has had.
        delay_s: how long each piece waits.
        piece_bytes: the most that passes at a time.
    """

    host = HOST

    def __init__(self, host: str, port: int, *, listen_port: int = 0) -> None:
        self.port = listen_port
        self.accepted = 0
        self.delay_s = 0.0
        self.piece_bytes = CHUNK_BYTES
        self._server_address = (host, port)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._cut: Cut | None = None
        self._has_cut = asyncio.Event()

    async def __aenter__(self) -> FaultProxy:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and end what stands."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Keep all bytes back, both ways; connections stand and new ones are accepted."""
        self._flows.clear()

    def release(self) -> None:
        """Let the bytes that were held back go on their way."""
        self._flows.set()

    def vanish(self) -> None:
        """Have the standing connections go silent: no byte passes again, and no end is told."""
        for link in self._links:
            link.is_silent = True

    def cut(self) -> None:
        """End the standing connections as a peer that closes its socket."""
        for link in self._links:
            link.cut()

    def reset(self) -> None:
        """End the standing connections as a peer that lost its memory."""
        for link in self._links:
            link.reset()

    def cut_at(self, cut: Cut) -> None:
        """End a connection the next time that a marker comes along, once."""
        self._cut = cut
        self._has_cut.clear()

    async def has_cut(self) -> None:
        """Wait until the last `cut_at` has happened."""
        await self._has_cut.wait()

    def take_cut(self, direction: Direction, seen: bytes) -> int | None:
        """Return how much of `seen` passes before the waiting cut, which then waits no more."""
        cut = self._cut
        if cut is None or cut.direction != direction or cut.marker not in seen:
            return None
        self._cut = None
        self._has_cut.set()
        return len(seen) if cut.passes else seen.index(cut.marker)

    async def flowing(self) -> None:
        """Wait until bytes may pass."""
        await self._flows.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Stream) -> None:
        try:
            server = await asyncio.open_connection(*self._server_address)
        except OSError:
            reset(client[1])  # nothing listens there: say so as well as a proxy can
            return
        link = _Link(self, client, server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.remove(link)


class _Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, client: Stream, server: Stream) -> None:
        self.is_silent = False
        self._proxy = proxy
        self._writers = (client[1], server[1])
        self._pumps: dict[Direction, Stream] = {
            "up": (client[0], server[1]),
            "down": (server[0], client[1]),
        }

    async def run(self) -> None:
        """Pass bytes until both sides have ended."""
        try:
            await asyncio.gather(*(self._pump(direction) for direction in self._pumps))
        finally:
            for writer in self._writers:
                writer.transport.abort()

    def cut(self) -> None:
        """Tell both sides that the other has closed; what still comes is thrown away."""
        self.is_silent = True
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.write_eof()

    def reset(self) -> None:
        """Send RST to both sides."""
        self.is_silent = True
        for writer in self._writers:
            reset(writer)

    async def _pump(self, direction: Direction) -> None:
        reader, writer = self._pumps[direction]
        tail = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(self._proxy.piece_bytes):
                tail = await self._pass(direction, tail, chunk)
        if not self.is_silent:
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _pass(self, direction: Direction, tail: bytes, chunk: bytes) -> bytes:
        """Pass a chunk on; return the end of all that passed, where a marker may begin."""
        await asyncio.sleep(self._proxy.delay_s)
        await self._proxy.flowing()
        if self.is_silent:
            return b""
        writer = self._pumps[direction][1]
        passed = self._proxy.take_cut(direction, tail + chunk)
        if passed is not None:
            writer.write(chunk[: max(0, passed - len(tail))])
            self.cut()
            return b""
        writer.write(chunk)
        await writer.drain()
        return (tail + chunk)[-MARKER_BYTES_MAX:]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST instead of FIN."""
    with contextlib.suppress(OSError):
        link: socket.socket = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0_S)
    writer.transport.abort()


def obey(proxy: FaultProxy, order: str) -> str:
    """Carry out one line of orders; return `ok`, or what is wrong with it."""
    match order.split():
        case ["hold" | "release" | "vanish" | "cut" | "reset" as name]:
            getattr(proxy, name)()
        case ["delay", seconds]:
            proxy.delay_s = float(seconds)
        case ["pieces", count]:
            proxy.piece_bytes = max(1, int(count))
        case ["cut-before" | "cut-after" as name, "up" | "down" as way, marker]:
            (direction,) = (one for one in get_args(Direction) if one == way)
            proxy.cut_at(Cut(direction, _marker(marker), passes=name == "cut-after"))
        case _:
            return f"no such order: {order.strip()}"
    return "ok"


def _marker(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


async def serve(listen_port: int, host: str, port: int) -> None:
    """Run a proxy and obey standard input until it ends."""
    async with FaultProxy(host, port, listen_port=listen_port) as proxy:
        print(f"listening on {proxy.port}", flush=True)
        while order := await asyncio.to_thread(sys.stdin.readline):
            try:
                print(obey(proxy, order), flush=True)
            except ValueError as error:
                print(f"{order.strip()}: {error}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Read the command line and serve; 2 when it cannot be read."""
    try:
        listen_port, server = arguments
        host, _, port = server.rpartition(":")
        numbers = int(listen_port), int(port)
    except ValueError:
        print("usage: python3 -m tools.fault_proxy LISTEN_PORT SERVER:PORT", file=sys.stderr)
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(numbers[0], host, numbers[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
