"""Peers over HTTP: what is sent, what is made of the reply, and a real one where installed."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edged.bench import peers, script
from edged.bench.completion import Address, completed, greedy, is_healthy
from edged.bench.engine import best_by_trial
from edged.bench.peers import HttpPeer, Peer
from edged.bench.system import Answer, PeerFailed, PeerFull, Run, Setting, timed
from edged.bench.workload import WORKLOADS, Ask, measured
from tools import make_bench_model

ASK = measured(WORKLOADS[0], 0)[0]
REPLY = {"content": "{}", "tokens_evaluated": 12, "tokens_predicted": 3, "timings": {}}


@contextmanager
def listening(code: int, reply: str) -> Iterator[tuple[Address, list[Any]]]:
    """Run an HTTP server that gives one reply to everything; yield what it was sent, too."""
    sent: list[Any] = []

    class Reply(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Reply) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Address("127.0.0.1", server.server_port), sent
        server.shutdown()
        thread.join()


def test_a_reply_becomes_an_answer() -> None:
    with listening(200, json.dumps(REPLY)) as (address, sent):
        assert asyncio.run(completed(address, greedy(ASK), "peer")) == Answer("{}", 12, 3)
    assert sent[0]["prompt"] == ASK.text
    assert (sent[0]["temperature"], sent[0]["n_predict"]) == (0, ASK.max_tokens)


def test_a_refusal_says_which_peer_and_why() -> None:
    with (
        listening(400, '{"error": "grammar"}') as (address, _),
        pytest.raises(PeerFailed, match=r"peer: it answers 400: .*grammar"),
    ):
        asyncio.run(completed(address, greedy(ASK), "peer"))


def test_a_full_cache_is_told_from_other_refusals() -> None:
    reply = json.dumps({"error": {"code": 500, "message": "Context size has been exceeded."}})
    with listening(500, reply) as (address, _), pytest.raises(PeerFull):
        asyncio.run(completed(address, greedy(ASK), "peer"))


@dataclass(frozen=True)
class Variant:
    """A system that answers at once, or not."""

    name: str
    variant: str
    holds: int = 99
    pid: int = os.getpid()
    took: list[int] = field(default_factory=list)

    async def answer(self, ask: Ask) -> Answer:
        self.took.append(len(self.took))
        if len(self.took) > self.holds:
            raise PeerFull(self.name)
        await asyncio.sleep(0)
        return Answer("{}", 12, 3)


def test_a_variant_that_cannot_hold_the_workload_is_left_out() -> None:
    systems = [Variant("edged", ""), Variant("peer", "np 8"), Variant("peer", "np 32", holds=3)]
    best = asyncio.run(best_by_trial(WORKLOADS[0], systems, 5))
    assert [(one.name, one.variant) for one in best] == [("edged", ""), ("peer", "np 8")]


def test_a_peer_that_cannot_hold_it_in_any_variant_is_not_measured() -> None:
    systems = [Variant("edged", ""), *(Variant("peer", f"np {n}", holds=0) for n in (8, 16))]
    best = asyncio.run(best_by_trial(WORKLOADS[0], systems, 5))
    assert [one.name for one in best] == ["edged"]


def test_nobody_there_is_a_peer_that_failed() -> None:
    with listening(200, "") as (address, _):
        gone = address
    assert not asyncio.run(is_healthy(gone))
    with pytest.raises(PeerFailed, match="peer: no answer"):
        asyncio.run(completed(gone, greedy(ASK), "peer"))


@pytest.mark.parametrize(("code", "expected"), [(200, True), (503, False)])
def test_a_peer_that_still_loads_is_not_healthy(code: int, expected: bool) -> None:
    with listening(code, "{}") as (address, _):
        assert asyncio.run(is_healthy(address)) == expected


def test_one_prompt_without_an_answer_ends_the_run_in_words() -> None:
    with listening(500, "full") as (address, _):
        peer = HttpPeer("peer", "", os.getpid(), address, peers._gbnf)
        with pytest.raises(PeerFailed, match="it answers 500: full"):
            asyncio.run(timed(peer, [ASK] * 3, None, "json-cold", 0))


def test_free_text_is_held_to_no_schema() -> None:
    free = measured(next(item for item in WORKLOADS if item.form == "text"), 0)[0]
    with listening(200, json.dumps(REPLY)) as (address, sent):
        peer = HttpPeer("peer", "", 1, address, peers._gbnf)
        asyncio.run(peer.answer(free))
        asyncio.run(peer.answer(ASK))
    assert "json_schema" not in sent[0]
    assert sent[1]["json_schema"] == json.loads(script.SCHEMA)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp comes with the bench extra")
@pytest.mark.parametrize("grammar", [peers._llguidance, peers._gbnf])
def test_a_real_peer_gives_the_canonical_answer_with_either_grammar(
    tmp_path: Path, grammar: Any
) -> None:
    model = tmp_path / "scripted.gguf"
    vocabulary = str(make_bench_model.DOCK_MINI.absolute())
    words = ["--shape", "tiny", "--scripted", "--vocabulary", vocabulary, str(model)]
    assert make_bench_model.main(words) == 0

    async def run() -> Run:
        setting = Setting(model, threads=1, context_tokens=1024, sequences=8, kv_tokens=8192)
        async with peers.started(Peer("xllamacpp", 8), setting) as peer:
            asks = measured(WORKLOADS[0], 0)[:2]
            return await timed(replace(peer, grammar=grammar), asks, None, "json-cold", 0)

    assert asyncio.run(run()).right == 2
