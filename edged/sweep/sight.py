"""What was seen at one stop, and what a table is made of.

In:  readings of the meter and of the estimate, steps.     Out: `Sight`, then a `Table`.
Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edged.board.meters.calibration import UNCALIBRATED, Calibration, CalibrationRefused, Pair, fit
from edged.errors import EdgedError
from edged.power.forecast import Phase
from edged.power.table import Key, Row, Table
from edged.sweep.plan import Stop

# A stop's readings become at most so many pairs for the estimate.
PAIRS_MAX = 4
# What few points say of the others. Source: the largest error of the estimate after one point, over
# drawn plants; `edged bench power --estimate`.
FEW_POINTS, FEW_POINTS_SHARE = 4, 0.16


class NothingSeen(EdgedError):
    """The readings make no table; the text says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One reading of the meter, and what the estimate said at that moment."""

    watts_w: float
    estimated_w: float
    error_share: float


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step: when it ended, since when, and what it was."""

    length_s: float
    prefill_tokens: int
    decode_tokens: int

    @property
    def phase(self) -> Phase:
        """Return which phase it counts for."""
        return "prefill" if self.prefill_tokens else "decode"

    @property
    def tokens(self) -> int:
        """Return what its time depends on."""
        return self.prefill_tokens or self.decode_tokens


@dataclass(frozen=True, slots=True)
class Sight:
    """What one stop showed.

    Attributes:
        watts_w, error_share: mean at the board's input; the meter's band and the mean's own.
        tokens, step_s: of the mean step; 0 where the board idled.
        pairs: for the estimate.
        skipped: why nothing was seen; else empty.
    """

    stop: Stop
    watts_w: float = 0.0
    error_share: float = 0.0
    tokens: float = 0.0
    step_s: float = 0.0
    pairs: tuple[Pair, ...] = field(default=())
    skipped: str = ""


def seen(stop: Stop, taken: Sequence[Taken], steps: Sequence[Stepped]) -> Sight:
    """Return what a stop showed.

    Raises:
        NothingSeen: no step of the phase ended in that time.
    """
    watts = [one.watts_w for one in taken]
    mean_w = statistics.fmean(watts)
    own = 0.0
    if len(watts) > 1:
        own = 2 * statistics.stdev(watts) / math.sqrt(len(watts)) / mean_w
    error_share = min(1.0, max(one.error_share for one in taken) + own)
    tokens = step_s = 0.0
    if stop.phase is not None:
        of_phase = [one for one in steps if one.phase == stop.phase]
        if not of_phase:
            raise NothingSeen(f"{stop.words}: no {stop.phase} step ended in the time that was read")
        tokens = statistics.fmean(one.tokens for one in of_phase)
        step_s = statistics.fmean(one.length_s for one in of_phase)
    return Sight(stop, mean_w, error_share, tokens, step_s, pairs_of(taken))


def pairs_of(taken: Sequence[Taken]) -> tuple[Pair, ...]:
    """Return means of neighbouring readings: noise of single ones is none of the estimate's."""
    size = math.ceil(len(taken) / PAIRS_MAX)
    groups = [taken[at : at + size] for at in range(0, len(taken), size)]
    return tuple(
        Pair(
            estimated_w=statistics.fmean(one.estimated_w for one in group),
            metered_w=statistics.fmean(one.watts_w for one in group),
            error_share=max(one.error_share for one in group),
        )
        for group in groups
    )


def table_of(
    sights: Sequence[Sight], key: Key, model: str, made: str, left_out: int = 0
) -> tuple[Table, CalibrationRefused | None]:
    """Return the table of a whole sweep, and why the estimate learned nothing; None: it did.

    Args:
        sights: of every stop, idle first.
        key: what the table is of.
        model: the resident one's name.
        made: date and time; empty where they are not known.
        left_out: points that nobody looked at, and that these stand for.

    Raises:
        NothingSeen: work drew no more than idling, or nothing was measured at work.
    """
    idle, *others = (one for one in sights if not one.skipped)
    rows = tuple(_row(one, idle) for one in others)
    if not rows:
        raise NothingSeen("no operating point could be measured; what stands above says why")
    estimate, refused = _estimate([pair for one in sights for pair in one.pairs], key)
    points = {row.clocks for row in rows}
    if left_out and len(points) < FEW_POINTS and estimate.error_share is not None:
        band = max(estimate.error_share, FEW_POINTS_SHARE)
        estimate = replace(estimate, error_share=band)
    table = Table(key, made, model, idle.watts_w, idle.error_share, rows, estimate)
    return table, refused


def _row(sight: Sight, idle: Sight) -> Row:
    stop, above_w = sight.stop, sight.watts_w - idle.watts_w
    assert stop.phase is not None, "only the first stop idles"
    assert stop.clocks is not None, "a phase runs at clocks"
    if above_w <= 0:
        raise NothingSeen(
            f"{stop.words} draws {sight.watts_w:.2f} W, idling {idle.watts_w:.2f} W: the meter "
            "does not see this board's work; is it in the supply of this board, and of it alone?"
        )
    return Row(stop.phase, stop.clocks, above_w, sight.error_share, sight.tokens, sight.step_s)


def _estimate(pairs: Sequence[Pair], key: Key) -> tuple[Calibration, CalibrationRefused | None]:
    try:
        return fit(pairs, key.meter or "an unknown meter"), None
    except CalibrationRefused as error:
        return UNCALIBRATED, error
