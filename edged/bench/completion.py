"""llama.cpp's HTTP server as a client sees it: one POST to /completion, one GET to /health.

In:  an address, a request as JSON.     Out: the response as JSON.
The connection closes behind each exchange: nothing is reused, nothing is streamed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edged.bench.system import Answer, PeerFailed, PeerFull
from edged.bench.workload import Ask

# On a slow board the last of 64 prompts waits long.
ANSWER_S_MAX = 3600.0
# Source: llama.cpp 0c1e57098, server-context.cpp: what it says where no slot can go on.
FULL = "Context size has been exceeded"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer listens."""

    host: str
    port: int


def greedy(ask: Ask) -> dict[str, Any]:
    """Return the request for one answer at temperature 0, without what holds it to its schema.

    One sampler that keeps the best token is the quickest way for llama.cpp to be greedy.
    """
    return {
        "prompt": ask.text,
        "n_predict": ask.max_tokens,
        "temperature": 0,
        "samplers": ["top_k"],
        "top_k": 1,
        "cache_prompt": True,
        "stream": False,
    }


async def completed(address: Address, request: Mapping[str, Any], peer: str) -> Answer:
    """Return one answer.

    Raises:
        PeerFull: its KV cache was full.
        PeerFailed: it said no, or nothing.
    """
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            code, body = await _exchange(address, "POST", "/completion", json.dumps(request))
    except (OSError, TimeoutError, ValueError) as error:
        raise PeerFailed(f"{peer}: no answer: {error!r}") from error
    if code != 200 and FULL in body:
        raise PeerFull(f"{peer}: {FULL}")
    if code != 200:
        raise PeerFailed(f"{peer}: it answers {code}: {body[:400]}")
    told = json.loads(body)
    return Answer(told["content"], told["tokens_evaluated"], told["tokens_predicted"])


async def is_healthy(address: Address) -> bool:
    """Return whether the peer has loaded its model and listens."""
    try:
        return (await _exchange(address, "GET", "/health", ""))[0] == 200
    except (OSError, ValueError):
        return False


async def _exchange(address: Address, method: str, path: str, body: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        raw = body.encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {address.host}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        writer.write(head.encode() + raw)
        answer = await reader.read()
    finally:
        writer.close()
    top, _, content = answer.partition(b"\r\n\r\n")
    return int(top.split(b" ", 2)[1]), content.decode()
