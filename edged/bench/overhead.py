"""What edged's engine adds to llama.cpp: the share of its time outside `llama_decode`.

In:  a setting.     Out: `Overhead`.
The engine's own worker, backend and preparer run here, in a process without the daemon's socket,
with a clock around `llama_decode`. Eight prompts of one warm template are answered at once; every
step is reported to a socket that somebody reads, as in service.
"""

from __future__ import annotations

import logging
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.bench import workload
from edged.bench.resident import LEASE_S, configured, work
from edged.bench.system import Setting
from edged.engine.frames import Limits
from edged.engine.inbox import Attached, Inbox, Item, Letter
from edged.engine.load import Resident, load
from edged.engine.outlet import Outlet

BATCH = 8
# Source: llama.cpp 0c1e57098: load_tensors, llama_kv_cache and sched_reserve say it of each buffer.
# What is mapped is the file itself, in the page cache: another figure leaves its pages out, too.
_BUFFER = re.compile(r"(?<!_Mapped model )buffer size = +([0-9.]+) MiB")


@dataclass(frozen=True, slots=True)
class Overhead:
    """What is edged's own.

    Attributes:
        share: of the time, outside llama_decode, at a batch of 8.
        buffers_bytes: of weights that are not mapped, KV cache, outputs and compute, as llama.cpp
            says.
    """

    share: float
    buffers_bytes: int


def measured_overhead(setting: Setting) -> Overhead:
    """Load the model as the engine does, and measure."""
    buffers = _Buffers()
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder, buffers:
        settings, _ = configured(setting, Path(folder))
        engine = load(settings, lambda share: True)
        with _DecodeClock() as clock:
            _answer_batch(engine)
            clock.spent_s = 0.0
            total_s = _answer_batch(engine)
        engine.backend.close()
    return Overhead(1 - clock.spent_s / total_s, buffers.total_bytes)


def _answer_batch(engine: Resident) -> float:
    """Answer 8 prompts together; return the seconds it took."""
    warm = next(item for item in workload.WORKLOADS if item.name == "json-warm")
    asks = workload.measured(replace(warm, prompts=BATCH), 0)
    ours, theirs = socket.socketpair()
    outlet, reader = Outlet(ours), threading.Thread(target=_drain, args=[theirs])
    reader.start()
    now_s = time.monotonic()
    limits = Limits(engine.ready.context_tokens, BATCH, LEASE_S)
    sequences = [
        engine.preparer.sequence(work(str(place), ask), now_s) for place, ask in enumerate(asks)
    ]
    inbox = _Burst()
    items: list[Item] = [Attached(outlet), limits, *sequences]
    for item in items:
        inbox.put(item, now_s)
    began_s = time.perf_counter()
    engine.worker.run(inbox)
    took_s = time.perf_counter() - began_s
    outlet.close()
    reader.join()
    theirs.close()
    return took_s


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


class _Burst(Inbox):
    """An inbox that ends when the worker would wait: everything has been answered."""

    def __init__(self) -> None:
        super().__init__()
        self._is_taken = False

    def take(self, *, block: bool, wait_s: float | None = None) -> list[Letter] | None:
        """Return all letters, then none, then the end."""
        if block and self._is_taken:
            return None
        self._is_taken = True
        return super().take(block=block, wait_s=wait_s)


class _DecodeClock:
    """Sums the time inside `llama_decode` while the block runs.

    It stands in for the function itself: a clock any further out would count some of edged's own
    work, the filling of the batch, as llama.cpp's.

    Attributes:
        spent_s: so far.
    """

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._decode: Callable[..., int] | None = None

    def __enter__(self) -> _DecodeClock:
        import llama_cpp  # after the engine has set how its threads wait

        self._decode = llama_cpp.llama_decode
        llama_cpp.llama_decode = self._timed
        return self

    def __exit__(self, *_: object) -> None:
        import llama_cpp

        llama_cpp.llama_decode = self._decode

    def _timed(self, *given: Any) -> int:
        assert self._decode is not None
        began_s = time.perf_counter()
        code = self._decode(*given)
        self.spent_s += time.perf_counter() - began_s
        return code


class _Buffers(logging.Handler):
    """Sums the buffers that llama.cpp's log names while the block runs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.total_bytes = 0
        self._log = logging.getLogger("llama.cpp")

    def __enter__(self) -> _Buffers:
        self._log.setLevel(logging.DEBUG)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        self.total_bytes += buffer_bytes([record.getMessage()])


def buffer_bytes(lines: Sequence[str]) -> int:
    """Return the bytes of the buffers that these lines of llama.cpp's log name, mapped ones not."""
    sizes = [float(size) for line in lines for size in _BUFFER.findall(line)]
    return round(sum(sizes) * 2**20)
