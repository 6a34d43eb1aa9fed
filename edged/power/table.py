"""What a calibration found on this board: watts and seconds of each operating point.

In:  rows of `edged calibrate`.     Out: a JSON file in the state directory; the forecast's prior.
It belongs to a board, a kernel, a meter and a shunt; on another one it is not used, and `state`
says so.
Pure but for `recall` and `save`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edged.board.meters.calibration import UNCALIBRATED, Calibration
from edged.board.soc import Clocks, Point, Soc
from edged.durable import write_durably
from edged.errors import ConfigError
from edged.misfits import misfits
from edged.power.forecast import Learned, Phase

FILE = "power_table.json"
AGAIN = "run `edged calibrate` again"
# A calibrated gain counts like one that so many ticks taught: the forecast is of this board.
CALIBRATED_TICKS = 50
# Our own choice: no board is known better than this, whatever the fit says.
BAND_MIN = 0.03
# Two shunts are the same within this; as `board.meters.hwmon` judges them.
SHUNT_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Key:
    """What a table is of.

    Attributes:
        board: first name of the device tree; else the machine's architecture.
        kernel: its release.
        meter: by its configured name; None: nothing here measures the board.
        shunt_ohm: what its watts are reckoned with; None where it has none.
        computed: what computed while it was made; another draws other watts at the same clocks.
    """

    board: str
    kernel: str
    meter: str | None
    shunt_ohm: float | None = None
    computed: str = "the CPU"


@dataclass(frozen=True, slots=True)
class Row:
    """One phase at one operating point, as it was measured.

    Attributes:
        above_w: mean watts above the table's idle while such steps followed each other.
        error_share: the meter's band, and twice the standard error of the mean, of the whole watts.
        tokens, step_s: of the mean step.
    """

    phase: Phase
    clocks: Clocks
    above_w: float
    error_share: float
    tokens: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Table:
    """One calibration.

    Attributes:
        made: date and time (UTC); empty where the clock was not right.
        model: the one that was resident.
        idle_w: with it resident, nothing to do, the NPU asleep.
        idle_error_share: of that.
        rows: in the order in which they were measured.
        estimate: what the same minutes taught the estimate.
    """

    key: Key
    made: str
    model: str
    idle_w: float
    idle_error_share: float
    rows: tuple[Row, ...]
    estimate: Calibration = field(default=UNCALIBRATED)

    @property
    def error_share(self) -> float:
        """Return the largest error of its figures."""
        return max([self.idle_error_share, *(row.error_share for row in self.rows)])

    @property
    def band(self) -> float:
        """Return the margin of whoever goes by it without a meter: the estimate's band."""
        known = self.estimate.error_share
        return max(BAND_MIN, self.error_share if known is None else known)

    @property
    def name(self) -> str:
        """Return what tells it from any other table, for whatever is learned on top of it."""
        return hashlib.sha256(_FORM.dump_json(self)).hexdigest()[:8]

    @property
    def sentence(self) -> str:
        """Return what `state` says of it."""
        when = f" of {self.made}" if self.made else ""
        return (
            f"{len(self.rows)} rows{when} against {self.key.meter}, +-{self.band:.0%}, "
            f"idle {self.idle_w:.2f} W, model {self.model}"
        )

    def learned(self) -> Learned:
        """Return where learning starts on top of it."""
        return Learned(
            floor_w=self.idle_w,
            prefill_ticks=CALIBRATED_TICKS,
            decode_ticks=CALIBRATED_TICKS,
            band=self.band,
        )


@dataclass(frozen=True, slots=True)
class Recalled:
    """The table of a state directory.

    Attributes:
        table: None where there is none, or none of use.
        warning: why one that is there is not used; empty where all is well.
    """

    table: Table | None = None
    warning: str = ""


_FORM = TypeAdapter(Table)


def save(path: Path, table: Table) -> None:
    """Write the file anew. Blocking.

    Raises:
        ConfigError: the state directory cannot be written.
    """
    keep(path, _FORM.dump_json(table, indent=1))


def keep(path: Path, content: bytes) -> None:
    """Put a file of the state directory in the place of the one before. Blocking.

    Raises:
        ConfigError: it cannot be written; names the file.
    """
    try:
        write_durably(path, content.decode() + "\n")
    except OSError as error:
        says = f"{path}: {error.strerror}: what was measured cannot be kept; free or mend the disk"
        raise ConfigError(says) from error


def recall(path: Path, here: Key) -> Recalled:
    """Return the table in `path` if it is of what is here. Blocking; nothing is written."""
    try:
        table = _FORM.validate_json(path.read_bytes())
    except FileNotFoundError:
        return Recalled()
    except (OSError, ValidationError) as error:
        return Recalled(None, f"{path} is no calibration ({_short(error)}); {AGAIN}")
    if not _is_sane(table):
        return Recalled(None, f"{path} has figures that no board has; {AGAIN}")
    stale = differences(table.key, here)
    if stale:
        return Recalled(None, f"the calibration is not used: {'; '.join(stale)}; {AGAIN}")
    return Recalled(table)


