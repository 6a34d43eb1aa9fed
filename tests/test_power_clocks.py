"""Clocks that fail in mid-run, and engines that come and go: the daemon sees it at its next look.

Goal: a fault of a clock has its name in `state` within two looks, and the board stays under its
limits. Method: as in test_power_sysfs; what takes a cap's place is a real file that the kernel lets
nobody write, or one that swallows what is written.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.bench.power_judge import Figures
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import FILE, SavedClocks, boot_id
from edged.engine.client import Lost
from edged.engine.frames import Ready
from edged.power.shown import Hands, Watts
from tests.golden_tree import Deaf, Sealed
from tests.memory import tmp_path as tmp_path
from tests.power_fixtures import FULL, Trial, held, trial
from tests.power_fixtures import root as root
from tests.sysfs_plant import CAPS, DDR, POLICIES
from tests.virtual_time import VirtualLoop, run_virtually

# The whole daemon runs in each of them.
pytestmark = pytest.mark.model

LEAD_S, FAULT_S, END_S = 10.0, 25.0, 70.0
# Two looks at the clocks, and the pace of the load.
TWO_LOOKS_S = 2.2
READY = Ready("sim", "sha256:0", "sim", 1024, 8, 0.0)
# Where an engine that came or went is seen: the turns of a thread, no tick.
AT_ONCE_S = 0.05

Breaks = Callable[[Trial], None]


@pytest.fixture
def sealed() -> Iterator[Sealed]:
    found = Sealed(str(FULL[0]))
    yield found
    found.close()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    found = Deaf(str(FULL[0]))
    yield found
    found.close()


def saturated(root: Path, breaks: Breaks) -> tuple[Figures, Hands, Watts]:
    """Break something in mid-run; return what the board drew, and what was said two looks later."""

    async def play(loop: VirtualLoop) -> tuple[Figures, Hands, Watts]:
        async with trial(loop, root) as one:
            await asyncio.sleep(LEAD_S)
            await one.daemon.saturate(FAULT_S)
            assert one.hands.clocks == {}
            breaks(one)
            await one.daemon.saturate(FAULT_S + TWO_LOOKS_S)
            soon = one.hands
            await one.daemon.saturate(END_S)
            return one.figures(), soon, one.daemon.power.watts()

    return run_virtually(play)


def run_free(one: Trial) -> None:
    """Let every clock run as fast as it can, whatever its cap."""
    one.plant.obeys = False
    one.plant.live.restore()


def test_a_clock_that_may_not_be_written_any_more_is_named_in_two_looks_and_the_budget_holds(
    root: Path, sealed: Sealed
) -> None:
    def take_away(one: Trial) -> None:
        for policy in POLICIES:
            sealed.take_place_of(root / policy / "scaling_max_freq")

    figures, soon, watts = saturated(root, take_away)
    assert held(figures)
    assert soon.clocks["cpu"].startswith("denied: ")
    assert "clocks cannot be set: " in watts.standing.why


def test_a_cap_that_ignores_what_is_written_is_named_in_two_looks_and_the_budget_holds(
    root: Path, deaf: Deaf
) -> None:
    def swallow(one: Trial) -> None:
        run_free(one)
        deaf.take_place_of(root / CAPS[0])

    figures, soon, watts = saturated(root, swallow)
    assert held(figures)
    assert soon.clocks["cpu"].startswith("ignored: ")
    assert "MHz read back" in watts.standing.why


def test_a_dmc_that_goes_away_is_named_in_two_looks_and_the_budget_holds(root: Path) -> None:
    def unbind(one: Trial) -> None:
        shutil.rmtree((root / DDR).resolve())
        (root / DDR).unlink()

    figures, soon, _ = saturated(root, unbind)
    assert held(figures)
    assert soon.clocks["ddr"].startswith("missing: ")


def test_an_engine_that_goes_gives_its_clocks_back_at_once_and_the_next_one_is_capped_at_once(
    root: Path,
) -> None:
    async def play(loop: VirtualLoop) -> list[tuple[int, ...]]:
        async with trial(loop, root, budget_w=3.0) as one:
            await one.daemon.saturate(20.0)
            seen = [one.plant.caps()]
            for pulse in (Lost("it ended"), READY):
                one.daemon.power.take(pulse)
                await asyncio.sleep(AT_ONCE_S)
                seen.append(one.plant.caps())
            return seen

    before, alone, again = run_virtually(play)
    assert alone == FULL
    assert FULL not in (before, again)


def test_an_engine_that_is_back_before_the_next_look_is_capped_again(root: Path) -> None:
    """Its unit gave the clocks back in between, beside the daemon."""

    async def play(loop: VirtualLoop) -> tuple[tuple[int, ...], tuple[int, ...]]:
        async with trial(loop, root, budget_w=3.0) as one:
            await one.daemon.saturate(20.0)
            await asyncio.sleep(5.0)  # an idle daemon looks once a second
            saved = SavedClocks(root.parent / "state", boot_id())
            assert restore_clocks(root, saved).back
            given_back = one.plant.caps()
            one.daemon.power.take(Lost("it ended"))
            one.daemon.power.take(READY)
            await asyncio.sleep(AT_ONCE_S)
            return given_back, one.plant.caps()

    given_back, after = run_virtually(play)
    assert given_back == FULL
    assert after != FULL
    assert (root.parent / "state" / FILE).exists()
