"""Meters that fall silent, clocks that cannot be set, engines that go away: the daemon holds on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edged.bench.power_judge import Figures, Span, judged
from edged.board.knobs.cap import Trouble
from edged.board.meter import Reading
from edged.board.meters.doubt import Bounds, Doubted
from edged.board.soc import Clocks, Domain
from edged.board.virtual.live import LiveBoard
from edged.engine.client import Lost
from edged.engine.frames import Limits, ToEngine
from edged.errors import KnobRefused, MeterLost
from edged.power.forecast import Learned
from edged.power.governor import Watts
from edged.power.kept import FILE, Kept
from edged.power.outfit import Parts
from tests.board_fixtures import board, virtual_board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model

SILENT_S = 20.0
END_S = 60.0
# Two periods of reading, and the pace of the load.
NAMED_S = 0.45


@dataclass(frozen=True, slots=True)
class Unplugged:
    """The virtual board's meter with its cable pulled after a while."""

    live: LiveBoard
    loop: VirtualLoop

    def read(self) -> Reading:
        """Return a reading while the cable is in."""
        if self.loop.time() > SILENT_S:
            raise MeterLost("no such device")
        return self.live.read()


@dataclass(frozen=True, slots=True)
class Late:
    """The virtual board's meter on a bus that takes three seconds after a while."""

    live: LiveBoard
    loop: VirtualLoop

    def read(self) -> Reading:
        """Return a reading that was asked for long ago."""
        reading = self.live.read()
        late_s = 3.0 if self.loop.time() > SILENT_S else 0.0
        return replace(reading, at_s=reading.at_s - late_s)


@dataclass(frozen=True, slots=True)
class Locked:
    """Clocks that the kernel does not let go of."""

    live: LiveBoard

    @property
    def domains(self) -> frozenset[str]:
        """Return what seems to be there."""
        return self.live.domains

    @property
    def troubles(self) -> dict[Domain, Trouble]:
        """Return nothing: it is seen at the first write."""
        return {}

    def steps_hz(self, domain: Domain) -> tuple[float, ...]:
        """Return the table of its board."""
        return self.live.steps_hz(domain)

    def set_clocks(self, clocks: Clocks) -> None:
        """Refuse."""
        raise KnobRefused("max_freq: read-only file system")

    def check(self, *, is_busy: bool) -> None:
        """Nothing was capped."""

    def kernel_hz(self) -> dict[Domain, float]:
        """Nothing was capped."""
        return {}

    def restore(self) -> None:
        """There is nothing to restore."""


