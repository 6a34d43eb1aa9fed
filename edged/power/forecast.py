"""The forecast: seconds and watts of a step before it runs, and what is learned from each.

In:  a prior table of the board, metered means, measured seconds.     Out: `Forecast`, and its
`Learned` part, which outlives restarts.
Pure. One gain for the watts and one for the seconds of each phase scale the whole table: a ratio
measured at one point holds for the others well enough, and cannot wind up at a steady point.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from edged.board.soc import Point, Soc

Phase = Literal["prefill", "decode"]
# The first ticks count fully, later ones so much: a memory of about 30 ticks.
GAIN_WEIGHT = 0.03
# The idle floor moves slowly: heat, a cable plugged in.
FLOOR_WEIGHT = 0.02
BAND_WEIGHT = 0.02
# A mean of mixed seconds counts half, and not where little ran: pauses have no gain.
MIXED_WEIGHT = 0.5
MIXED_ABOVE = 0.2
# Of that a phase takes so much that readings of its own taught, where none taught the other one:
# the error is rather the other's. Not none, since a step's own readings miss what follows it.
MIXED_TAUGHT = 0.5
# A gain further off than this is a broken meter or another board, not this one.
GAIN_MIN, GAIN_MAX = 0.4, 2.5
# Where the table is another machine's, its watts say little of this one's: a processor of 100 W.
STRANGER_MIN, STRANGER_MAX = 0.02, 50.0
# The clock cannot be wrong as a shunt can: the resident model may be ten times smaller.
PACE_MIN, PACE_MAX = 0.01, 100.0
# Band of the prior before anything was learned: what plants drawn from the stated ranges show.
PRIOR_BAND = 0.25
# Of what fits under the peak a chunk may take so much: answers go on in the same step.
PEAK_SHARE = 0.9
# So many ticks of each phase make gains to choose by. Long chunks leave few ticks of decode.
TAUGHT_TICKS = 10
# Prefill chunks. Powers of two: the NPU pads others up to the next one.
CHUNKS_TOKENS = (32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Learned:
    """What this board taught; kept over restarts as a JSON object.

    Attributes:
        floor_w: idle watts, NPU off; None until the board was seen idle with a meter.
        prefill_gain, decode_gain: metered watts above idle over the prior's.
        prefill_pace, decode_pace: measured seconds over the prior's.
        prefill_ticks, decode_ticks: how many ticks taught the gains.
        pace_ticks: how many steps taught the paces.
        band: mean error of the forecast against the meter, as a share.
    """

    floor_w: float | None = None
    prefill_gain: float = 1.0
    decode_gain: float = 1.0
    prefill_pace: float = 1.0
    decode_pace: float = 1.0
    prefill_ticks: int = 0
    decode_ticks: int = 0
    pace_ticks: int = 0
    band: float = PRIOR_BAND

    @property
    def is_taught(self) -> bool:
        """Return whether the gains of both phases stand, so that a point can be chosen by them."""
        return min(self.prefill_ticks, self.decode_ticks) >= TAUGHT_TICKS

    def as_json(self) -> dict[str, float | int | None]:
        """Return it as a JSON object."""
        return asdict(self)

    @staticmethod
    def from_json(kept: Mapping[str, object]) -> Learned:
        """Return what was kept; whatever is missing or makes no sense is as at the start."""
        fresh = Learned()
        found = {item.name: kept.get(item.name) for item in fields(Learned)}
        sane = {name: value for name, value in found.items() if _is_sane(name, value)}
        return replace(fresh, **sane)  # type: ignore[arg-type]  # names and types were checked


def _is_sane(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name.endswith("_ticks"):
        return isinstance(value, int) and value >= 0
    if name.endswith("_gain"):
        return STRANGER_MIN <= value <= STRANGER_MAX
    if name.endswith("_pace"):
        return PACE_MIN <= value <= PACE_MAX
    return 0 <= value <= 1 if name == "band" else 0 < value < 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One engine step: a prefill chunk, or one token for each of so many sequences."""

    phase: Phase
    tokens: int

    def within(self, tokens: int) -> Step:
        """Return the step that stands for one that cannot be cut when it asks to be let in.

        No pause would ever make room for one that is longer than a window: it is let in as one of
        so many tokens is, and the pauses behind it pay for the rest.
        """
        return replace(self, tokens=min(self.tokens, tokens))


