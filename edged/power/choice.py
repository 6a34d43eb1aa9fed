"""Which operating point gives the most useful tokens per second under both limits.

In:  the forecast, the reachable points, the limits to aim at, what the work is made of.
Out: a `Choice`, the same as before unless another is clearly better.
Pure. Fast down: a point that no longer fits is left at once. Slow up: more watts only after the
advantage has lasted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edged.board.soc import Point
from edged.power.forecast import Forecast, Mix

# Another point must be better by this much: less is noise of the gains.
HYSTERESIS = 0.03
# So many seconds in a row before a point is changed for a better one.
PATIENCE = 3
# Less counts when it lasts: noise of the gains changes its sign, a better point stays better.
LASTING_HYSTERESIS = 0.01
LASTING_PATIENCE = 20
# Kinds of work that the ladder covers: answers only, a usual mix, long prompts.
LADDER_MIXES = (0.0, 4.0, 100.0)
LADDER_SEQUENCES = 4
# A point may be dearer than a faster one by this much: pauses cost more than they seem to.
LADDER_SHARE = 1.08
# After a change the gains need time to settle before the next.
DWELL_S = 5.0
# Pauses that are tried, as parts of the longest, the shortest first.
PAUSE_PARTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a choice is made under.

    Attributes:
        aim_w, peak_w: means to stay under, board input.
        peak_window_s: what `peak_w` is a mean over.
        pause_s: length of the pauses that would be needed.
    """

    aim_w: float
    peak_w: float
    peak_window_s: float
    mix: Mix
    step_s_max: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen operating point.

    Attributes:
        point: its index in the forecast's points.
        duty: share of time that steps run there under the limits.
        tokens_s: output tokens per second expected; 0 before the first choice.
        since_s: when it was chosen.
        wanted: how many choices in a row another one was clearly better.
        surpassed: how many choices in a row another one was better at all.
    """

    point: int
    duty: float
    tokens_s: float
    since_s: float
    wanted: int = 0
    surpassed: int = 0

    def undecided(self) -> Choice:
        """Return this point, free to be left at once."""
        return replace(self, tokens_s=0.0)

    def is_full(self, points: int) -> bool:
        """Return whether nothing is held back."""
        return self.point == points - 1 and self.duty >= 1.0

    def words(self, forecast: Forecast) -> str:
        """Return the choice in words for `state`; no clocks where none can be set."""
        if len(forecast.points) == 1:
            return f"no clock is set, steps run {self.duty:.0%} of the time"
        clocks = forecast.points[self.point].clocks
        return (
            f"NPU {clocks.npu_hz / 1e6:.0f}, CPU {clocks.cpu_hz / 1e6:.0f}, "
            f"DDR {clocks.ddr_hz / 1e6:.0f} MHz, steps run {self.duty:.0%} of the time"
        )


def best(
    forecast: Forecast, points: Iterable[int], terms: Terms, current: Choice, now_s: float
) -> Choice:
    """Return the point with the most output tokens per second; keep the current one if close."""
    found, found_s, found_duty = current.point, -1.0, 1.0
    for place in points:
        tokens_s, duty = throughput(forecast, place, terms)
        if tokens_s > found_s:
            found, found_s, found_duty = place, tokens_s, duty
    if current.tokens_s <= 0:
        return Choice(found, found_duty, found_s, now_s)
    kept_s, kept_duty = throughput(forecast, current.point, terms)
    kept = replace(current, tokens_s=max(kept_s, 1e-9), duty=kept_duty)
    waits = _waiting(kept, found_s / kept.tokens_s - 1)
    is_due = waits.wanted >= PATIENCE or waits.surpassed >= LASTING_PATIENCE
    if not is_due or now_s - current.since_s < DWELL_S:
        return waits
    return Choice(found, found_duty, found_s, now_s)


def _waiting(kept: Choice, advantage: float) -> Choice:
    """Return the choice with what it knows of another one that is better by this share."""
    wanted = kept.wanted + 1 if advantage > HYSTERESIS else 0
    surpassed = kept.surpassed + 1 if advantage > LASTING_HYSTERESIS else 0
    return replace(kept, wanted=wanted, surpassed=surpassed)


def cheapest(forecast: Forecast, places: Iterable[int]) -> int:
    """Return the place of the point where a step costs least."""
    points = forecast.points
    return min(places, key=lambda one: points[one].prefill_w * points[one].prefill_slow)


def throughput(forecast: Forecast, place: int, terms: Terms) -> tuple[float, float]:
    """Return output tokens per second and duty at one point, held to both limits by pauses.

    An answer that cannot be given in time is not admitted, so that all tokens are useful.
    """
    point, step_s_max = forecast.points[place], terms.step_s_max
    over_w = forecast.step_w(point, "prefill") - terms.peak_w
    if over_w > 0:
        step_s_max = forecast.step_s_max(point, step_s_max, terms.peak_w, terms.peak_window_s)
    length_s, joules = forecast.output_cost(point, terms.mix, step_s_max)
    paused_w = forecast.paused_w(point, terms.pause_s)
    if paused_w >= terms.aim_w:
        return 0.0, 0.0
    stretched_s = length_s
    if over_w > 0:
        share = over_w / (terms.peak_w - paused_w)
        stretched_s += share * _prefill_s(forecast, point, terms.mix, step_s_max)
        joules += (stretched_s - length_s) * paused_w
    mean_w = joules / stretched_s
    duty = 1.0
    if mean_w > terms.aim_w:
        duty = max(0.0, (terms.aim_w - paused_w) / (mean_w - paused_w))
    return duty / stretched_s, duty * length_s / stretched_s


def steady_pause_s(forecast: Forecast, place: int, terms: Terms, share: float) -> float:
    """Return the shortest pause that costs at most a share of the tokens of `terms.pause_s`.

    Each pause that enters or leaves a window moves its mean; short ones move it less and waste
    more on spinning and on the DDR clock's tail. Where hardly any are needed they may be short.
    """
    most_s, _ = throughput(forecast, place, terms)
    for part in PAUSE_PARTS if share > 0 else ():
        pause_s = part * terms.pause_s
        tokens_s, _ = throughput(forecast, place, replace(terms, pause_s=pause_s))
        if tokens_s >= (1 - share) * most_s:
            return pause_s
    return terms.pause_s


def _prefill_s(forecast: Forecast, point: Point, mix: Mix, step_s_max: float) -> float:
    """Return the seconds of prefill of one output token."""
    chunk = forecast.chunk_tokens(point, step_s_max)
    return mix.prefill_per_output * forecast.prefill_s(point, chunk) / chunk


def ladder(forecast: Forecast, step_s_max: float, pause_s: float) -> list[int]:
    """Return the points worth a look: no other is both faster and clearly cheaper.

    Hundreds of settings become some dozens, so that a choice costs microseconds.
    """
    kept: set[int] = set()
    for prefill_per_output in LADDER_MIXES:
        mix = Mix(prefill_per_output, LADDER_SEQUENCES)
        costs = []
        for place, point in enumerate(forecast.points):
            length_s, joules = forecast.output_cost(point, mix, step_s_max)
            # Above a pause, not above idle: pauses at this point cost too.
            paused_j = length_s * forecast.paused_w(point, pause_s)
            costs.append((length_s, joules - paused_j, place))
        least_j = float("inf")
        for _, joules, place in sorted(costs):
            if joules < LADDER_SHARE * least_j:
                kept.add(place)
            least_j = min(least_j, joules)
    return sorted(kept)
