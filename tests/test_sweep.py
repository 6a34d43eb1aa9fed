"""A calibration finds what a board draws and how fast it is, and the forecast goes by it.

Method: a golden tree with a virtual board behind its files, in virtual time: the sweep's own meter,
knobs and load. The plant's truth judges.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edged.bench.power_judge import Figures
from edged.board.knobs.kernel import KernelKnobs
from edged.board.soc import RK3588, Clocks, on_cpu, operating_points
from edged.board.use import Use
from edged.board.virtual.plant import Board
from edged.config import Config
from edged.engine.client import Pulse
from edged.errors import EngineUnusable, MeterLost
from edged.power.forecast import Phase
from edged.power.gauge import PERIOD_S_MAX, Gauge
from edged.power.law import Law
from edged.power.outfit import Parts, estimate_here, outfit, parts_here
from edged.power.shown import Watts
from edged.power.table import FILE, Key, Table, save
from edged.sweep import notes
from edged.sweep.command import Against, planned, running, swept
from edged.sweep.load import Load
from edged.sweep.notes import Notes
from edged.sweep.plan import Plan, Stop, Wanted
from edged.sweep.run import Bench
from edged.sweep.sight import Sight, table_of
from tests.golden_tree import tree
from tests.memory import MEMORY
from tests.memory import tmp_path as tmp_path
from tests.power_fixtures import FULL, found_config, trial, unplug_chip
from tests.sysfs_plant import SysfsPlant, sysfs_plant
from tests.virtual_time import NearEngine, VirtualLoop, config_of, run_virtually

SOC = on_cpu(RK3588)
BRIEF = Wanted(points=4, dwell_s=4)
FEW = Wanted(points=2, dwell_s=4)


class Cores:
    """The engine's work: four cores while a phase runs, and the seconds of decode."""

    def __init__(self, plant: SysfsPlant, loop: VirtualLoop) -> None:
        self._plant = plant
        self._loop = loop
        self._used = Use(0.0)
        self._phase: Phase | None = None
        self._since_s = 0.0

    def run(self, phase: Phase | None) -> None:
        """Note what runs from now on."""
        self._used, self._phase, self._since_s = self(), phase, self._loop.time()
        self._plant.live.run(phase)

    def step(self, _: Pulse) -> None:
        """Note that a step ended: clocks change between two of them."""
        self._plant.live.run(self._phase)

    def __call__(self) -> Use:
        if self._phase is None:
            return self._used
        passed_s, used = self._loop.time() - self._since_s, self._used
        decode_s = passed_s if self._phase == "decode" else 0.0
        return Use(used.cpu_s + 4 * passed_s, 0.0, used.decode_s + decode_s)


@dataclass(frozen=True, slots=True)
class Rig:
    """A sweep about to begin."""

    plant: SysfsPlant
    parts: Parts
    engine: NearEngine
    bench: Bench
    todo: Plan
    state: Path

    async def sweep(self) -> Notes:
        """Measure what is left."""
        assert self.parts.key is not None
        fresh = Notes(self.parts.key, "sha256:0", self.todo)
        return await swept(self.state / notes.FILE, fresh, self.bench)


@asynccontextmanager
async def rig(
    loop: VirtualLoop, root: Path, seed: int = 0, wanted: Wanted = BRIEF
) -> AsyncIterator[Rig]:
    """Lay out everything that a sweep needs."""
    state = root.parent / "state"
    plant = sysfs_plant(root, loop, seed)
    turning = asyncio.ensure_future(plant.run())
    settings = found_config(state, root, {})
    cores = Cores(plant, loop)
    parts = replace(parts_here(settings, loop.time), runs=cores.run)
    assert parts.meter is not None
    assert parts.key is not None
    engine = NearEngine(config_of(state), plant.live, loop)
    engine.pulse = cores.step
    try:
        async with running(engine, parts):
            load = Load(engine, config_of(state), loop.time)
            await load.ready()
            estimate = estimate_here(settings, cores, None, loop.time, 1.0)
            gauge = Gauge(parts.meter)
            bench = Bench(gauge, estimate, parts.knobs, load, parts.runs, loop.time)
            against = Against(parts.meter, parts.key, PERIOD_S_MAX)
            yield Rig(plant, parts, engine, bench, planned(settings, parts, against, wanted), state)
    finally:
        turning.cancel()


