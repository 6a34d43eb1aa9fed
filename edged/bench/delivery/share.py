"""How much of the engine's rate arrives: answers through MQTT against the engine asked directly.

In:  a model, a folder, a broker's port.     Out: answers per second of both, in pairs.
Directly: the same engine process over its socket, as `edged bench engine` asks it, without MQTT,
spool and scheduler. Both engines stay up; the one that has not its turn sleeps.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.bench import script, workload
from edged.bench.delivery.board import Board
from edged.bench.delivery.device import OUTCOMES, Device, Prompt, is_event
from edged.bench.resident import ResidentEngine, resident
from edged.bench.system import Setting, asked
from edged.bench.workload import Ask, Workload
from edged.errors import EngineUnusable

IN_FLIGHT = 16
TEMPLATE = "bench"
CLIENT = "asks"


@dataclass(frozen=True, slots=True)
class Shared:
    """Answers per second of one repetition."""

    direct_per_s: float
    mqtt_per_s: float

    @property
    def share(self) -> float:
        """What arrives, of what the engine gives."""
        return self.mqtt_per_s / self.direct_per_s


def shared(folder: Path, port: int, setting: Setting, count: int, repeat: int) -> list[Shared]:
    """Measure in pairs; the order within a pair changes from one to the next."""
    warm = next(item for item in workload.WORKLOADS if item.name == "json-warm")
    warm = replace(warm, prompts=count)
    _write_template(folder / "templates", workload.measured(warm, 0)[0])
    with Board(folder / "board", port, _tables(setting, folder)) as board, Device(port) as device:
        board.wait_until_ready()
        device.listen(f"{board.topic}/res/{CLIENT}/#")
        return asyncio.run(_pairs(board, device, setting, warm, repeat))


async def _pairs(
    board: Board, device: Device, setting: Setting, warm: Workload, repeat: int
) -> list[Shared]:
    found = []
    async with resident(setting) as engine:
        await _direct_s(engine, workload.warm_up(warm, 0))
        await asyncio.to_thread(_mqtt_s, board, device, workload.warm_up(warm, 0), "warm")
        for repetition in range(repeat):
            asks = workload.measured(warm, repetition)
            name = f"r{repetition}"
            if repetition % 2:
                mqtt_s = await asyncio.to_thread(_mqtt_s, board, device, asks, name)
                direct_s = await _direct_s(engine, asks)
            else:
                direct_s = await _direct_s(engine, asks)
                mqtt_s = await asyncio.to_thread(_mqtt_s, board, device, asks, name)
            found.append(Shared(len(asks) / direct_s, len(asks) / mqtt_s))
    return found


async def _direct_s(engine: ResidentEngine, asks: Sequence[Ask]) -> float:
    began_s = time.perf_counter()
    await asked(engine, asks, IN_FLIGHT)
    return time.perf_counter() - began_s


def _mqtt_s(board: Board, device: Device, asks: Sequence[Ask], name: str) -> float:
    """Ask through the broker; a further prompt goes out for each outcome that came.

    Raises:
        EngineUnusable: an outcome was not `done`.
    """
    began_s = time.perf_counter()
    for number, ask in enumerate(asks):
        if number >= IN_FLIGHT:
            _take(device)
        payload = {"template": TEMPLATE, "input": ask.prompt.payload}
        topic = f"{board.topic}/req/{CLIENT}/{name}-{number}"
        device.send(Prompt(topic, json.dumps(payload).encode()))
    for _ in asks[-IN_FLIGHT:]:
        _take(device)
    return time.perf_counter() - began_s


def _take(device: Device) -> None:
    reply = device.next(is_event(*OUTCOMES, "refused")).reply
    if reply["event"] != "done":
        raise EngineUnusable(f"a prompt of the benchmark was not answered: {reply}")


def _tables(setting: Setting, folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "model": {
            "path": str(setting.model.absolute()),
            "context_tokens": setting.context_tokens,
            "sequences": setting.sequences,
            "threads": setting.threads,
            "templates_dir": str(folder / "templates"),
        },
        "engine": {"kv_tokens": setting.kv_tokens},
    }


def _write_template(folder: Path, ask: Ask) -> None:
    """Make the benchmark's prompt a template of the board."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {
        "name": TEMPLATE,
        "root": ask.prompt.root,
        "payload": "{message}",
        "suffix": ask.prompt.suffix,
        "schema": ask.schema or "",
        "max_tokens": ask.max_tokens,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    lines += ["[variables.message]", 'description = "What a device says."']
    lines += ["[example]", f"input = {json.dumps(ask.prompt.payload)}"]
    lines += [f"answer = {json.dumps(script.answer('json'))}"]
    (folder / f"{TEMPLATE}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
