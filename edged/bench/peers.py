"""The peers: llama-server as its users start it, and xllamacpp in a process of its own.

In:  a peer's name as on the command line.     Out: systems that answer, until a block ends.
Both get the same model, threads and KV tokens as edged, and each one's best public settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edged.bench.completion import Address, completed, greedy, is_healthy
from edged.bench.script import OTHER_SCHEMA
from edged.bench.system import Answer, PeerFailed, Setting
from edged.bench.workload import Ask, as_json
from edged.errors import ConfigError

START_S_MAX, HEALTH_POLL_S, END_S_MAX = 180.0, 0.1, 20.0
# Slots: from as many as whole contexts fit to as many as edged's batch has sequences; the best one
# is reported.
SLOTS = (8, 16, 32)
# Each waiting request holds one thread of the server.
HTTP_THREADS = 72
LOCALHOST = "127.0.0.1"
PEERS = ("llama-server:PATH", "xllamacpp")


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer as asked for; `program` is llama-server's path."""

    name: str
    slots: int
    program: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpPeer:
    """A started peer.

    Attributes:
        grammar: what holds an answer to a schema, in this peer's way.
    """

    name: str
    variant: str
    pid: int
    address: Address
    grammar: Callable[[str], dict[str, Any]]

    async def answer(self, ask: Ask) -> Answer:
        """Return the answer to one prompt; of the compact form, as JSON: peers have no other.

        Raises:
            PeerFailed: it gave none.
        """
        held = {} if ask.schema is None else self.grammar(ask.schema)
        return await completed(self.address, {**greedy(as_json(ask)), **held}, self.name)


def parse(words: str) -> list[Peer]:
    """Return the peers that one `--peer` means, one for each number of slots.

    Raises:
        ConfigError: there is no such peer, or no such program.
    """
    name, _, path = words.partition(":")
    if name == "llama-server" and path:
        if not os.access(path, os.X_OK):
            raise ConfigError(f"--peer {words}: no program there; tools/build_llama_server")
        return [Peer(name, slots, Path(path)) for slots in SLOTS]
    if words == "xllamacpp":
        return [Peer(name, slots) for slots in SLOTS]
    raise ConfigError(f"--peer {words}: unknown; there are: {', '.join(PEERS)}")


def version(peer: Peer) -> str:
    """Return what the peer says of its version.

    Raises:
        ConfigError: xllamacpp is not installed.
    """
    if peer.program is not None:
        done = subprocess.run(
            [peer.program, "--version"], capture_output=True, text=True, check=False
        )
        said = (done.stdout + done.stderr).splitlines()
        return next((line for line in said if line.startswith("version")), "version unknown")
    try:
        return importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError("--peer xllamacpp: not installed; tools/setup bench") from error


@asynccontextmanager
async def started(peer: Peer, setting: Setting) -> AsyncIterator[HttpPeer]:
    """Run a peer until the block ends.

    Raises:
        PeerFailed: it does not start.
    """
    address = Address(LOCALHOST, _free_port())
    with tempfile.TemporaryFile() as log:
        process = await _spawned(_command(peer, setting, address), log)
        try:
            await _wait_until_healthy(peer.name, process, address, log)
            grammar = _gbnf if peer.program else _llguidance
            system = HttpPeer(peer.name, f"np {peer.slots}", process.pid, address, grammar)
            await _warm(system)
            yield system
        finally:
            await ended(process)


def _command(peer: Peer, setting: Setting, address: Address) -> list[str]:
    if peer.program is None:
        numbers = (setting.threads, setting.kv_tokens, peer.slots, HTTP_THREADS, address.port)
        module = [sys.executable, "-m", "edged.bench.xllamacpp_server"]
        return [*module, str(setting.model), *map(str, numbers)]
    options: dict[str, object] = {
        "--model": setting.model,
        "--host": address.host,
        "--port": address.port,
        "--threads": setting.threads,
        "--ctx-size": setting.kv_tokens,
        "--parallel": peer.slots,
        "--threads-http": HTTP_THREADS,
    }
    pairs = [str(word) for pair in options.items() for word in pair]
    return [str(peer.program), *pairs, "--kv-unified", "--offline"]


def _gbnf(schema: str) -> dict[str, Any]:
    """llama-server makes a GBNF grammar of it."""
    return {"json_schema": json.loads(schema)}


def _llguidance(schema: str) -> dict[str, Any]:
    """The library edged uses too, without white space, as edged."""
    strict = {**json.loads(schema), "x-guidance": {"whitespace_flexible": False}}
    return {"grammar": "%llguidance {}\nstart: %json " + json.dumps(strict)}


async def _warm(system: HttpPeer) -> None:
    """Let it answer once, held to another schema: its tokenizer is then ready."""
    request = {"prompt": "Say it:\n", "n_predict": 16, "temperature": 0}
    await completed(system.address, {**request, **system.grammar(OTHER_SCHEMA)}, system.name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


async def _spawned(command: list[str], log: IO[bytes]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    except OSError as error:
        raise PeerFailed(f"{command[0]}: cannot be started: {error.strerror}") from error


async def _wait_until_healthy(
    name: str, process: asyncio.subprocess.Process, address: Address, log: IO[bytes]
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S_MAX):
            while process.returncode is None:
                if await is_healthy(address):
                    return
                await asyncio.sleep(HEALTH_POLL_S)
    log.seek(0)
    last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise PeerFailed(f"{name} did not come up: {last[0]}")


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a process politely, and if that does not help, otherwise."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