@dataclass(frozen=True, slots=True)
class Found:
    """A whole sweep: its table, the board that it is of, its clocks at the end."""

    table: Table
    truth: Board
    caps: tuple[int, ...]
    seed: int


def calibrated(root: Path, seed: int = 0, wanted: Wanted = BRIEF) -> Found:
    """Return what a whole sweep finds on a plant."""

    async def play(loop: VirtualLoop) -> Found:
        async with rig(loop, root, seed, wanted) as one:
            taken = await one.sweep()
            plant = one.plant
        table, _ = table_of(taken.sights, taken.key, "dock-mini", "")
        return Found(table, plant.live.board, plant.caps(), seed)

    return run_virtually(play)


def metered_tree(folder: Path) -> Path:
    """Lay out an Orange Pi 5 with a chip, and a state directory beside it."""
    (folder / "state").mkdir()
    return tree(folder / "sys", "orangepi_5", "orangepi_5.ina226")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return metered_tree(tmp_path)


@pytest.fixture(scope="module")
def found() -> Iterator[Found]:
    """A sweep of a board that nobody knows."""
    with tempfile.TemporaryDirectory(prefix="edged-tree-", dir=MEMORY) as folder:
        yield calibrated(metered_tree(Path(folder)), 3)


def test_every_row_is_what_the_board_draws_and_how_fast_it_is(found: Found) -> None:
    table, soc = found.table, found.truth.plant.soc
    truth = {point.clocks: point for point in found.truth.points}
    assert table.idle_w == pytest.approx(soc.idle_w, rel=0.02)
    assert len(table.rows) == 8
    for row in table.rows:
        point, is_prefill = truth[row.clocks], row.phase == "prefill"
        true_w = soc.idle_w + (point.prefill_w if is_prefill else point.decode_w)
        # Leakage of a warm board is in the meter and not in the point: 0.1 W at most.
        assert table.idle_w + row.above_w == pytest.approx(true_w, rel=0.03, abs=0.1)
        full_s = soc.decode_s * (1 + soc.sequence_share * (row.tokens - 1))
        if is_prefill:
            full_s = soc.prefill_fixed_s + row.tokens * soc.prefill_token_s
        slow = point.prefill_slow if is_prefill else point.decode_slow
        assert row.step_s == pytest.approx(slow * full_s, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 7])
def test_the_forecast_of_every_point_is_near_the_truth_after_a_whole_sweep(
    root: Path, seed: int
) -> None:
    found = calibrated(root, seed, Wanted())
    save(root.parent / "state" / FILE, found.table)
    settings = found_config(root.parent / "state", root, {})
    forecast = outfit(settings, parts_here(settings, lambda: 0.0), None, lambda: 0.0).law.forecast
    truth = {point.clocks: point for point in found.truth.points}
    idle_w = found.truth.plant.soc.idle_w
    for point in forecast.points:
        for phase, above_w in (
            ("prefill", truth[point.clocks].prefill_w),
            ("decode", truth[point.clocks].decode_w),
        ):
            said_w = forecast.step_w(point, phase)  # type: ignore[arg-type]  # one of both
            assert said_w == pytest.approx(idle_w + above_w, rel=0.05)


def test_the_estimate_learns_from_the_same_minutes(found: Found) -> None:
    estimate = found.table.estimate
    assert estimate.against == "ina226@1-0040"
    assert estimate.error_share is not None
    assert 0.02 <= estimate.error_share < 0.15


def test_the_clocks_are_given_back_at_the_end(found: Found) -> None:
    assert found.caps == FULL


