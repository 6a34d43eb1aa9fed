"""An NPU that ends its process, hangs or computes garbage while it serves: every way to one.

The stand-in device, the stub of RKLLM and the fake of rknn-toolkit-lite2 go wrong once a file is
there. A daemon stands before each: what was accepted is answered, whatever the device does.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edged.engine.client import EngineClient, Lost
from edged.engine.frames import Ready, Step, Work
from edged.engine.patience import HANG_S, HANG_TIMES
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.client_fixtures import ALL, Clock, connected, event
from tests.daemon_fixtures import Asker, Daemon, long_answer, wait_until
from tests.engine_fixtures import work, write_config
from tests.npu_fixtures import FAULT, eager_stand_in
from tests.rkllm_fixtures import Rule, rkllm_tables, stub_library
from tests.rknn_fixtures import FAKE, LABELS, rknn_tables, write_classifier
from tests.tiny_gguf import write_tiny_gguf

pytestmark = [pytest.mark.broker, pytest.mark.model, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """One way to an NPU, set up to go wrong as `fault` says once `mark` is there."""

    backend: str
    sections: Tables
    prompt: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)


def over_stand_in(folder: Path, base: Path, fault: str, mark: Path) -> Way:
    sections: Tables = {
        "model": {"path": str(write_tiny_gguf(folder / "tiny.gguf")), "threads": 1},
        "npu": {"library": str(eager_stand_in(base))},
        "rkllm": {"lock": str(folder / "npu.lock")},
    }
    prompt = {"prompt": "pallet 7", "schema": long_answer(40)}
    return Way("llama", sections, prompt, {FAULT: f"{fault} {mark}"})


def over_rkllm(folder: Path, base: Path, fault: str, mark: Path) -> Way:
    rules = [Rule("pallet", fault, (str(mark),))]
    sections = rkllm_tables(folder, stub_library(base), rules, token_s_max=2, abort_s_max=0.5)
    return Way("rkllm", sections, {"prompt": "pallet 7"})


def over_rknn(folder: Path, base: Path, fault: str, mark: Path) -> Way:
    name = {"crash": "die"}.get(fault, fault)
    model = write_classifier(folder / "events.rknn", fault=f"{name} {mark}")
    sections = rknn_tables(folder, model, answer_s_max=1)
    prompt = {"prompt": "truck at door 7", "schema": {"enum": list(LABELS)}}
    return Way("rknn", sections, prompt, {"PYTHONPATH": f"{ROOT}:{FAKE}"})


WAYS = pytest.mark.parametrize("way", [over_stand_in, over_rkllm, over_rknn])
Make = Callable[[Path, Path, str, Path], Way]


@contextmanager
def serving(folder: Path, broker: Mosquitto, way: Way) -> Iterator[tuple[Daemon, Asker]]:
    """Run a board, and a device that got one answer from it."""
    board = Daemon(
        folder,
        broker,
        backend=way.backend,
        sections=way.sections,
        environment=way.environment,
    )
    with board as daemon, Asker(broker, f"dev-{folder.name}") as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask(way.prompt, "first")
        assert device.outcome("first")["event"] == "done"
        yield daemon, device


@WAYS
@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_a_device_that_ends_or_hangs_costs_its_process_and_no_answer(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    broker: Mosquitto,
    way: Make,
    fault: str,
) -> None:
    mark = tmp_path / "strike"
    made = way(tmp_path, tmp_path_factory.getbasetemp(), fault, mark)
    with serving(tmp_path, broker, made) as (daemon, device):
        board, engine = daemon.process, daemon.engine_pid
        mark.touch()
        device.ask(made.prompt, "struck")
        struck = device.outcome("struck")
        device.ask(made.prompt, "next")
        following = device.outcome("next")
        assert board is not None
        assert board.poll() is None
        assert daemon.engine_pid != engine
    assert not mark.exists()
    assert [(one["event"], one["attempt"]) for one in (struck, following)] == [
        ("done", 2),
        ("done", 1),
    ]


def test_a_device_that_hangs_is_given_up_at_its_time_and_not_before(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "strike"
    way = over_stand_in(tmp_path, tmp_path_factory.getbasetemp(), "hang", mark)
    for name, value in way.environment.items():
        monkeypatch.setenv(name, value)
    config = write_config(tmp_path, **way.sections)

    async def run() -> None:
        clock = Clock()
        async with connected(config, clock) as client:
            await event(client, Ready)
            client.send(ALL)
            longest_s = await answered(client, work("well", max_tokens=3))
            mark.touch()
            client.expect("struck")
            client.send(work("struck", max_tokens=3))
            await asyncio.to_thread(wait_until, lambda: not mark.exists(), "the hang")
            pid = client.state.pid
            assert pid is not None
            limit_s = HANG_S + max(0.5, HANG_TIMES * longest_s)
            clock.now_s = limit_s - 0.1
            client.end_hung()
            os.kill(pid, 0)
            clock.now_s = limit_s + 0.1
            client.end_hung()
            await event(client, Lost)

    asyncio.run(run())


async def answered(client: EngineClient, one: Work) -> float:
    """Have the engine answer; return its longest step, s."""
    client.expect(one.id)
    client.send(one)
    longest_s = 0.0
    while True:
        step = await event(client, Step)
        longest_s = max(longest_s, step.step_s)
        if step.outcomes:
            return longest_s


# The engine as it is, but that its canary is due before each prompt and not each 15 minutes.
DOUBTING = """
import sys
from edged.engine import worker
worker.CANARY_NPU_S = 0.0
from edged.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_device_that_goes_over_to_garbage_is_found_out_and_says_nothing_of_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto
) -> None:
    mark = tmp_path / "strike"
    library = eager_stand_in(tmp_path_factory.getbasetemp())
    sections: Tables = {
        "model": {"threads": 1, "sequences": 1},
        "npu": {"library": str(library), "batch_tokens": 32},
        "engine": {"chunk_tokens": 32},
        "rkllm": {"lock": str(tmp_path / "npu.lock")},
    }
    prompt = {"template": "dock-event", "input": "cold truck at door 9 shows 11 C, pallet 20881"}
    environment = {FAULT: f"garbage {mark}", "PYTHONPATH": str(ROOT)}
    way = Way("llama", sections, prompt, environment)
    board = Daemon(tmp_path, broker, backend="llama", sections=sections, environment=environment)
    command = [sys.executable, "-c", DOUBTING, "engine", "--config", str(board.config)]
    engine = subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT)
    try:
        wait_until((tmp_path / "engine.sock").exists, "the engine's socket")
        with serving(tmp_path, broker, way) as (daemon, device):
            right = device.replies[-1][1]["json"]
            mark.touch()
            device.ask(prompt, "struck")
            assert engine.wait(60) == 69
            daemon.wait_for_log("instead of")  # the canary's sentence
            daemon.wait_for_log("computes something else than the CPU")  # the next one's trial
            device.ask(prompt, "refused")
            refused = device.next(lambda reply: reply["id"] == "refused")
            mark.unlink()
            struck = device.outcome("struck")
    finally:
        engine.kill()
        engine.wait()
    assert refused["reason"] == "engine_down"
    assert (struck["event"], struck["attempt"], struck["json"]) == ("done", 2, right)