@dataclass(frozen=True, slots=True)
class Mix:
    """What the work is made of: prompt tokens for each output token, sequences in the batch."""

    prefill_per_output: float
    sequences: int


class Forecast:
    """The prior table of one board, scaled by what was learned.

    `points` are the operating points that the board's knobs can reach, full speed last;
    `chunk_tokens_max` is the most that the engine prefills in one step; `is_own` tells whether the
    table is this board's, or another's in its place.
    """

    def __init__(
        self,
        soc: Soc,
        points: Sequence[Point],
        learned: Learned,
        chunk_tokens_max: int = CHUNKS_TOKENS[-1],
        *,
        is_own: bool = True,
    ) -> None:
        self.soc = soc
        self._gains = (GAIN_MIN, GAIN_MAX) if is_own else (STRANGER_MIN, STRANGER_MAX)
        self._chunk_tokens_max = chunk_tokens_max
        self.points = points
        self.learned = learned

    @property
    def floor_w(self) -> float:
        """Return the idle watts, learned or nominal."""
        return self.soc.idle_w if self.learned.floor_w is None else self.learned.floor_w

    @property
    def most_w(self) -> float:
        """Return the most that this board is forecast to draw."""
        return self.floor_w + max(max(point.prefill_w, point.decode_w) for point in self.points)

    def step_w(self, point: Point, phase: Phase) -> float:
        """Return the watts at the board's input while a step of this phase runs."""
        if phase == "prefill":
            return self.floor_w + self.learned.prefill_gain * point.prefill_w
        return self.floor_w + self.learned.decode_gain * point.decode_w

    def step_s(self, point: Point, step: Step) -> float:
        """Return how long a step takes."""
        if step.phase == "prefill":
            return self.prefill_s(point, step.tokens)
        return self.decode_s(point, step.tokens)

    def prefill_s(self, point: Point, tokens: int) -> float:
        """Return the seconds of a prefill chunk."""
        soc = self.soc
        full_s = soc.prefill_fixed_s + tokens * soc.prefill_token_s
        return self.learned.prefill_pace * point.prefill_slow * full_s

    def decode_s(self, point: Point, sequences: int) -> float:
        """Return the seconds of a decode step."""
        full_s = self.soc.decode_s * (1 + self.soc.sequence_share * (sequences - 1))
        return self.learned.decode_pace * point.decode_slow * full_s

    def paused_w(self, point: Point, pause_s: float) -> float:
        """Return the mean watts at the board's input of a pause between steps."""
        return self.floor_w + point.paused_w(pause_s, self.soc)

    def pause_parts(self, point: Point) -> tuple[tuple[float, float], ...]:
        """Return the watts of a pause, each with the second of the pause at which it ends.

        Threads spin first, then the DDR clock falls, at last the NPU goes off. After that the
        board idles.
        """
        soc, on_w = self.soc, self.floor_w + point.on_w
        return (
            (soc.spin_s, self.floor_w + point.spin_w),
            (soc.spin_s + soc.ddr_tail_s, on_w + point.ddr_w),
            (soc.npu_tail_s, on_w),
        )

    def step_s_max(
        self, point: Point, longest_s: float, peak_w: float, peak_window_s: float
    ) -> float:
        """Return how long a prefill step may be: at most `longest_s`, and under the peak.

        A step that is over the peak also after a pause as long as its window would never start.
        """
        step_w = self.step_w(point, "prefill")
        if step_w <= peak_w:
            return longest_s
        paused_w = self.paused_w(point, peak_window_s)
        room_j = PEAK_SHARE * max(0.0, peak_w - paused_w) * peak_window_s
        return min(longest_s, room_j / (step_w - paused_w))

    def chunk_tokens(self, point: Point, step_s_max: float) -> int:
        """Return the largest chunk that stays within `step_s_max`; at least the smallest."""
        full_s = step_s_max / (self.learned.prefill_pace * point.prefill_slow)
        tokens = (full_s - self.soc.prefill_fixed_s) / self.soc.prefill_token_s
        fitting = bisect_right(CHUNKS_TOKENS, min(tokens, self._chunk_tokens_max))
        return min(CHUNKS_TOKENS[max(0, fitting - 1)], self._chunk_tokens_max)

    def output_cost(self, point: Point, mix: Mix, step_s_max: float) -> tuple[float, float]:
        """Return seconds and joules (board input) of one output token with its share of prefill."""
        chunk = self.chunk_tokens(point, step_s_max)
        prefill_s = mix.prefill_per_output * self.prefill_s(point, chunk) / chunk
        decode_s = self.decode_s(point, mix.sequences) / mix.sequences
        joules = prefill_s * self.step_w(point, "prefill") + decode_s * self.step_w(point, "decode")
        return prefill_s + decode_s, joules

    def learn_power(self, phase: Phase, metered_w: float, expected_w: float) -> None:
        """Take a tick that was almost all one phase: what the meter said, what was expected."""
        above_w = expected_w - self.floor_w
        if above_w <= 0:
            return
        now = self.learned
        ratio = (metered_w - self.floor_w) / above_w
        band = now.band + BAND_WEIGHT * (abs(metered_w / expected_w - 1) - now.band)
        if phase == "prefill":
            gain = self._bounded(_learned(now.prefill_gain, ratio, now.prefill_ticks))
            ticks = now.prefill_ticks + 1
            self.learned = replace(now, prefill_gain=gain, prefill_ticks=ticks, band=band)
        else:
            gain = self._bounded(_learned(now.decode_gain, ratio, now.decode_ticks))
            ticks = now.decode_ticks + 1
            self.learned = replace(now, decode_gain=gain, decode_ticks=ticks, band=band)

    def learn_mixed(self, metered_w: float, expected_w: float) -> None:
        """Take a mean in which both phases and pauses took turns: both gains follow it."""
        above_w = expected_w - self.floor_w
        if above_w < MIXED_ABOVE * self.floor_w:
            return
        off, now = (metered_w - self.floor_w) / above_w - 1, self.learned
        prefill_scale = 1 + _mixed_weight(now.prefill_ticks, now.decode_ticks) * off
        decode_scale = 1 + _mixed_weight(now.decode_ticks, now.prefill_ticks) * off
        self.learned = replace(
            now,
            prefill_gain=self._bounded(prefill_scale * now.prefill_gain),
            decode_gain=self._bounded(decode_scale * now.decode_gain),
        )

    def _bounded(self, gain: float) -> float:
        gain_min, gain_max = self._gains
        return min(gain_max, max(gain_min, gain))

    def learn_floor(self, metered_w: float) -> None:
        """Take a tick in which the board was idle, NPU off."""
        floor_w = self.learned.floor_w
        if floor_w is not None:
            metered_w = floor_w + FLOOR_WEIGHT * (metered_w - floor_w)
        self.learned = replace(self.learned, floor_w=metered_w)

    def learn_pace(self, phase: Phase, measured_s: float, expected_s: float) -> None:
        """Take a step's measured seconds."""
        if not (measured_s > 0 and expected_s > 0):
            return
        # Bounded: one step that waited for the CPU must not teach ten times the pace.
        ratio = min(2.0, max(0.5, measured_s / expected_s))
        now, ticks = self.learned, self.learned.pace_ticks + 1
        if phase == "prefill":
            pace = _scaled(now.prefill_pace, ratio)
            self.learned = replace(now, prefill_pace=pace, pace_ticks=ticks)
        else:
            pace = _scaled(now.decode_pace, ratio)
            self.learned = replace(now, decode_pace=pace, pace_ticks=ticks)


def _learned(gain: float, ratio: float, ticks: int) -> float:
    """Return the gain after one more tick: a running mean at first, then an EWMA."""
    weight = max(GAIN_WEIGHT, 1 / (ticks + 1))
    return gain * (1 + weight * (ratio - 1))


def _mixed_weight(ticks: int, other_ticks: int) -> float:
    """Return how far a phase's gain follows a mixed mean."""
    is_taught_alone = ticks >= TAUGHT_TICKS > other_ticks
    return MIXED_WEIGHT * (MIXED_TAUGHT if is_taught_alone else 1.0)


def _scaled(pace: float, ratio: float) -> float:
    return min(PACE_MAX, max(PACE_MIN, pace * (1 + 0.1 * (ratio - 1))))
