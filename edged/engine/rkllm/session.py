"""One model in the runtime: init once, then run, pace, abort and clear, one run at a time.

In:  orders of the step thread.     Out: events of each run, to where the order said.
Threads: one thread, `rkllm`, is inside the library from init to destroy; the step thread calls
`abort` alone. The library may never come back, so nobody waits for that thread without a limit.
The callback is the pacing point: the runtime stands still in it until `go_on`. Prefill has none.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from edged.engine.rkllm import structs
from edged.engine.rkllm.events import Ended, Event, Figures, Piece
from edged.engine.rkllm.library import Library
from edged.engine.rkllm.runtime_log import captured

log = logging.getLogger(__name__)

T = TypeVar("T")
TICK_S = 1.0


class NotBack(Exception):
    """A call into the library has not returned in time."""


class InitFailed(Exception):
    """The runtime did not open the model. It is not asked again: a second init can crash.

    Source: rknn-llm issue 522.
    """

    def __init__(self, problem: str, printed: str) -> None:
        super().__init__(problem)
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Setup:
    """How the model is opened.

    Attributes:
        cores: the CPU cores it may compute on.
        iommu_domain: of the NPU's memory; a domain holds 4 GiB.
    """

    model: Path
    context_tokens: int
    cores: tuple[int, ...]
    iommu_domain: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """How tokens are chosen; `top_k` 1 is greedy. The runtime has no seed."""

    top_k: int = structs.GREEDY_TOP_K
    top_p: float = 1.0
    temperature: float = 1.0
    repeat_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """One run.

    Attributes:
        text: the whole prompt, as the model is to see it.
        saves: file for the KV cache of the prompt; None for none.
    """

    text: str
    tokens_max: int
    chosen: Chosen = Chosen()
    saves: Path | None = None


class Runs(Protocol):
    """What answers one order at a time: its thread tells how far, the step thread lets it go on."""

    def begin(self, order: Order, sink: Callable[[Event], None]) -> None:
        """Start a run; `sink` gets its events. The last one has ended."""

    def go_on(self) -> None:
        """Let the run that waits behind a token go on."""

    def abort(self) -> None:
        """Ask the run to end; `Ended` comes when it has."""

    def close(self, limit_s: float) -> None:
        """Give the memory back.

        Raises:
            NotBack: the library is still inside a call.
        """


class _Run:
    """What the callback of one run needs."""

    def __init__(self, sink: Callable[[Event], None]) -> None:
        self.sink = sink
        self.turn = threading.Semaphore(0)
        self.is_aborted = False
        self.has_finished = False
        self.has_failed = False
        self.figures = Figures()


class Session:
    """A handle of the runtime."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        self._callback = structs.Callback(result_callback=structs.ResultCallback(self._told))
        self._run: _Run | None = None
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._serve, name="rkllm", daemon=True).start()

    def open(self, setup: Setup, log_file: Path, limit_s: float, tick: Callable[[], bool]) -> str:
        """Load the model; return what the runtime printed. Once in the life of a process.

        Args:
            setup: what to load, and how.
            log_file: takes what the runtime prints, so that it is there after a crash too.
            limit_s: longest load.
            tick: called each second; returns whether to go on.

        Raises:
            NotBack: it took longer, or was told not to go on.
            InitFailed: the runtime refused.
        """
        return self._called(lambda: self._open(setup, log_file), limit_s, tick)

    def load_cache(self, path: Path, limit_s: float) -> bool:
        """Load the KV cache of a prompt; return whether the runtime took it."""
        name = os.fsencode(path)
        call = self._library.load_prompt_cache
        return self._called(lambda: int(call(self._handle, name)), limit_s) == 0

    def begin(self, order: Order, sink: Callable[[Event], None]) -> None:
        """Start a run; `sink` gets its events, on the runtime's thread. The last one has ended."""
        run = self._run = _Run(sink)
        self._calls.put(lambda: self._compute(order, run))

    def go_on(self) -> None:
        """Let the runtime choose one more token."""
        if self._run is not None:
            self._run.turn.release()

    def abort(self) -> None:
        """Ask the run to end; `Ended` comes when it has. Prefill is not cut short.

        Source: rknn-llm issues 382 (another thread may abort) and 400 (prefill runs to its end).
        """
        run = self._run
        if run is None:
            return
        run.is_aborted = True
        self._library.abort(self._handle)
        run.turn.release()

    def close(self, limit_s: float) -> None:
        """Give the memory back.

        Raises:
            NotBack: the library is still inside a call.
        """
        self.abort()
        self._called(lambda: int(self._library.destroy(self._handle)), limit_s)

    def _serve(self) -> None:
        while True:
            self._calls.get()()

    def _called(
        self, function: Callable[[], T], limit_s: float, tick: Callable[[], bool] = lambda: True
    ) -> T:
        answer: Future[T] = Future()
        self._calls.put(lambda: _answered(function, answer))
        ends_s = time.monotonic() + limit_s
        while tick() and (left_s := ends_s - time.monotonic()) > 0:
            with suppress(TimeoutError):
                return answer.result(min(TICK_S, left_s))
        raise NotBack

    def _open(self, setup: Setup, log_file: Path) -> str:
        param = self._param(setup)
        with captured(log_file) as printed:
            code = self._library.init(
                ctypes.byref(self._handle), ctypes.byref(param), ctypes.byref(self._callback)
            )
        if code == 0 and not self._handle:
            raise InitFailed("it reported success and gave no handle", printed())
        if code != 0:
            raise InitFailed(f"rkllm_init returned {code}", printed())
        # The prompt comes whole: the runtime's own chat template would be put around it. Without
        # that it was seen not to end at <|im_end|>: the format's stop words do that, so special
        # tokens must come as text.
        if self._library.set_chat_template(self._handle, b"", b"", b"") != 0:
            raise InitFailed("its chat template cannot be set aside", printed())
        return printed()

    def _param(self, setup: Setup) -> structs.Param:
        param: structs.Param = self._library.create_default_param()
        param.model_path = os.fsencode(setup.model)
        param.max_context_len = param.max_new_tokens = setup.context_tokens
        param.top_k = structs.GREEDY_TOP_K
        param.skip_special_token = False
        param.ignore_eos_token = False
        param.is_async = False
        param.extend_param.base_domain_id = setup.iommu_domain
        param.extend_param.enabled_cpus_num = len(setup.cores)
        param.extend_param.enabled_cpus_mask = sum(1 << core for core in setup.cores)
        return param

    def _compute(self, order: Order, run: _Run) -> None:
        if run.is_aborted:
            self._run = None
            run.sink(Ended(run.figures))
            return
        prompt = structs.Input(role=b"user", input_type=structs.INPUT_PROMPT)
        prompt.prompt_input = order.text.encode()
        infer = _infer_param(order)
        code = self._library.run(self._handle, ctypes.byref(prompt), ctypes.byref(infer), None)
        cleared = self._library.clear_kv_cache(self._handle, 0, None, None)
        self._run = None
        run.sink(Ended(run.figures, _problem(code, run), cleared == 0))

    def _told(self, result: Any, _userdata: int | None, state: int) -> int:
        """Take a callback of the runtime; 0 lets it go on."""
        run = self._run
        if run is None:
            return 0
        if state in (structs.CallState.NORMAL, structs.CallState.WAITING):
            text = result.contents.text if result and state == structs.CallState.NORMAL else None
            run.sink(Piece(text or b""))
            if not run.is_aborted:
                run.turn.acquire()
            return 0
        run.has_finished = True
        run.has_failed = state != structs.CallState.FINISH
        if result:
            run.figures = _figures(result.contents.perf)
        return 0


