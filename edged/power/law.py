"""The law that holds the watts: which operating point, and whether the next step may start.

In:  meter readings and the moments of steps, each with its time.     Out: the operating point to
set, the chunk, the pause before a step, the standing for `state`.
No I/O and no clock: daemon, engine and virtual board run the same object in their own time.
The caller's order: `observe` every tick, `choose` every second, `pause_s` before each step until it
is 0, `begin`, the step itself, `end`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edged.power.account import Counted
from edged.power.budget import (
    BLIND_DUTY,
    Limits,
    Smallest,
    Source,
    Standing,
    State,
    feasibility,
)
from edged.power.choice import Choice, Terms, best, cheapest, ladder, steady_pause_s
from edged.power.doubt import Doubt
from edged.power.forecast import CHUNKS_TOKENS, Forecast, Phase, Step
from edged.power.ledger import PAUSE_S_MAX, Ledger, Planned
from edged.power.metering import Metering, Ran
from edged.power.mix import MixMemory
from edged.power.plausible import Metered, Trust
from edged.power.stretch import Stretch

# Never aim closer to a limit than this, whatever the meter claims of itself.
GUARD_MIN = 0.004
GUARD_MAX = 0.5
# Nor this close with a forecast alone: its mean error is not its worst one.
FORECAST_GUARD = 0.03
# A forecast that no meter checks grows less certain: so much more band per second. Leakage of a
# board that warms up adds about 2 % in the 150 s that it takes (the virtual board's heat).
BAND_PER_S = 0.00015
# Ticks of learning after which the forecast of an unknown board counts as an estimate.
KNOWN_TICKS = 50
# The ladder is built again so often: which points are worth a look depends on gains and paces.
LADDER_S = 60.0
# A pause is on average this share of a bunch: some only wait for the window or the peak.
USUAL_PAUSE = 0.6


@dataclass(frozen=True, slots=True)
class Settings:
    """What the law does not decide.

    Attributes:
        step_s_max, sequences_max: longest step planned, sequences in the batch.
        cuts_prefill: whether prefill comes in chunks; else a prompt is one step, however long.
        board_known: whether the prior is of this board, so that its forecast is an estimate.
        enforce, why_off: whether steps are held at all, and what is said where they are not.
        has_meter: whether there is a meter that could answer.
        is_calibrated: the forecast's band is a calibration's, and stays while no meter checks it.
        bunch_s: longest usual pause: it wastes least on spinning and on the DDR clock's tail.
        steady_share: tokens that shorter pauses may cost, since they make the mean steadier.
    """

    step_s_max: float = 0.5
    sequences_max: int = 8
    cuts_prefill: bool = True
    board_known: bool = True
    enforce: bool = True
    why_off: str = "there is neither a known board nor a meter"
    has_meter: bool = True
    is_calibrated: bool = False
    bunch_s: float = 0.45
    steady_share: float = 0.01


class Law:
    """Holds one board to its limits."""

    def __init__(
        self, forecast: Forecast, limits: Limits, settings: Settings, now_s: float
    ) -> None:
        self.forecast = forecast
        self.settings = settings
        self._ledger = Ledger(limits, now_s)
        self._trust = Trust() if settings.has_meter else Trust("there is no meter")
        self._counter_j = self._idle_j = self._paused_s = 0.0
        self._source = Source.NOBODY
        self._lost_s = now_s
        self._last_step_end_s = -math.inf
        self._last_step_s = 0.0
        self._running: tuple[Step, float] | None = None
        self._stretches: deque[Stretch] = deque([Stretch(now_s, now_s, None)], maxlen=64)
        self._mix = MixMemory(settings.sequences_max, now_s)
        self._doubt = Doubt(forecast.learned)
        known = settings.board_known
        self._metering = Metering(
            forecast, self._ledger, self._doubt, self._trust, board_known=known
        )
        self._bunch_s = settings.bunch_s
        self._choice = Choice(len(forecast.points) - 1, 1.0, 0.0, now_s)
        self._standing = Standing(State.OK, "full speed fits")
        self._usable = frozenset(range(len(forecast.points)))
        self._climb(now_s)
        self._is_taught = self.forecast.learned.is_taught
        self._set_guard(0.0, now_s)
        self.choose(now_s)

    @property
    def point(self) -> int:
        """Return the index of the operating point to set."""
        return self._choice.point

    @property
    def chunk_tokens(self) -> int:
        """Return the prefill chunk: within `step_s_max`, and with a pause within the peak."""
        point, peak_w = self.forecast.points[self.point], self._ledger.peak_aim_w
        longest_s, window_s = self.settings.step_s_max, self.limits.peak_window_s
        step_s = self.forecast.step_s_max(point, longest_s, peak_w, window_s)
        return self.forecast.chunk_tokens(point, step_s)

    @property
    def standing(self) -> Standing:
        """Return the state of the budget."""
        return self._standing

    @property
    def source(self) -> Source:
        """Return who says the watts now."""
        return self._source

    @property
    def why_source(self) -> str:
        """Return what is thought of the meter, in words."""
        return self._trust.why

    @property
    def limits(self) -> Limits:
        """Return the limits in force."""
        return self._ledger.limits

    @property
    def duty(self) -> float:
        """Return the share of time that steps run under the limits, 0 to 1."""
        return self._choice.duty

    @property
    def running(self) -> Step | None:
        """Return the step under way."""
        return None if self._running is None else self._running[0]

    def counted(self, now_s: float) -> Counted:
        """Return the joules since the start: metered, and forecast for what is not metered yet.

        What the meter says later corrects it, so it may fall back by a fraction of a joule.
        """
        self._advance(now_s)
        return Counted(self._counter_j, self._idle_j)

    def mean_w(self, now_s: float) -> float:
        """Return the mean of the last window as the ledger knows it."""
        return self._ledger.mean_w(now_s)

    def set_limits(self, limits: Limits, now_s: float) -> None:
        """Change the budget; a cut acts at once."""
        self._advance(now_s)
        self._ledger.set_limits(limits, now_s)
        self._choice = self._choice.undecided()
        self.choose(now_s)

    # --- the meter -------------------------------------------------------------------------

    def observe(self, now_s: float, reading: Metered | None) -> None:
        """Take a tick: a reading, or None where the meter does not answer."""
        self._advance(now_s)
        before_j = self._ledger.joules_at(now_s)
        idle_since_s = self._last_step_end_s if self._running is None else math.inf
        usable = self._metering.take(now_s, reading, Ran(self._stretches, idle_since_s))
        self._counter_j += self._ledger.joules_at(now_s) - before_j
        source = self._source
        self._set_guard(reading.error_share if usable and reading else 0.0, now_s)
        if self._source is not source:
            self._standing = self._judge()  # else `state` would name the other for up to a second

    def _set_guard(self, error_share: float, now_s: float) -> None:
        """Take the band of whoever says the watts now as the share to keep free."""
        learned = self.forecast.learned
        if self._trust.is_trusted:
            self._source, self._lost_s = Source.METER, now_s
            guard = error_share
        elif self.settings.board_known or learned.decode_ticks >= KNOWN_TICKS:
            self._source = Source.FORECAST
            doubt_s = 0.0 if self.settings.is_calibrated else now_s - self._lost_s
            guard = max(FORECAST_GUARD, learned.band) + BAND_PER_S * doubt_s
        else:
            self._source = Source.NOBODY
            guard = GUARD_MAX
        self._ledger.set_guard(min(GUARD_MAX, max(GUARD_MIN, guard)))

    # --- time ------------------------------------------------------------------------------

    def _advance(self, now_s: float) -> None:
        """Forecast the time since the last call: what ran, or a pause."""
        start_s = self._ledger.forecast.end_s
        if now_s == start_s:
            return
        phase = None if self._running is None else self._running[0].phase
        for until_s, power_w in self._drawn(phase, start_s, now_s):
            length_s = max(0.0, until_s - self._ledger.forecast.end_s)
            self._counter_j += power_w * length_s
            self._idle_j += self.forecast.floor_w * length_s
            self._ledger.expect(until_s, power_w)
        last = self._stretches[-1]
        if last.phase == phase:
            self._stretches[-1] = Stretch(last.start_s, now_s, phase)
        else:
            self._stretches.append(Stretch(start_s, now_s, phase))

    def _drawn(
        self, phase: Phase | None, start_s: float, end_s: float
    ) -> Iterator[tuple[float, float]]:
        """Yield the forecast watts of a stretch, each with the moment until which they last."""
        point, at_s = self.forecast.points[self.point], start_s
        if phase is not None:
            yield end_s, self.forecast.step_w(point, phase)
            return
        for lasts_s, power_w in self.forecast.pause_parts(point):
            until_s = min(end_s, self._last_step_end_s + lasts_s)
            if until_s > at_s:
                at_s = until_s
                yield until_s, power_w
        if at_s != end_s:  # also where the clock was set back: the ledger wants to know
            yield end_s, self.forecast.floor_w

    # --- steps -----------------------------------------------------------------------------

    def pause_s(self, now_s: float, step: Step, steps: int = 1) -> float:
        """Return the seconds to pause before so many of these steps may start; 0: now."""
        if not self.settings.enforce:
            return 0.0
        if self._standing.state in (State.INFEASIBLE, State.INFEASIBLE_PEAK):
            return self.settings.bunch_s
        self._advance(now_s)
        if not self.settings.cuts_prefill:
            step = step.within(self.chunk_tokens)
        if self._source is Source.NOBODY:
            free_s = self._last_step_end_s + self._last_step_s * (1 / BLIND_DUTY - 1)
            return 0.0 if now_s >= free_s else max(0.01, min(PAUSE_S_MAX, free_s - now_s))
        point = self.forecast.points[self.point]
        power_w = self.forecast.step_w(point, step.phase)
        planned = Planned(
            length_s=steps * self.forecast.step_s(point, step),
            power_w=power_w,
            paused_w=self.forecast.paused_w(point, self._bunch_s),
            doubt_w=self._doubt.share(step.phase) * (power_w - self.forecast.floor_w),
            rested_s=now_s - self._last_step_end_s,
        )
        pause_s = self._ledger.pause_s(now_s, planned, self._bunch_s)
        self._paused_s += pause_s
        return pause_s

    def begin(self, now_s: float, step: Step) -> None:
        """Note that a step starts."""
        self._advance(now_s)
        self._running = (step, now_s)

    def disturb(self, now_s: float) -> None:
        """Note that something else ran until now: the board does not idle yet."""
        self._last_step_end_s = max(self._last_step_end_s, now_s)

    def drop(self, now_s: float) -> None:
        """Note that the step ended otherwise, or never ran: it teaches nothing."""
        self._advance(now_s)
        self._running = None

    def end(self, now_s: float, *, settled: bool, answered: int = 0) -> None:
        """Note that the step ended.

        Args:
            now_s: when.
            settled: whether it ran at the clocks that were asked for.
            answered: output tokens among those of a prefill chunk.
        """
        self._advance(now_s)
        if self._running is None:
            return
        step, began_s = self._running
        self._running = None
        self._last_step_end_s, self._last_step_s = now_s, now_s - began_s
        self._mix.take(step, answered)
        if settled:
            expected_s = self.forecast.step_s(self.forecast.points[self.point], step)
            self.forecast.learn_pace(step.phase, now_s - began_s, expected_s)

    # --- the operating point -----------------------------------------------------------------

    def allow_points(self, usable: list[int]) -> None:
        """Choose among these only: the kernel caps clocks when it is hot."""
        self._usable = frozenset(usable)
        self._usable_points = [one for one in self._ladder if one in self._usable] or [0]
        if self.point not in self._usable_points:
            self._choice = self._choice.undecided()

    def _climb(self, now_s: float) -> None:
        """Build the ladder with what was learned by now."""
        self._climbed_s = now_s
        found = ladder(self.forecast, self.settings.step_s_max, self.settings.bunch_s)
        # The point in force stays on it: `best` leaves it with patience.
        self._ladder = sorted({*found, self.point})
        self.allow_points(sorted(self._usable))

    def choose(self, now_s: float) -> None:
        """Choose the operating point again; called once a second."""
        ledger = self._ledger
        terms = Terms(
            aim_w=ledger.aim_w,
            peak_w=ledger.peak_aim_w,
            peak_window_s=ledger.limits.peak_window_s,
            mix=self._mix.follow(now_s),
            step_s_max=self.settings.step_s_max,
            pause_s=USUAL_PAUSE * self.settings.bunch_s,
        )
        if not self._is_taught and self.forecast.learned.is_taught:
            self._is_taught = True
            self._choice = self._choice.undecided()
            self._climb(now_s)
        elif now_s - self._climbed_s >= LADDER_S:
            self._climb(now_s)
        point = self.point
        if self._source is Source.NOBODY:
            self._choice = Choice(
                cheapest(self.forecast, self._usable_points), BLIND_DUTY, 0.0, now_s
            )
        elif self.settings.enforce:
            self._choice = best(self.forecast, self._usable_points, terms, self._choice, now_s)
        if self.point != point:
            self._doubt.move()
        longest = replace(terms, pause_s=self.settings.bunch_s)
        self._bunch_s = steady_pause_s(
            self.forecast, self.point, longest, self.settings.steady_share
        )
        self._standing = self._judge()
        self._paused_s = 0.0

    def _judge(self) -> Standing:
        if not self.settings.enforce:
            return Standing(State.OFF, self.settings.why_off)
        if self._source is Source.NOBODY:
            return Standing(
                State.BLIND,
                f"{self._trust.why}, and there is no forecast for this board: "
                f"steps run {BLIND_DUTY:.0%} of the time",
            )
        by = "" if self._source is Source.METER else f"; held by the forecast: {self._trust.why}"
        standing = feasibility(self._ledger.aims, self.forecast.floor_w, self._smallest())
        if standing.state is not State.OK:
            return Standing(standing.state, standing.why + by)
        if self._choice.is_full(len(self.forecast.points)) and self._paused_s == 0:
            return Standing(State.OK, "full speed fits" + by)
        return Standing(State.THROTTLED, self._choice.words(self.forecast) + by)

    def _smallest(self) -> Smallest:
        """Return the cheapest step: at the reachable point where it draws least."""
        forecast = self.forecast
        point = forecast.points[cheapest(forecast, self._usable_points)]
        step = Step("prefill", CHUNKS_TOKENS[0])
        return Smallest(
            forecast.step_w(point, "prefill"),
            forecast.step_s(point, step),
            forecast.paused_w(point, self.settings.bunch_s),
        )
