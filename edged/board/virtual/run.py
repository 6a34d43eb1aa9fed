"""Runs a virtual board under a policy, in virtual time, from event to event.

In:  a plant, a load, a policy, events such as a new budget.     Out: the truth, and what was done.
The step loop is the real one's in small: ask the policy, pause, start, end. An hour takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edged.board.virtual.engine import Engine
from edged.board.virtual.plant import Board
from edged.board.virtual.sensor import Sensor
from edged.power.forecast import Phase, Step
from edged.power.plausible import Metered

# The policy reads the meter at this period, under the chip's averaging time.
TICK_S = 0.125
TICKS_PER_CHOICE = 8


class Policy(Protocol):
    """What decides about clocks, chunk and pauses."""

    @property
    def point(self) -> int:
        """The operating point that it wants."""

    @property
    def chunk_tokens(self) -> int:
        """The prefill chunk."""

    def observe(self, now_s: float, reading: Metered | None) -> None:
        """Take a tick."""

    def choose(self, now_s: float) -> None:
        """Decide again; called once a second."""

    def allow_points(self, usable: list[int]) -> None:
        """Learn which points the kernel leaves."""

    def pause_s(self, now_s: float, step: Step) -> float:
        """Return the pause before the step; 0 to start."""

    def begin(self, now_s: float, step: Step) -> None:
        """A step starts."""

    def end(self, now_s: float, *, settled: bool) -> None:
        """It ended."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to the board at a moment."""

    at_s: float
    act: Callable[[], None]


class Run:
    """One run of a virtual board."""

    def __init__(
        self,
        board: Board,
        sensor: Sensor,
        engine: Engine,
        policy: Policy,
        events: Sequence[Event] = (),
    ) -> None:
        self._board = board
        self._sensor = sensor
        self._engine = engine
        self._policy = policy
        self._events = sorted(events, key=lambda event: event.at_s)
        self._tick_s = TICK_S
        self._ticks = 0
        self._was_hot = False

    def until(self, end_s: float) -> None:
        """Run up to `end_s`."""
        board, engine, policy = self._board, self._engine, self._policy
        while board.now_s < end_s:
            board.settle_clocks()
            engine.admit(board.now_s)
            step = engine.step(policy.chunk_tokens)
            if step is None:
                self._advance(min(end_s, engine.next_arrival_s(), self._tick_s + 1e-9), None)
                continue
            pause_s = policy.pause_s(board.now_s, step)
            if pause_s > 0:
                self._advance(min(end_s, board.now_s + pause_s), None)
                continue
            settled = board.place == policy.point
            policy.begin(board.now_s, step)
            self._advance(board.now_s + board.step_s(step.phase, step.tokens), step.phase)
            policy.end(board.now_s, settled=settled and board.place == policy.point)
            engine.done(step, board.now_s)

    def _advance(self, until_s: float, phase: Phase | None) -> None:
        """Let time pass; conversions, ticks and events happen on the way."""
        board, sensor = self._board, self._sensor
        while board.now_s < until_s:
            event_s = self._events[0].at_s if self._events else until_s
            board.run(min(until_s, sensor.next_s, self._tick_s, event_s), phase)
            if board.now_s >= sensor.next_s:
                sensor.convert(board)
            if board.now_s >= self._tick_s:
                self._tick()
            while self._events and self._events[0].at_s <= board.now_s:
                self._events.pop(0).act()

    def _tick(self) -> None:
        board, policy = self._board, self._policy
        self._tick_s += TICK_S
        self._ticks += 1
        board.heat()
        if board.is_hot != self._was_hot:
            self._was_hot = board.is_hot
            policy.allow_points(board.reachable())
        policy.observe(board.now_s, self._sensor.read(board.now_s))
        if self._ticks % TICKS_PER_CHOICE == 0:
            policy.choose(board.now_s)
        board.ask_for(policy.point)
