"""`edged bench engine`: the same workloads on edged's engine and on its peers, taking turns.

In:  a model file, peers.     Out: the report.
All systems stay up together and idle while another one has its turn. In each repetition another
one begins, so that none always runs on a warm or on a rested machine. A trial before the first one
tells with which of its settings a peer does each workload best; with this one it is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import edged
from edged.bench import peers, report, script, system, workload
from edged.bench.inside import Inside, measured_inside
from edged.bench.peers import Peer
from edged.bench.resident import ResidentEngine, has_wire, resident
from edged.bench.system import PeerFull, Run, Setting, System
from edged.bench.table import NOT_AVAILABLE
from edged.bench.workload import Workload
from edged.config import Config
from edged.engine.frames import Ready
from edged.engine.gguf_file import read_header
from edged.engine.threads import compute_threads
from edged.errors import ConfigError

SCRIPT_KEY = "edged.bench.script"
# What a figure depends on, beside edged itself.
PACKAGES = ("llama-cpp-python", "llguidance")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured.

    Attributes:
        peers: one entry for each variant of a peer.
        repeat: pairs of each workload.
    """

    setting: Setting
    peers: tuple[Peer, ...]
    workloads: tuple[Workload, ...]
    repeat: int


def ordered(
    model: Path,
    *,
    peer_words: Sequence[str],
    names: Sequence[str],
    repeat: int,
    threads: int | None,
    is_quick: bool,
) -> Order:
    """Return the order that the command line means.

    Raises:
        ConfigError: no such workload or peer, or nothing to repeat.
    """
    unknown = sorted(set(names) - set(workload.NAMES))
    if unknown:
        known = ", ".join(workload.NAMES)
        raise ConfigError(f"--workload {unknown[0]}: unknown; there are: {known}")
    if repeat < 1:
        raise ConfigError(f"--repeat {repeat}: at least 1; 5 for figures to show")
    shipped = Config()
    setting = Setting(
        model,
        threads or compute_threads(),
        context_tokens=shipped.model.context_tokens,
        sequences=shipped.model.sequences,
        kv_tokens=shipped.kv_tokens,
    )
    wanted = [peer for words in peer_words for peer in peers.parse(words)]
    return Order(setting, tuple(wanted), tuple(workload.chosen(names, is_quick=is_quick)), repeat)


def bench(order: Order) -> dict[str, Any]:
    """Run it all; return the report.

    Raises:
        EngineUnusable: edged's engine cannot serve the model.
        PeerFailed: a peer does not start or answer.
    """
    return asyncio.run(_bench(order))


async def _bench(order: Order) -> dict[str, Any]:
    scripted = _is_scripted(order.setting.model)
    versions = {peer.name: peers.version(peer) for peer in order.peers}
    inside = await measured_inside(order.setting)
    async with resident(order.setting) as engine:
        can_run = [await _lengthened(item, engine) for item in order.workloads if _has(item)]
        runs = await _runs_beside(order, can_run, engine)
        beyond_bytes = system.rss_bytes(engine.pid, order.setting.model) - inside.buffers_bytes
    parts = {item.name: _part(item, runs, inside, is_scripted=scripted) for item in order.workloads}
    return {
        **_circumstances(order, engine.ready, inside, versions),
        "workloads": parts,
        "compute_bound_share": report.compute_bound_share(parts),
        "overhead_share": round(inside.overhead_share, 4),
        "rss_beyond_model_bytes": beyond_bytes,
    }


def _has(item: Workload) -> bool:
    """Return whether this edged can be asked so."""
    return item.form != "compact" or has_wire()