def differences(taught: Key, here: Key) -> list[str]:
    """Return in what a table is of something else.

    A meter that is gone is no other meter: a chip or a plug may have been lent for the calibration.
    """
    found = []
    if taught.board != here.board:
        found.append(f"it was made on {taught.board}, this is {here.board}")
    if taught.kernel != here.kernel:
        found.append(f"it was made under kernel {taught.kernel}, this is {here.kernel}")
    if taught.computed != here.computed:
        found.append(f"it was made while {taught.computed} computed, now {here.computed} does")
    if here.meter is not None and taught.meter != here.meter:
        found.append(f"it was made against {taught.meter}, the meter is {here.meter}")
    elif here.meter is not None and not _is_same(taught.shunt_ohm, here.shunt_ohm):
        was, now = _ohm(taught.shunt_ohm), _ohm(here.shunt_ohm)
        found.append(f"it was made with a shunt of {was}, now it is {now}")
    return found


def applied(points: Sequence[Point], soc: Soc, table: Table) -> tuple[Point, ...]:
    """Return the points with the table's watts and seconds in place of the prior's.

    A point that was measured has its own figures. Another keeps the prior's, times what the prior
    was off at the measured ones, the nearer clocks weighing more.
    """
    prefill = _Corrections(points, table.rows, "prefill", soc)
    decode = _Corrections(points, table.rows, "decode", soc)
    return tuple(_corrected(point, prefill.at(point), decode.at(point)) for point in points)


def _corrected(point: Point, prefill: _Ratio, decode: _Ratio) -> Point:
    return replace(
        point,
        prefill_w=point.prefill_w * prefill.watts,
        prefill_slow=point.prefill_slow * prefill.seconds,
        decode_w=point.decode_w * decode.watts,
        decode_slow=point.decode_slow * decode.seconds,
        spin_w=point.spin_w * decode.watts,  # the same cores at the same clock
    )


@dataclass(frozen=True, slots=True)
class _Ratio:
    """Measured over the prior's."""

    watts: float = 1.0
    seconds: float = 1.0


class _Corrections:
    """How far the prior is off in one phase, anywhere."""

    def __init__(
        self, points: Sequence[Point], rows: Iterable[Row], phase: Phase, soc: Soc
    ) -> None:
        by_clocks = {point.clocks: point for point in points}
        self._found = [
            (row.clocks, _ratio(row, by_clocks[row.clocks], soc))
            for row in rows
            if row.phase == phase and row.clocks in by_clocks
        ]

    def at(self, point: Point) -> _Ratio:
        """Return the mean of the measured ratios, weighted by one over the squared distance."""
        if not self._found:
            return _Ratio()
        weighted = []
        for clocks, ratio in self._found:
            apart = _distance(clocks, point.clocks)
            if apart == 0:
                return ratio
            weighted.append((1 / apart, ratio))
        total = sum(weight for weight, _ in weighted)
        return _Ratio(
            sum(weight * ratio.watts for weight, ratio in weighted) / total,
            sum(weight * ratio.seconds for weight, ratio in weighted) / total,
        )


def _ratio(row: Row, point: Point, soc: Soc) -> _Ratio:
    if row.phase == "prefill":
        full_s = soc.prefill_fixed_s + row.tokens * soc.prefill_token_s
        return _Ratio(row.above_w / point.prefill_w, row.step_s / (point.prefill_slow * full_s))
    full_s = soc.decode_s * (1 + soc.sequence_share * (row.tokens - 1))
    return _Ratio(row.above_w / point.decode_w, row.step_s / (point.decode_slow * full_s))


def _distance(one: Clocks, other: Clocks) -> float:
    """Return how far apart two settings are: squared differences of the clocks' logarithms."""
    pairs = zip(one.by_domain.values(), other.by_domain.values(), strict=True)
    return sum(math.log(one_hz / other_hz) ** 2 for one_hz, other_hz in pairs)


def _is_sane(table: Table) -> bool:
    figures = [table.idle_w, *(one for row in table.rows for one in _figures(row))]
    shares = [table.idle_error_share, *(row.error_share for row in table.rows)]
    line = table.estimate
    shares += [] if line.error_share is None else [line.error_share]
    return (
        bool(table.rows)
        and all(math.isfinite(one) and one > 0 for one in figures)
        and all(0 <= one <= 1 for one in shares)
        and math.isfinite(line.offset_w)
        and math.isfinite(line.gain)
    )


def _figures(row: Row) -> tuple[float, ...]:
    return (row.above_w, row.tokens, row.step_s, *row.clocks.by_domain.values())


def _is_same(one_ohm: float | None, other_ohm: float | None) -> bool:
    if one_ohm is None or other_ohm is None:
        return one_ohm == other_ohm
    return abs(one_ohm / other_ohm - 1) <= SHUNT_SHARE


def _ohm(shunt_ohm: float | None) -> str:
    return "none" if shunt_ohm is None else f"{shunt_ohm * 1e3:g} mOhm"


def _short(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return misfits(error)[0].removeprefix(": ")
