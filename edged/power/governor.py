"""The loop that holds the budget: meter to law, law to engine and clocks.

In:  the engine's steps and wishes as they come, the meter, the clock.     Out: permits (`Go`) to
the engine, clocks to the knobs; watts, joules and their reasons to whoever shows them.
A step starts when the law lets it: a wish is granted at once, or asked again after a pause. Meter
and knobs are read and written off the event loop. On an idle board nothing ticks.
Does not know: prompts, rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from edged.board.meter import Origin, Reading
from edged.board.meters.estimate import EstimateMeter
from edged.board.meters.fault import name_of
from edged.engine.client import Lost, Pulse
from edged.engine.frames import Go, Ready, ToEngine, Wish
from edged.engine.frames import Step as StepFrame
from edged.power.account import Account, Counted
from edged.power.beat import Beat
from edged.power.budget import Budget, Source, Standing, State
from edged.power.caps import Caps
from edged.power.forecast import Step
from edged.power.gauge import PERIOD_S_MAX, Gauge, metered
from edged.power.grant import Ask, Granted, Supply, alike_s, grant_request
from edged.power.law import Law
from edged.power.outfit import Outfit
from edged.power.shown import Hands
from edged.power.shown import Watts as Watts

log = logging.getLogger(__name__)

CHOOSE_S = 1.0
# Steps much shorter than this share a permit, so that asking costs little of them.
BURST_S = 0.05
# Before so many steps taught the paces, nobody is refused or held back by them.
PACE_TICKS_MIN = 40
DUTY_MIN = 0.01
# A learned idle moves limits over it when it is off by so much.
CREEP_SHARE = 0.02
# What was learned is written this often, at most.
KEEP_S = 600.0


class Engine(Protocol):
    """What the governor needs of the engine's client."""

    pulse: Callable[[Pulse], None]

    def send(self, frame: ToEngine) -> None:
        """Send a frame."""

    @property
    def ends_with_us(self) -> bool:
        """Return whether it ends with the daemon."""

    def excuse(self) -> None:
        """Its silence is ours: it waits for a permit."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be used from the next step on.

    Attributes:
        chunk_tokens: prefill tokens of one step; None: as configured.
        is_paced: whether each step waits for its permit.
        throttled: the reason when it is less than configured.
    """

    context_tokens: int
    sequences: int
    chunk_tokens: int | None = None
    is_paced: bool = False
    throttled: str | None = None