async def _lengthened(item: Workload, engine: ResidentEngine) -> Workload:
    """Return the workload, a long one as long as the engine's context allows."""
    if not item.is_long:
        return item
    trials = [workload.measured(replace(item, long_words=steps), 0)[0] for steps in (0, 1)]
    # One token of free text is the least that can be asked for; its answer tells the prompt's.
    asks = [replace(trial, form="text", schema=None, max_tokens=1) for trial in trials]
    counts = [(await engine.answer(ask)).prompt_tokens for ask in asks]
    room_tokens = engine.ready.context_tokens - trials[0].max_tokens
    return workload.lengthened(item, room_tokens, counts)


async def _runs_beside(
    order: Order, workloads: Sequence[Workload], engine: ResidentEngine
) -> list[Run]:
    """Start the peers, then run everything on everyone."""
    async with AsyncExitStack() as stack:
        others: list[System] = [
            await stack.enter_async_context(peers.started(peer, order.setting))
            for peer in order.peers
        ]
        return await _runs(order.repeat, workloads, [engine, *others])


async def _runs(repeat: int, workloads: Sequence[Workload], systems: Sequence[System]) -> list[Run]:
    runs: list[Run] = []
    entrants = [await best_by_trial(item, systems, repeat) for item in workloads]
    for repetition in range(repeat):
        for item, own in zip(workloads, entrants, strict=True):
            first = repetition % len(own)
            runs += [await _run(one, item, repetition) for one in [*own[first:], *own[:first]]]
    return runs


async def best_by_trial(
    item: Workload, systems: Sequence[System], repetition: int
) -> Sequence[System]:
    """Return each system once, by the variant that did a workload best; those that cannot, not.

    Args:
        item: what is done, off the record.
        systems: the variants of a system share its name.
        repetition: one that is not measured: its templates are nobody's.
    """
    if len({one.name for one in systems}) == len(systems):
        return systems
    runs: list[Run] = []
    for one in systems:
        with contextlib.suppress(PeerFull):
            runs.append(await _run(one, item, repetition))
    best = {name: own[0].variant for name, own in report.best_variants(runs).items()}
    return [one for one in systems if best.get(one.name) == one.variant]


async def _run(one: System, item: Workload, repetition: int) -> Run:
    await system.asked(one, workload.warm_up(item, repetition), None)
    asks = workload.measured(item, repetition)
    return await system.timed(one, asks, item.at_once, item.name, repetition)


def _part(
    item: Workload, runs: Sequence[Run], inside: Inside, *, is_scripted: bool
) -> Mapping[str, Any]:
    if not _has(item):
        return {NOT_AVAILABLE: "this edged has no compact wire form"}
    own = [run for run in runs if run.workload == item.name]
    if item.form != "compact":
        report.check_same_prompts(own)
    roots = item.templates if item.is_cold else 0
    return report.workload_report(own, roots, inside, is_scripted=is_scripted)


def _is_scripted(model: Path) -> bool:
    """Return whether the model was made to give the canonical answers.

    Raises:
        ConfigError: it was made for another version of them.
    """
    known = read_header(model).keys.get(SCRIPT_KEY)
    if known is not None and known != script.digest():
        raise ConfigError(
            f"{model}: a scripted model of other answers than this edged's; make it again: "
            "python -m tools.make_bench_model"
        )
    return known is not None


def _circumstances(
    order: Order, ready: Ready, inside: Inside, versions: Mapping[str, str]
) -> dict[str, Any]:
    setting = order.setting
    return {
        "machine": {"cpu": system.cpu_name(), "system": platform.platform()},
        "build": {
            "edged": edged.__version__,
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in PACKAGES},
            "peers": versions,
        },
        "model": {
            "name": ready.name,
            "digest": ready.digest,
            "bytes": setting.model.stat().st_size,
        },
        "setting": {
            "threads": setting.threads,
            "context_tokens": setting.context_tokens,
            "sequences": setting.sequences,
            "kv_tokens": setting.kv_tokens,
        },
        "repeat": order.repeat,
        "inside": asdict(inside),
    }


def as_json(found: Mapping[str, Any]) -> str:
    """Return the report for a machine."""
    return json.dumps(found, indent=1) + "\n"
