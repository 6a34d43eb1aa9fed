"""One classifier in the NPU: open once, then one run at a time on a thread of its own.

In:  orders of the step thread.     Out: one piece, the answer, and the end of each run.
Threads: `rknn` is inside the module; nobody waits for it without a limit. A run is one call that
nothing can cut short; the step thread lets it begin and end as it does those of `rkllm`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from edged.engine.rkllm.events import Ended, Event, Figures, Piece
from edged.engine.rkllm.session import NotBack, Order
from edged.engine.rknn.classifier import Recipe, choose
from edged.engine.rknn.lite import Lite, LiteFailed


@dataclass(frozen=True, slots=True)
class Choice(Order):
    """A run that chooses one of these labels."""

    allowed: tuple[str, ...] = ()


class Session:
    """A classifier; it was opened by the thread that made this, which calls it no more."""

    def __init__(self, lite: Lite, recipe: Recipe) -> None:
        self._lite = lite
        self._recipe = recipe
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._turn = threading.Semaphore(0)
        threading.Thread(target=self._serve, name="rknn", daemon=True).start()

    def begin(self, order: Order, sink: Callable[[Event], None]) -> None:
        """Start a run; `sink` gets its events on this thread's own."""
        assert isinstance(order, Choice), "this backend's preparer makes choices alone"
        self._turn = turn = threading.Semaphore(0)
        self._calls.put(lambda: self._compute(order, sink, turn))

    def go_on(self) -> None:
        """Let the run end behind its answer."""
        self._turn.release()

    def abort(self) -> None:
        """Ask the run to end; the call into the module is computed to its end."""
        self._turn.release()

    def close(self, limit_s: float) -> None:
        """Give the NPU back.

        Raises:
            NotBack: the module is still inside a call.
        """
        self.abort()
        closed = threading.Event()

        def close() -> None:
            self._lite.close()
            closed.set()

        self._calls.put(close)
        if not closed.wait(limit_s):
            raise NotBack

    def _serve(self) -> None:
        while True:
            self._calls.get()()

    def _compute(
        self, order: Choice, sink: Callable[[Event], None], turn: threading.Semaphore
    ) -> None:
        began_s = time.monotonic()
        try:
            chosen = choose(self._lite, self._recipe, order.text, order.allowed)
        except LiteFailed as failed:
            sink(Ended(Figures(), str(failed)))
            return
        figures = Figures(
            prefill_s=time.monotonic() - began_s,
            prefill_tokens=len(self._recipe.words.encode(order.text)),
            generate_tokens=1,
        )
        sink(Piece(json.dumps(chosen.label, ensure_ascii=False).encode(), chosen.probability))
        turn.acquire()
        sink(Ended(figures))