def leave_without_destructors(code: int) -> None:
    """Let this process end although a thread is inside the library and will not come out.

    The library's destructors could wait for that thread for ever.
    """
    atexit.register(os._exit, code)


def _answered(function: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(function())
    except (InitFailed, OSError) as error:
        answer.set_exception(error)


def _infer_param(order: Order) -> structs.InferParam:
    chosen = order.chosen
    sampling = structs.SamplingParam(
        top_k=chosen.top_k,
        top_p=chosen.top_p,
        temperature=chosen.temperature,
        repeat_penalty=chosen.repeat_penalty,
    )
    infer = structs.InferParam(mode=structs.INFER_GENERATE, keep_history=0)
    infer.sampling_params = ctypes.pointer(sampling)
    infer.max_new_tokens = order.tokens_max
    if order.saves is not None:
        cache = structs.PromptCacheParam(1, os.fsencode(order.saves))
        infer.prompt_cache_params = ctypes.pointer(cache)
    return infer


def _figures(perf: structs.PerfStat) -> Figures:
    return Figures(
        prefill_s=perf.prefill_time_ms / 1000,
        prefill_tokens=perf.prefill_tokens,
        generate_s=perf.generate_time_ms / 1000,
        generate_tokens=perf.generate_tokens,
        memory_bytes=int(perf.memory_usage_mb * 2**20),
    )


def _problem(code: int, run: _Run) -> str:
    if code != 0:
        return f"rkllm_run returned {code}"
    if run.has_failed:
        return "the runtime reported an error"
    return "" if run.has_finished else "the runtime returned without having finished"
