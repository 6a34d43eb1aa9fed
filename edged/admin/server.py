"""The daemon's side of the admin socket.

In:  lines of connected users.     Out: orders to the helm, answers with the board's state.
On the event loop. A peer that is slow, large or not allowed costs itself a connection, and nobody
else anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, assert_never

from edged.activation import Activation
from edged.admin.peer import Peer, is_allowed, peer_of
from edged.admin.wire import (
    ASK_BYTES_MAX,
    ActivateAsk,
    Answer,
    Ask,
    HoldAsk,
    ResetBudgetAsk,
    ResumeAsk,
    RollbackAsk,
    SetBudgetAsk,
    StatusAsk,
    line_of,
    read_ask,
)
from edged.config import Config
from edged.errors import AdminRefused
from edged.orders.helm import Helm
from edged.orders.kept import Mode
from edged.unix_socket import listening

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 8
# A person's command asks at once; who says nothing for so long is let go.
LINE_S_MAX = 10.0

_MODES = {"pause": Mode.PAUSED, "drain": Mode.DRAINING}


class AdminServer:
    """Serves the socket.

    Args:
        listener: from `admin_listener`.
        config: for the path and who may.
        helm: carries out orders.
        activation: those of the store.
        state: makes the board's state, as the retained topic carries it.
    """

    def __init__(
        self,
        listener: socket.socket,
        config: Config,
        helm: Helm,
        activation: Activation,
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._listener = listener
        self._path = config.admin_socket
        self._mode = int(config.admin.mode, 8)
        self._state_dir = os.path.realpath(config.state_dir)
        self._helm = helm
        self._activation = activation
        self._state = state
        self._connections = 0

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            server = await asyncio.start_unix_server(
                lambda reader, writer: _start(tasks, self._serve(reader, writer)),
                sock=self._listener,
                limit=ASK_BYTES_MAX,
                start_serving=False,  # it awaits: who is cancelled there has no server to close
            )
            try:
                await server.start_serving()
                await asyncio.get_running_loop().create_future()  # until cancelled
            finally:
                server.close()
                self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            with suppress(ConnectionError, TimeoutError):
                await self._converse(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer line after line; a refused peer gets one answer and no more."""
        peer = peer_of(writer.get_extra_info("socket"))
        refused = self._refusal(peer)
        if refused is not None:
            await _say(writer, _refused(refused))
            return
        while True:
            async with asyncio.timeout(LINE_S_MAX):
                try:
                    line = await reader.readline()
                except ValueError:  # asyncio's word for a line over the limit
                    longest = f"a line has at most {ASK_BYTES_MAX} bytes"
                    await _say(writer, _refused(AdminRefused("malformed", longest)))
                    return
            if not line.endswith(b"\n"):
                return
            await _say(writer, await self._answer(line, peer))

    def _refusal(self, peer: Peer) -> AdminRefused | None:
        if self._connections > CONNECTIONS_MAX:
            detail = f"{CONNECTIONS_MAX} connections are open, more are not served; try again"
            return AdminRefused("busy", detail)
        if not is_allowed(peer, Peer(os.getuid(), os.getgid()), self._mode):
            log.warning("admin socket: %s is not allowed", peer.name)
            detail = (
                f"{peer.name} may not: root and edged's user may, and its group with admin.mode = "
                '"0660"'
            )
            return AdminRefused("not_allowed", detail)
        return None

    async def _answer(self, line: bytes, peer: Peer) -> Answer:
        try:
            warning = await self._carry_out(self._ours(read_ask(line)), peer.name)
        except AdminRefused as error:
            return _refused(error)
        return Answer(
            warning=warning,
            state=self._state(),
            left_s={
                "service": self._helm.said_of_mode().left_s,
                "budget": self._helm.said_of_budget().left_s,
            },
        )

    def _ours(self, ask: Ask) -> Ask:
        """Return an ask that is meant for this board.

        Raises:
            AdminRefused: `other_board`.
        """
        if ask.state_dir not in (None, self._state_dir):
            detail = (
                f"the daemon there keeps its state in {self._state_dir}, not in {ask.state_dir}; "
                "is `edged run` up with the file of --config?"
            )
            raise AdminRefused("other_board", detail)
        return ask

    async def _carry_out(self, ask: Ask, by: str) -> str | None:
        match ask:
            case StatusAsk():
                return None
            case ResumeAsk():
                return await self._helm.order(Mode.SERVING, by)
            case HoldAsk(command=command, for_s=for_s):
                return await self._helm.order(_MODES[command], by, for_s)
            case SetBudgetAsk(budget_w=budget_w, peak_w=peak_w, for_s=for_s):
                return await self._helm.order_budget(budget_w, peak_w, by, for_s)
            case ResetBudgetAsk():
                return await self._helm.reset_budget(by)
            case ActivateAsk(kind=kind, slot=slot):
                await self._activation.activate(kind, slot, by)
                return None
            case RollbackAsk(kind=kind):
                await self._activation.roll_back(kind, by)
                return None
            case _:
                assert_never(ask)


def admin_listener(config: Config) -> socket.socket:
    """Return the listening socket; the state directory's lock is held.

    Raises:
        ConfigError: nothing can be bound at the path.
    """
    return listening(config.admin_socket, int(config.admin.mode, 8), "admin.socket")


def _start(tasks: asyncio.TaskGroup, serving: Coroutine[None, None, None]) -> None:
    tasks.create_task(serving, name="admin connection")


def _refused(error: AdminRefused) -> Answer:
    return Answer(reason=error.reason, detail=error.detail)


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(line_of(answer))
    async with asyncio.timeout(LINE_S_MAX):
        await writer.drain()