def test_clocks_that_a_killed_calibration_left_are_given_back_first(root: Path) -> None:
    KernelKnobs.discover(root, root.parent / "state").set_clocks(Clocks(500e6, 1200e6, 1068e6))

    async def play(loop: VirtualLoop) -> tuple[int, ...]:
        async with rig(loop, root) as one:
            return one.plant.caps()

    assert run_virtually(play) == FULL


def test_an_interrupted_calibration_goes_on_where_it_was(root: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[int, Notes, float, tuple[int, ...]]:
        async with rig(loop, root, wanted=FEW) as one:
            sweeping = asyncio.ensure_future(one.sweep())
            await asyncio.sleep(one.todo.left_s(0) / 2)
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            plant = one.plant
        caps = plant.caps()
        async with rig(loop, root, wanted=FEW) as one:
            fresh = Notes(one.parts.key, "sha256:0", one.todo)  # type: ignore[arg-type]  # has one
            done = len(notes.resumed(one.state / notes.FILE, fresh).sights)
            began_s = loop.time()
            taken = await one.sweep()
            return done, taken, loop.time() - began_s, caps

    done, taken, took_s, caps = run_virtually(play)
    assert 0 < done < len(taken.plan.stops)
    assert [sight.stop for sight in taken.sights] == list(taken.plan.stops)
    assert took_s == pytest.approx(taken.plan.left_s(done), rel=0.2)
    assert caps == FULL


@pytest.mark.parametrize(
    "change", [{"model": "sha256:1"}, {"key": Key("b", "k", "m")}], ids=["model", "key"]
)
def test_an_interrupted_calibration_of_something_else_begins_anew(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    todo = Plan((Stop(),), 1.0, 1.0, 1)
    begun = Notes(Key("b", "k", "ina226@1-0040"), "sha256:0", todo, (Sight(Stop(), 1.4),))
    notes.save(tmp_path / notes.FILE, begun)
    fresh = replace(begun, sights=())
    assert notes.resumed(tmp_path / notes.FILE, fresh) == begun
    other = replace(fresh, **change)
    assert notes.resumed(tmp_path / notes.FILE, other) == other


def test_notes_that_cannot_be_read_begin_anew(tmp_path: Path) -> None:
    fresh = Notes(Key("b", "k", None), "sha256:0", Plan((Stop(),), 1.0, 1.0, 1))
    (tmp_path / notes.FILE).write_text("garbage")
    assert notes.resumed(tmp_path / notes.FILE, fresh) == fresh


def test_a_point_that_heat_keeps_out_is_skipped_and_said(root: Path) -> None:
    async def play(loop: VirtualLoop) -> Notes:
        async with rig(loop, root, wanted=FEW) as one:
            one.plant.heat_hz = 1200e6
            return await one.sweep()

    taken = run_virtually(play)
    skipped = [sight for sight in taken.sights if sight.skipped]
    assert [sight.stop.clocks == taken.plan.stops[-1].clocks for sight in skipped] == [True, True]
    assert "the kernel holds cpu at 1200 MHz, as in heat" in skipped[0].skipped
    table, _ = table_of(taken.sights, taken.key, "dock-mini", "")
    assert len(table.rows) == 2


def test_a_meter_that_is_unplugged_ends_it_and_what_was_seen_is_kept(root: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[int, str]:
        async with rig(loop, root, wanted=FEW) as one:
            sweeping = asyncio.ensure_future(one.sweep())
            await asyncio.sleep(one.todo.left_s(0) / 2)
            unplug_chip(one.plant)
            with pytest.raises(MeterLost) as lost:
                await sweeping
            fresh = Notes(one.parts.key, "sha256:0", one.todo)  # type: ignore[arg-type]  # has one
            kept = notes.resumed(one.state / notes.FILE, fresh)
            return len(kept.sights), str(lost.value)

    kept, said = run_virtually(play)
    assert kept > 0
    assert "gone: ina226@1-0040 is not there any more" in said


def test_an_engine_that_goes_away_ends_it(root: Path) -> None:
    async def play(loop: VirtualLoop) -> None:
        async with rig(loop, root) as one:
            sweeping = asyncio.ensure_future(one.sweep())
            await asyncio.sleep(20.0)
            one.engine._forget("it was killed")
            with pytest.raises(EngineUnusable, match="it was killed"):
                await sweeping

    run_virtually(play)


# --- the table in use --------------------------------------------------------------------------


def held_by(root: Path, table: Table | None, **power: Any) -> Law:
    """Return the law of a start with this table in the state directory."""
    settings = found_config(root.parent / "state", root, power)
    if table is not None:
        save(root.parent / "state" / FILE, table)
    return outfit(settings, parts_here(settings, lambda: 0.0), None, lambda: 0.0).law


def test_without_a_meter_the_margin_is_the_estimate_s_band_and_stays(
    root: Path, found: Found
) -> None:
    table = found.table
    law = held_by(root, table, meter="estimate")
    for now_s in (1.0, 600.0, 86_400.0):
        law.observe(now_s, None)
        law.choose(now_s)
        assert law._ledger.aim_w == pytest.approx(law.limits.mean_w * (1 - table.band))
    assert table.band == table.estimate.error_share


def test_a_calibrated_board_without_a_meter_is_held_within_its_band(
    root: Path, found: Found
) -> None:
    save(root.parent / "state" / FILE, found.table)

    async def play(loop: VirtualLoop) -> tuple[Figures, Watts]:
        async with trial(loop, root, found.seed, meter="estimate") as one:
            await asyncio.sleep(10.0)
            await one.daemon.saturate(70.0)
            return one.figures(), one.daemon.power.watts()

    figures, watts = run_virtually(play)
    assert figures.windows_over_share == figures.peak_over_share == 0
    assert figures.mean_w >= (1 - 2 * found.table.band) * watts.limits.mean_w
    assert (watts.origin, watts.error_share) == ("estimated", found.table.band)


def test_a_table_is_said_and_a_stale_one_is_said_and_not_used(root: Path, found: Found) -> None:
    table, state = found.table, root.parent / "state"
    save(state / FILE, table)
    settings = found_config(state, root, {})
    good = parts_here(settings, lambda: 0.0)
    save(state / FILE, replace(table, key=replace(table.key, kernel="5.10.110")))
    stale = parts_here(settings, lambda: 0.0)
    assert good.table is not None
    assert good.told.calibration is not None
    assert "8 rows" in good.told.calibration
    assert (stale.table, stale.told.calibration) == (None, None)
    assert "under kernel 5.10.110" in (stale.told.calibration_warning or "")


def test_what_was_learned_without_the_table_is_not_put_on_top_of_it(
    root: Path, found: Found
) -> None:
    settings = found_config(root.parent / "state", root, {})
    before = parts_here(settings, lambda: 0.0).name
    save(root.parent / "state" / FILE, found.table)
    after = parts_here(settings, lambda: 0.0).name
    assert before != after
    assert after.startswith(f"{before} calibrated ")


def test_a_machine_nobody_knows_is_held_once_it_is_calibrated(root: Path) -> None:
    (root / "firmware/devicetree/base/compatible").unlink()
    settings: Config = found_config(root.parent / "state", root, {"meter": "estimate"})
    parts = parts_here(settings, lambda: 0.0)
    assert parts.key is not None
    assert not held_by(root, None, meter="estimate").settings.enforce
    clocks = operating_points(SOC, frozenset())[0].clocks
    stops = [Stop("prefill", clocks), Stop("decode", clocks)]
    sights = [Sight(Stop(), 2.0, 0.02), *(Sight(stop, 5.0, 0.02, 4.0, 0.05) for stop in stops)]
    table, _ = table_of(sights, replace(parts.key, meter="shelly plug"), "dock-mini", "")
    law = held_by(root, table, meter="estimate")
    assert law.settings.enforce
    assert law.forecast.step_w(law.forecast.points[0], "decode") == pytest.approx(5.0)
    assert law.forecast.decode_s(law.forecast.points[0], 4) == pytest.approx(0.05)