class Governor:
    """Holds one board to its budget, through one engine.

    Attributes:
        account: where the joules went.
        changed: set when the state of the budget changes.
        begun: called when work begins on a board that rested.

    Args:
        outfit: the board's parts and the law.
        estimate: the meter that every machine has.
        engine: who runs the steps; its `pulse` becomes the governor's.
        account: the books.
        clock: monotonic seconds, the law's.
    """

    def __init__(
        self,
        outfit: Outfit,
        estimate: EstimateMeter,
        engine: Engine,
        account: Account,
        clock: Callable[[], float],
    ) -> None:
        self._outfit = outfit
        self._law = outfit.law
        self._estimate = estimate
        self._engine = engine
        self._clock = clock
        self._wish: Wish | None = None
        self._again: asyncio.TimerHandle | None = None
        self._steps_left = 0
        self._begun_s = self._chosen_s = self._kept_s = clock()
        self._caps = Caps(outfit.parts.knobs, outfit.law, clock())
        self._gauge = Gauge(outfit.parts.meter or estimate)
        self._is_ready = False
        self._last: Reading | None = estimate.read()
        self._ticked_s = clock()
        self._kept = self._law.forecast.learned
        self._beat = Beat(clock)
        self.account = account
        self.changed = asyncio.Event()
        self.begun: Callable[[], None] = lambda: None
        engine.pulse = self.take

    async def run(self) -> None:
        """Tick while something happens, until cancelled; then keep what was learned."""
        told = self._outfit.parts.told
        for sentence in (told.meter, *told.passed_over):
            log.info("meter: %s", sentence)
        if told.calibration is not None:
            log.info("calibration: %s", told.calibration)
        if told.calibration_warning is not None:
            log.warning("%s", told.calibration_warning)
        try:
            while True:
                await self._tick()
                if await self._beat.rest(self._tick_s()):
                    self.begun()
        finally:
            # On the loop: it ends now.
            self._keep()
            if self._engine.ends_with_us:
                self._caps.release()

    # --- steps -------------------------------------------------------------------------------

    def take(self, pulse: Pulse) -> None:
        """Take what the engine says, at once: a step ended, or the next one is wished for."""
        self._beat.wake()
        match pulse:
            case StepFrame():
                self._end(pulse)
            case Wish():
                self._ask(pulse if pulse.tokens else None)
            case Ready():
                self._is_ready = True
                self._caps.forget()
                self._beat.hurry()
            case Lost():
                self._is_ready = False
                self._beat.hurry()
                self._ask(None)

    def _end(self, frame: StepFrame) -> None:
        step, now_s = self._law.running, self._clock()
        if step is None or not (frame.prefill_tokens or frame.decode_tokens):
            return
        settled = self._caps.are_settled(self._begun_s)
        answered = min(frame.decode_tokens, step.tokens)
        self._law.end(now_s, settled=settled, answered=answered)
        self._steps_left -= 1
        if self._steps_left > 0:
            self._begin(step, now_s)
        else:
            self._outfit.parts.runs(None)

    def _ask(self, wish: Wish | None) -> None:
        """Take a wish in the place of an earlier one; a permit that was not used is void."""
        self._wish, self._steps_left = wish, 0
        if self._law.running is not None:
            self._law.drop(self._clock())
            self._outfit.parts.runs(None)
        self._try()

    def _try(self) -> None:
        """Grant the wish, or come again after the pause that the law wants."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        wish, now_s, law = self._wish, self._clock(), self._law
        if wish is None:
            return
        step = Step("decode" if wish.tokens == wish.sequences else "prefill", wish.tokens)
        step_s = law.forecast.step_s(law.forecast.points[law.point], step)
        steps = max(1, int(BURST_S / step_s))
        pause_s = law.pause_s(now_s, step, steps)
        if pause_s > 0:
            self._beat.wake()
            self._engine.excuse()
            self._again = asyncio.get_running_loop().call_later(pause_s, self._try)
            return
        self._wish, self._steps_left = None, steps
        self._begin(step, now_s)
        self._engine.send(Go(wish.tokens, wish.sequences, steps))

    def _begin(self, step: Step, now_s: float) -> None:
        self._begun_s = now_s
        self._law.begin(now_s, step)
        self._outfit.parts.runs(step.phase)

    # --- ticks -------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Observe; once a second choose, set the clocks and count."""
        before = self._named()
        reading = self._last = await self._gauge.read()
        now_s = self._ticked_s = self._clock()
        if not self._is_ready:
            self._law.disturb(now_s)  # a model that is being loaded is no idle board
        if self._outfit.is_paced:
            has_meter = self._outfit.parts.meter is not None
            self._law.observe(now_s, metered(reading, now_s) if reading and has_meter else None)
        await self._choose(now_s)
        if self._named() != before:
            self.changed.set()

    async def _choose(self, now_s: float) -> None:
        is_hurried = self._beat.take_hurry()
        if now_s - self._chosen_s < CHOOSE_S and not is_hurried:
            return
        law, self._chosen_s = self._law, now_s
        self._learn_idle(now_s)
        law.choose(now_s)
        is_needed = self._is_ready and law.settings.enforce
        await self._caps.follow(now_s, is_needed=is_needed, is_busy=law.running is not None)
        self.count()
        if now_s - self._kept_s > KEEP_S:
            self._kept_s = now_s
            await asyncio.to_thread(self._keep)

    def _learn_idle(self, now_s: float) -> None:
        """Put the budget on top of the idle once that is known, where it is meant above idle."""
        budget, floor_w = self._outfit.budget, self._law.forecast.learned.floor_w
        if budget.basis == "over_idle" and budget.idle_w is None and floor_w is not None:
            limits = budget.over(floor_w).limits()
            # A floor that creeps must not start the ledger anew each second.
            if abs(limits.mean_w / self._law.limits.mean_w - 1) > CREEP_SHARE:
                self._law.set_limits(limits, now_s)

    def _named(self) -> tuple[State, str, str]:
        """Return what `state` should tell at once when it changes."""
        return self._law.standing.state, name_of(self.hands.fault), self._caps.problem

    def _tick_s(self) -> float:
        """Return the meter's period while steps run, else a second."""
        if self._outfit.parts.meter is None or not self._beat.is_busy:
            return PERIOD_S_MAX
        return self._gauge.period_s

    def _keep(self) -> None:
        learned, file = self._law.forecast.learned, self._outfit.learned_file
        if file is not None and learned != self._kept:
            self._kept = learned
            file.save(self._outfit.parts.name, learned)

    def set_budget(self, budget: Budget) -> None:
        """Hold this budget from now on; a wish that waits is asked again at once."""
        self._outfit = replace(self._outfit, budget=budget)
        self._law.set_limits(budget.limits(), self._clock())
        self.changed.set()
        self._try()

    # --- what is shown -----------------------------------------------------------------------

    @property
    def is_resting(self) -> bool:
        """Return whether nothing ran for a while, so that nothing ticks."""
        return self._beat.is_resting

    @property
    def law(self) -> Law:
        """Return the law, for grants and forecasts."""
        return self._law

    def grant(self, context_tokens: int, sequences: int) -> Grant:
        """Return what the engine may use of its context and its sequences."""
        if not self._outfit.is_paced:
            return Grant(context_tokens, sequences)
        chunk_tokens = self._law.chunk_tokens
        return Grant(context_tokens, sequences, chunk_tokens, True, self.throttled)

    @property
    def forecasts(self) -> bool:
        """Return whether requests are forecast: the budget is held, and paces are known."""
        law = self._law
        return law.settings.enforce and law.forecast.learned.pace_ticks >= PACE_TICKS_MIN

    def granted(self, ask: Ask, grant: Grant, ahead: int) -> Granted | None:
        """Return what a request would get now; None where requests are not forecast.

        Args:
            ask: the request, with the seconds until its deadline.
            grant: the context and the sequences that there are.
            ahead: so many requests like it are in front.
        """
        if not self.forecasts:
            return None
        law = self._law
        supply = Supply(
            point=law.point,
            duty=max(DUTY_MIN, law.duty),
            step_s_max=law.settings.step_s_max,
            context_tokens_max=grant.context_tokens,
            sequences_max=grant.sequences,
        )
        ahead_s = ahead * alike_s(ask, supply, law.forecast)
        return grant_request(ask, replace(supply, ahead_s=ahead_s), law.forecast)

    @property
    def refusal(self) -> str | None:
        """Return why no prompt can be served at all; None while some can."""
        standing = self._law.standing
        is_hopeless = standing.state in (State.INFEASIBLE, State.INFEASIBLE_PEAK)
        return standing.why if is_hopeless else None

    @property
    def throttled(self) -> str | None:
        """Return why less is given than is configured; None where it is not."""
        standing = self._law.standing
        return standing.why if standing.state not in (State.OK, State.OFF) else None

    @property
    def origin(self) -> Origin:
        """Return who says the watts and joules now."""
        if not self._outfit.is_paced or self._law.source is not Source.METER or self._last is None:
            return "estimated"
        return self._last.origin

    @property
    def is_settled(self) -> bool:
        """Return whether the joules of a step need no forecast: a meter sees steps in a mean."""
        return not self._outfit.is_paced

    @property
    def hands(self) -> Hands:
        """Return what is said of the meter and the clocks."""
        fault = self._gauge.told(self._law.why_source)
        return Hands(self._outfit.parts.told, fault, self._caps.told)

    def watts(self) -> Watts:
        """Return what `state` says of the power."""
        law, limits, last = self._law, self._law.limits, self._last
        if not self._outfit.is_paced:
            assert last is not None, "the estimate always answers"
            return Watts(limits, law.standing, last.watts_w, "estimated", last.error_share)
        band = law.forecast.learned.band
        if self.origin != "estimated" and self._last is not None:
            band = self._last.error_share
        standing = self._noted(law.standing)
        return Watts(limits, standing, self._mean_w(), self.origin, band)

    def _mean_w(self) -> float:
        """Return the mean of the last window; an idle board, where nothing ticks, idles."""
        now_s = self._clock()
        if now_s - self._ticked_s > self._law.limits.window_s:
            return self._law.forecast.floor_w
        self._law.counted(now_s)  # brings it up to now
        return self._law.mean_w(now_s)

    def _noted(self, standing: Standing) -> Standing:
        """Return the standing with what else a person should know."""
        budget, notes = self._outfit.budget, [standing.why]
        is_learned = budget.idle_w is not None or self._law.limits != budget.limits()
        if budget.basis == "over_idle" and not is_learned:
            notes += ["the idle is not learned yet: until then the budget is of the whole board"]
        if self._gauge.fault:
            notes += [f"meter {self._gauge.fault}"]
        if self._caps.problem:
            notes += [f"clocks cannot be set: {self._caps.problem}"]
        return Standing(standing.state, "; ".join(notes))

    def step_j(self, frame: StepFrame) -> float:
        """Return the joules above idle of a step, as forecast with what was learned."""
        if not self._outfit.is_paced:
            decode_s = frame.step_s if frame.only_decodes else 0.0
            return self._estimate.step_j(frame.cpu_s, decode_s)
        forecast, law = self._law.forecast, self._law
        is_decode = not frame.prefill_tokens and frame.decode_tokens <= max(1, len(frame.shares))
        step_w = forecast.step_w(forecast.points[law.point], "decode" if is_decode else "prefill")
        return (step_w - forecast.floor_w) * frame.step_s

    def count(self) -> None:
        """Bring the books up to now, or to the estimate's last reading."""
        is_paced = self._outfit.is_paced
        estimate = self._estimate
        estimated = Counted(estimate.counter_j, estimate.idle_j)
        self.account.count(self._law.counted(self._clock()) if is_paced else estimated)
