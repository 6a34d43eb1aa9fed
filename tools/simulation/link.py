"""The network between clients and the model of a broker: sockets, with delays and cuts.

In:  bytes of a socket.     Out: the same bytes, later, or not at all.
A stream loses nothing in its middle: what is lost is its end. A link can be cut, or go silent in
both directions (half-open) until somebody notices.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.simulation.broker import Broker, Peer


@dataclass
class Weather:
    """How the network is now; links look each time.

    Attributes:
        delay_s: the longest delay of a piece; 0: none is delayed.
    """

    chance: random.Random
    delay_s: float = 0.0

    def draw_s(self) -> float:
        """Return the delay of one piece."""
        return self.chance.uniform(0.0, self.delay_s) if self.delay_s else 0.0


@dataclass
class _Way:
    """One direction: pieces in their order, each with the time at which it arrives."""

    weather: Weather
    arrive: Callable[[bytes], object]
    pieces: deque[bytes] = field(default_factory=deque)
    free_s: float = 0.0

    def send(self, data: bytes) -> None:
        """Let a piece arrive after those before it."""
        loop = asyncio.get_running_loop()
        delay_s = self.weather.draw_s()
        if not delay_s and not self.pieces:
            self.arrive(data)
            return
        self.free_s = max(self.free_s, loop.time() + delay_s)
        self.pieces.append(data)
        loop.call_at(self.free_s, self._land)

    def _land(self) -> None:
        if self.pieces:
            self.arrive(self.pieces.popleft())


class Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._peer = Peer(network.broker, self._down, self._close)
        self._ways = (
            _Way(network.weather, self._peer.received),
            _Way(network.weather, self._write),
        )
        self._transport: asyncio.Transport | None = None
        self._is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._network.links.append(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if not self._is_silent:
            self._ways[0].send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has closed, or we have: what it sent before still arrives."""
        self._gone()
        for data in self._ways[0].pieces:
            self._peer.received(data)
        self._ways[0].pieces.clear()
        self._peer.lost()

    def cut(self) -> None:
        """Break the connection; of what is under way a part may have arrived."""
        rest = b"".join(self._ways[0].pieces)
        self._gone()
        self._ways[0].pieces.clear()
        if rest:
            self._peer.received(rest[: self._network.weather.chance.randrange(len(rest) + 1)])
        self._peer.lost()
        if self._transport is not None:
            self._transport.abort()

    def hush(self) -> None:
        """Go silent: nothing arrives any more, and nobody is told."""
        self._is_silent = True
        for way in self._ways:
            way.pieces.clear()

    def _gone(self) -> None:
        if self in self._network.links:
            self._network.links.remove(self)
        self._ways[1].pieces.clear()

    def _down(self, data: bytes) -> None:
        if not self._is_silent:
            self._ways[1].send(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        """The broker ends it: what it said before is written first."""
        if self._is_silent or self._transport is None:
            return
        for data in self._ways[1].pieces:
            self._write(data)
        self._ways[1].pieces.clear()
        self._transport.close()


class Network:
    """All links to one broker.

    Attributes:
        links: those that stand.
        weather: how they are.

    Args:
        broker: the model.
        path: of its UNIX socket.
        chance: draws delays and cuts.
    """

    def __init__(self, broker: Broker, path: Path, chance: random.Random) -> None:
        self.broker = broker
        self.links: list[Link] = []
        self.weather = Weather(chance)
        self._path = path
        self._server: asyncio.Server | None = None

    @property
    def is_up(self) -> bool:
        """Return whether the broker listens."""
        return self._server is not None

    async def open(self) -> None:
        """Listen."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: Link(self), self._path)

    def close(self) -> None:
        """End the broker: nobody listens, all links are cut."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        self._server = None
        self.cut()

    def cut(self) -> None:
        """Cut all links."""
        for link in list(self.links):
            link.cut()

    def hush(self) -> None:
        """Let all links go silent."""
        for link in list(self.links):
            link.hush()
