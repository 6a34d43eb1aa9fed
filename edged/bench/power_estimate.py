"""`edged bench power --estimate`: how far off the estimate is, before and after a calibration.

In:  plants drawn from the stated ranges.     Out: mean and worst errors, in virtual time.
The estimate is the real one: it reads clocks from files that follow a virtual board, and the
engine's work. It is told the nominal busy shares, so that whatever a plant differs is its error.
Everything is simulated; nothing was measured on a board.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.bench.folder import in_memory
from edged.board.meters.calibration import Calibration, Pair, fit
from edged.board.meters.dynamic import of_soc
from edged.board.meters.estimate import EstimateMeter
from edged.board.soc import KNOBS, RK3576, RK3588, Clocks, Soc, on_cpu, operating_points
from edged.board.use import Use
from edged.board.virtual.plant import Board, Plant, drawn
from edged.power.choice import ladder
from edged.power.forecast import Forecast, Learned, Phase
from edged.power.law import Settings
from edged.sweep.plan import POINTS_MAX, thinned

AMBIENT_C = 25.0
# A trial, and the time before it in which clocks and window become its own.
TRIAL_S, SETTLE_S, TICK_S = 5.0, 1.5, 0.125
# Of the time that steps run; the rest pauses, in turns of four ticks.
DUTIES = (1.0, 0.5)
PHASES: tuple[Phase, ...] = ("prefill", "decode")
# A calibration's readings of each thing.
PAIRS = 4
METER_SHARE = 0.02
BOARDS = (RK3588, RK3576, on_cpu(RK3588), on_cpu(RK3576))


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of the estimate on one plant, as shares of the truth.

    Attributes:
        before, after: mean absolute error without calibration, and after one operating point.
        worst_after: the largest one after it.
        band: what the calibration says of itself.
    """

    before: float
    after: float
    worst_after: float
    band: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What the board drew in one trial, and what the estimate said."""

    true_w: float
    estimated_w: float


class Rig:
    """A virtual board, and the files and the engine that its estimate looks at.

    Args:
        folder: for the files.
        nominal: what the estimate believes of the board.
        plant: what the board is.
    """

    def __init__(self, folder: Path, nominal: Soc, plant: Plant) -> None:
        self._soc = nominal
        self._shown: dict[Path, float] = {}
        self._cpu = folder / "devices/system/cpu/cpufreq/policy4"
        self._npu = folder / "class/devfreq/fdab0000.npu"
        self._ddr = folder / "class/devfreq/dmc"
        for one in (self._cpu, self._npu, self._ddr):
            one.mkdir(parents=True, exist_ok=True)
        (self._cpu / "cpuinfo_max_freq").write_text("2400000\n")
        self.board = Board(plant, plant.points(knobs_of(nominal)), AMBIENT_C)
        self._use = Use(0.0)
        self._show(self.board.points[-1].clocks, None)
        self._meter = EstimateMeter(
            folder, of_soc(nominal), lambda: self._use, clock=lambda: self.board.now_s
        )

    def trial(self, place: int, phase: Phase | None, duty: float = 1.0) -> Trial:
        """Return what a while at one operating point shows."""
        self.board.ask_for(place)
        list(self._ticks(phase, duty, SETTLE_S))
        began_s, began_j = self.board.now_s, self.board.joules[-1]
        estimates = list(self._ticks(phase, duty, TRIAL_S))
        drawn_j = self.board.joules[-1] - began_j
        return Trial(drawn_j / (self.board.now_s - began_s), statistics.fmean(estimates))

    def _ticks(self, phase: Phase | None, duty: float, length_s: float) -> Iterator[float]:
        for tick in range(round(length_s / TICK_S)):
            runs = phase if tick % 4 < 4 * duty else None
            self.board.settle_clocks()
            self._show(self.board.points[self.board.place].clocks, runs)
            self.board.run(self.board.now_s + TICK_S, runs)
            self.board.heat()
            self._work(runs)
            yield self._meter.read().watts_w

    def _work(self, phase: Phase | None) -> None:
        if phase is not None:
            soc, use = self._soc, self._use
            cpu = soc.cpu_busy.prefill if phase == "prefill" else soc.cpu_busy.decode
            npu = soc.npu_busy.prefill if phase == "prefill" else soc.npu_busy.decode
            decode_s = TICK_S if phase == "decode" else 0.0
            self._use = Use(
                use.cpu_s + 4 * cpu * TICK_S, use.npu_s + npu * TICK_S, use.decode_s + decode_s
            )

    def _show(self, clocks: Clocks, phase: Phase | None) -> None:
        """Write the clocks; without work the memory's governor lowers its own."""
        ddr_hz = self._soc.ddr[0].clock_hz if phase is None else clocks.ddr_hz
        shown = (clocks.cpu_hz / 1e3, clocks.npu_hz, ddr_hz)
        files = (self._cpu / "scaling_cur_freq", self._npu / "cur_freq", self._ddr / "cur_freq")
        for file, count in zip(files, shown, strict=True):
            if self._shown.get(file) != count:
                self._shown[file] = count
                file.write_text(f"{count:.0f}\n")


def errors(nominal: Soc, seed: int) -> Errors:
    """Return how far off the estimate is on one drawn plant."""
    with in_memory() as folder:
        rig = Rig(Path(folder), nominal, drawn(nominal, seed))
        taught = one_point(rig)
        trials = list(every_trial(rig, nominal))
    before = [abs(one.estimated_w / one.true_w - 1) for one in trials]
    after = [abs(taught.corrected_w(one.estimated_w) / one.true_w - 1) for one in trials]
    means = statistics.fmean(before), statistics.fmean(after)
    return Errors(*means, max(after), taught.error_share or 1.0)


def one_point(rig: Rig) -> Calibration:
    """Return what idling and one operating point teach, the dearest one, in both phases."""
    top = len(rig.board.points) - 1
    phases: tuple[Phase | None, ...] = (None, "prefill", "decode")
    seen = [rig.trial(top, phase) for phase in phases for _ in range(PAIRS)]
    pairs = [Pair(one.estimated_w, one.true_w, METER_SHARE) for one in seen]
    return fit(pairs, "the truth")


def every_trial(rig: Rig, nominal: Soc) -> Iterator[Trial]:
    """Yield idling, and each phase at the points of a calibration, without pauses and with."""
    points, settings = operating_points(nominal, knobs_of(nominal)), Settings()
    forecast = Forecast(nominal, points, Learned())
    worth = [points[at] for at in ladder(forecast, settings.step_s_max, settings.bunch_s)]
    chosen = thinned(sorted(worth, key=lambda point: point.decode_w), POINTS_MAX)
    yield rig.trial(len(points) - 1, None)
    for point, phase, duty in itertools.product(chosen, PHASES, DUTIES):
        yield rig.trial(points.index(point), phase, duty)


def knobs_of(soc: Soc) -> frozenset[str]:
    """Return the clocks that matter: not the NPU's where the cores compute."""
    return KNOBS if soc.npu_busy.decode > 0 else KNOBS - {"npu"}


def table(found: Sequence[tuple[Soc, Sequence[Errors]]]) -> list[str]:
    """Return the errors as lines of text."""
    lines = ["board        plants  before: mean, worst   after one point: mean, worst   largest"]
    for soc, plants in found:
        before, after = [one.before for one in plants], [one.after for one in plants]
        lines.append(
            f"{soc.name:12} {len(plants):6} {statistics.fmean(before):13.1%} {max(before):6.1%} "
            f"{statistics.fmean(after):22.1%} {max(after):6.1%} "
            f"{max(one.worst_after for one in plants):8.1%}"
        )
    return lines
