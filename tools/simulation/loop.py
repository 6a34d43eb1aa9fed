"""An event loop whose clock is a number, and which runs threads' work at once.

In:  a coroutine.     Out: what it returns; seconds pass only while everything waits.
The same work in the same order each time: the clock jumps to the next timer when nothing else is
to be done, sockets that are ready come in the order in which they were opened, tasks count as they
were made, and what belongs in a thread runs where it is asked for, its result comes later.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple, Unpack

# Work of one moment takes some hundred turns.
TURNS_AT_ONCE_MAX = 100_000

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StandsStillError(Exception):
    """Something is done again and again at one moment: with a real clock, as fast as it can."""


class _Selector(selectors.DefaultSelector):
    """Waits for no timer: lets the loop's clock jump over the time that a timer wants."""

    loop: VirtualLoop

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[int, int] = {}
        self._next_place = itertools.count()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._places[key.fd] = next(self._next_place)
        return key

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(None if timeout is None else 0)
        if not found and timeout is not None:
            self.loop.now_s += max(0.0, timeout)
        return sorted(found, key=lambda one: self._places[one[0].fd])


class _CountedTask(asyncio.Task[Any]):
    """A task that sets hold in the order in which tasks were made, not by its address."""

    def __init__(self, coroutine: Any, *, place: int, **named: Any) -> None:
        self.place = place
        super().__init__(coroutine, **named)

    def __hash__(self) -> int:
        return self.place


class _Caught:
    """What a thread's work ended with; whoever awaits it gets that, errors too."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        self._error: BaseException | None = None
        self.has_run = False
        self.found: object = None

    def __enter__(self) -> None:
        self.has_run = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._error = error
        return True

    def tell(self) -> None:
        """Let the one who waits go on, unless he does no more."""
        if self._future.done():
            return
        if self._error is None:
            self._future.set_result(self.found)
        else:
            self._future.set_exception(self._error)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    Attributes:
        now_s: its clock.
        turns: how often it looked for work; between two turns the process may be cut off anywhere.
        on_turn: called before each turn.
        on_unhandled: called with what nobody handles: of itself asyncio only logs it.
        job: runs what belongs in a thread; says after how many seconds its result comes.
        signals: what is to be called for a signal.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.turns = 0
        self.on_turn: Callable[[], None] = lambda: None
        self.on_unhandled: Callable[[str], None] = lambda what: None
        self.job: Callable[[Callable[[], object]], float] = _at_once
        self.signals: dict[int, Callable[[], object]] = {}
        self._tasks = itertools.count(1)
        self._ends_s: dict[Executor | None, float] = {}
        self._moment_s, self._turns_before = 0.0, 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_task_factory(_counted)
        self.set_exception_handler(_unhandled)

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now_s

    def _run_once(self) -> None:
        self.turns += 1
        self._see_time_pass()
        self.on_turn()
        super()._run_once()  # type: ignore[misc] # not public, and the only place between two turns

    def _see_time_pass(self) -> None:
        """Count what is done in one moment.

        Raises:
            StandsStillError: it does not end.
        """
        if self.now_s > self._moment_s:
            self._moment_s, self._turns_before = self.now_s, self.turns
        elif self.turns > self._turns_before + TURNS_AT_ONCE_MAX:
            self._turns_before = self.turns  # whoever ends the rest needs some, too
            raise StandsStillError(f"at {self.now_s:.3f} s: {TURNS_AT_ONCE_MAX} turns in no time")

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a thread's work at once; its result comes when `job` says."""
        future: asyncio.Future[T] = self.create_future()
        caught = _Caught(future)

        def run() -> None:
            with caught:
                caught.found = func(*args)

        takes_s = self.job(run)
        ends_s = max(self.now_s, self._ends_s.get(executor, 0.0)) + takes_s
        if executor is not None:  # one thread: its jobs end in their order
            self._ends_s[executor] = ends_s
        if caught.has_run:
            self.call_at(ends_s, caught.tell)
        return future

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts
    ) -> None:
        """Keep what a signal is to call; nobody else sends one."""
        self.signals[sig] = lambda: callback(*args)

    def next_task(self) -> int:
        """Return the number of a new task."""
        return next(self._tasks)


def run_virtually(make: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(make(loop))
    finally:
        loop.run_until_complete(_end_rest(loop))
        loop.close()


async def _end_rest(loop: VirtualLoop) -> None:
    """Cancel what nobody waited for."""
    own = asyncio.current_task()
    rest = sorted((task for task in asyncio.all_tasks(loop) if task is not own), key=hash)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _at_once(run: Callable[[], object]) -> float:
    run()
    return 0.0


def _counted(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualLoop)
    return _CountedTask(coroutine, place=loop.next_task(), loop=loop, **named)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, VirtualLoop)
    error = context.get("exception")
    if isinstance(error, asyncio.CancelledError):
        return  # a stream's task was cancelled: that is no fault
    loop.default_exception_handler(context)
    loop.on_unhandled(f"nobody handles {error!r}: {context['message']}")