def test_a_meter_that_falls_silent_is_said_and_the_budget_still_holds(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[Figures, Watts]:
        live = virtual_board(loop)
        parts = Parts(live.board.plant.soc, Unplugged(live, loop), live, live.run)
        async with board(loop, config_of(tmp_path), live, parts) as one:
            await asyncio.sleep(10.0)
            await one.saturate(END_S)
            span = Span(10.0, loop.time(), one.power.law.limits)
            live.run(None)
            return judged(live.board, [span], 1), one.power.watts()

    figures, watts = run_virtually(play)
    assert figures.windows_over_share == 0
    assert watts.origin == "estimated"
    assert "held by the forecast" in watts.standing.why


def test_a_meter_that_tells_of_another_time_is_named_and_the_budget_still_holds(
    tmp_path: Path,
) -> None:
    async def play(loop: VirtualLoop) -> tuple[Figures, str, Watts]:
        live = virtual_board(loop)
        meter = Doubted(Late(live, loop), Bounds(), loop.time)
        async with board(
            loop, config_of(tmp_path), live, Parts(live.board.plant.soc, meter, live, live.run)
        ) as one:
            await one.saturate(SILENT_S - 0.2)
            before = one.power.hands.fault
            await one.saturate(SILENT_S + NAMED_S)
            soon = one.power.hands.fault
            await one.saturate(END_S)
            span = Span(10.0, loop.time(), one.power.law.limits)
            live.run(None)
            assert before == ""
            return judged(live.board, [span], 1), soon, one.power.watts()

    figures, soon, watts = run_virtually(play)
    assert figures.windows_over_share == 0
    assert soon.startswith("stale: ")
    assert (watts.origin, "meter stale: " in watts.standing.why) == ("estimated", True)


def test_with_clocks_that_cannot_be_set_pauses_hold_the_budget_and_it_is_said(
    tmp_path: Path,
) -> None:
    async def play(loop: VirtualLoop) -> tuple[Figures, str]:
        live = virtual_board(loop)
        parts = Parts(live.board.plant.soc, live, Locked(live), live.run)
        async with board(loop, config_of(tmp_path), live, parts) as one:
            await asyncio.sleep(10.0)
            await one.saturate(150.0)
            span = Span(10.0, loop.time(), one.power.law.limits)
            live.run(None)
            return judged(live.board, [span], 1), one.power.watts().standing.why

    figures, why = run_virtually(play)
    assert figures.windows_over_share == 0
    assert "clocks cannot be set: max_freq: read-only file system" in why


def test_clocks_are_given_back_while_there_is_no_engine(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[int, int]:
        live = virtual_board(loop)
        config = config_of(tmp_path, power={"budget_w": 3.0})
        async with board(loop, config, live) as one:
            await one.saturate(20.0)
            held = live.board.place
            one.power.take(Lost("it ended"))
            await asyncio.sleep(5.0)
            live.run(None)
            return held, live.board.place - (len(live.board.points) - 1)

    held, away_from_full = run_virtually(play)
    assert held > 0
    assert away_from_full == 0


def test_over_idle_lies_on_top_of_the_idle_as_soon_as_it_is_learned(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[str, float, float]:
        config = config_of(tmp_path, power={"basis": "over_idle", "budget_w": 2.0})
        async with board(loop, config, virtual_board(loop, seed=2)) as one:
            await asyncio.sleep(1.5)
            before = one.power.watts().standing.why
            await asyncio.sleep(20.0)
            floor_w = one.power.law.forecast.floor_w
            return before, one.power.watts().limits.mean_w, floor_w

    before, limit_w, floor_w = run_virtually(play)
    assert "not learned yet" in before
    assert limit_w == pytest.approx(2.0 + floor_w, rel=0.02)


def test_over_idle_counts_at_once_where_the_idle_was_learned_before(tmp_path: Path) -> None:
    Kept(tmp_path / FILE).save("rk3588", Learned(floor_w=1.5))

    async def play(loop: VirtualLoop) -> Watts:
        config = config_of(tmp_path, power={"basis": "over_idle", "budget_w": 2.0})
        async with board(loop, config, virtual_board(loop)) as one:
            await asyncio.sleep(1.5)
            return one.power.watts()

    watts = run_virtually(play)
    assert watts.limits.mean_w == 3.5
    assert "not learned" not in watts.standing.why


def test_an_idle_board_wakes_for_nothing(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> tuple[float, float]:
        async with board(loop, config_of(tmp_path), virtual_board(loop)) as one:
            await asyncio.sleep(30.0)
            last, turns = one.power._last, loop.turns
            await asyncio.sleep(3600.0)
            assert loop.turns - turns <= 2  # this test's own timer
            assert last is not None
            assert one.power._last is last
            assert one.power.watts().mean_w == one.power.law.forecast.floor_w
            await one.accept(1)
            await asyncio.sleep(30.0)
            return last.at_s, one.power._last.at_s

    before_s, after_s = run_virtually(play)
    assert before_s < 20.0
    assert after_s > 3600.0


def test_the_first_limits_an_engine_hears_pace_it(tmp_path: Path) -> None:
    async def play(loop: VirtualLoop) -> list[Limits]:
        heard: list[Limits] = []
        async with board(loop, config_of(tmp_path), virtual_board(loop)) as one:
            send = one.engine.send

            def hear(*frames: ToEngine) -> None:
                heard.extend(frame for frame in frames if isinstance(frame, Limits))
                send(*frames)

            one.engine.send = hear  # type: ignore[method-assign]  # listening in
            await one.accept(1)
            await asyncio.sleep(10.0)
        return heard

    heard = run_virtually(play)
    assert heard[0].is_paced
    assert heard[0].chunk_tokens is not None
