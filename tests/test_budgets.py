"""The budget in force: orders before the schedule before the configuration, and the watts follow.

The board is virtual and so is its time; helm, governor, dispatch, spool and step loop are real, and
the plant's truth judges.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main
from edged.bench.power_judge import Span, judged
from edged.clock import Instant, Record
from edged.config import Config, ScheduledBudget
from edged.errors import AdminRefused
from edged.orders.budgets import (
    APPLIED,
    NO_CLOCK,
    SET_ASIDE,
    InForce,
    entry_at,
    in_force,
    until_entry_s,
)
from edged.orders.helm import KEEP_CLOCK_S, Helm
from edged.orders.kept import BudgetOrder, Orders, OrdersFile, Term
from tests.beside import beside
from tests.board_fixtures import LEAD_S, Board, board, note_in, virtual_board
from tests.virtual_time import VirtualLoop, config_of, run_virtually

DAY = [{"at": "06:00", "budget_w": 6.0}, {"at": "22:00", "budget_w": 3.0, "peak_w": 3.5}]
TIMES = st.times().map(lambda time: f"{time:%H:%M}")
# 2026-11-21, 21:30 of the place, whatever place that is.
EVENING_S = datetime(2026, 11, 21, 21, 30).timestamp()


def with_schedule(**power: Any) -> Config:
    return Config.model_validate({"power": power, "budget": DAY})


def test_without_orders_and_schedule_the_configuration_holds() -> None:
    settings = Config.model_validate({"power": {"budget_w": 5.0}})
    assert in_force(settings, None, None) == InForce(5.0, None, "config", None, None)


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [(6, 0, (6.0, None)), (21, 59, (6.0, None)), (22, 0, (3.0, 3.5)), (5, 59, (3.0, 3.5))],
)
def test_the_schedule_holds_from_each_time_to_the_next_also_over_midnight(
    hour: int, minute: int, expected: tuple[float, float | None]
) -> None:
    found = in_force(with_schedule(), None, datetime(2026, 11, 21, hour, minute))
    assert (found.budget_w, found.peak_w) == expected
    assert (found.set_by, found.schedule) == ("schedule", APPLIED)


def test_without_a_right_clock_the_schedule_is_not_applied_and_that_is_said() -> None:
    found = in_force(with_schedule(budget_w=4.5), None, None)
    assert (found.budget_w, found.set_by, found.schedule) == (4.5, "config", NO_CLOCK)


def test_an_order_goes_before_the_schedule() -> None:
    order = BudgetOrder(2.5, None, Term("ops", 0.0))
    found = in_force(with_schedule(), order, datetime(2026, 11, 21, 12))
    assert (found.budget_w, found.set_by, found.schedule) == (2.5, "ops", SET_ASIDE)


def test_a_configured_peak_stays_unless_another_is_ordered() -> None:
    settings = Config.model_validate({"power": {"peak_w": 7.0}})
    term = Term("ops", 0.0)
    assert in_force(settings, BudgetOrder(3.0, None, term), None).peak_w == 7.0
    assert in_force(settings, BudgetOrder(3.0, 3.3, term), None).peak_w == 3.3


@given(st.lists(TIMES, min_size=1, max_size=5, unique=True), TIMES)
def test_the_entry_in_force_is_the_latest_begun(times: list[str], now: str) -> None:
    entries = [ScheduledBudget(at=at, budget_w=1.0) for at in times]
    found = entry_at(entries, now).at
    begun = sorted(at for at in times if at <= now)
    assert found == (begun[-1] if begun else max(times))


def test_a_schedule_that_names_a_time_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Config.model_validate({"budget": [DAY[0], DAY[0]]})


@pytest.mark.parametrize("at", ["24:00", "6:00", "06:60", "06:00:00", "noon"])
def test_a_time_of_day_is_two_digits_and_two(at: str) -> None:
    with pytest.raises(ValueError, match="at"):
        Config.model_validate({"budget": [{"at": at, "budget_w": 3.0}]})


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_schedule_that_means_nothing_ends_with_78_and_its_time(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edged.toml"
    path.write_text(
        f'[node]\nstate_dir = "{tmp_path}"\n[engine]\nbackend = "sim"\n'
        '[[budget]]\nat = "22:00"\nbudget_w = 3.0\npeak_w = 2.0\n'
    )
    assert main([command, *(["--config"] if command == "run" else []), str(path)]) == 78
    assert '[[budget]] at = "22:00"' in capsys.readouterr().err


class BoardTime:
    """The spool's clock in virtual time, and a wall clock that can be set wrong."""

    def __init__(self, loop: VirtualLoop, wall_s: float = EVENING_S, ahead_s: float = 0.0) -> None:
        self._loop = loop
        self._ahead_s = ahead_s
        self.offset_s = wall_s
        self.synchronised = True

    def now_s(self) -> float:
        return self._loop.time() + self._ahead_s

    def record(self) -> Record:
        now_s = self.now_s()
        return Record(now_s, Instant("boot", now_s, self.offset_s + now_s, self.synchronised))


@asynccontextmanager
async def steered(config: Config, one: Board, clock: BoardTime) -> AsyncIterator[Helm]:
    """Run a helm over a board."""
    file = OrdersFile(config.state_dir / "orders.json")
    helm = Helm(config, file, clock, one.dispatch, one.power)
    async with beside(helm.run()):
        yield helm


def mean_limit_w(one: Board) -> float:
    return one.power.law.limits.mean_w


@pytest.mark.model
def test_the_board_draws_what_was_ordered_from_the_order_on(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> tuple[list[float], list[float]]:
        live = virtual_board(loop)
        async with (
            board(loop, config, live) as one,
            steered(config, one, BoardTime(loop)) as helm,
        ):
            await asyncio.sleep(LEAD_S)
            spans = []
            for budget_w in (4.0, 6.0, 3.0):
                await helm.order_budget(budget_w, None, "root")
                await one.saturate(loop.time() + 2.0)
                began_s = loop.time()
                await one.saturate(began_s + 30.0)
                spans.append(Span(began_s, loop.time(), one.power.law.limits))
            live.run(None)
            figures = [judged(live.board, [span], 1) for span in spans]
            return [one.windows_over_share for one in figures], [one.mean_w for one in figures]

    over, means_w = run_virtually(play)
    assert over == [0, 0, 0]
    assert 3.6 < means_w[0] <= 4.0
    assert means_w[1] > 1.2 * means_w[0]
    assert 2.6 < means_w[2] <= 3.0


@pytest.mark.model
def test_a_budget_for_a_time_ends_though_the_wall_clock_is_set_back(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> tuple[list[float], str]:
        async with board(loop, config, virtual_board(loop)) as one:
            clock = BoardTime(loop)
            async with steered(config, one, clock) as helm:
                await helm.order_budget(3.0, None, "root", for_s=7200.0)
                seen_w = [mean_limit_w(one)]
                clock.offset_s -= 86_400.0
                await asyncio.sleep(7199.0)
                seen_w.append(mean_limit_w(one))
                await asyncio.sleep(2.0)
                return [*seen_w, mean_limit_w(one)], helm.said_of_budget().set_by

    assert run_virtually(play) == ([3.0, 3.0, 4.0], "config")


@pytest.mark.model
def test_an_order_ends_however_its_clock_is_rounded(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> set[str]:
        async with board(loop, config, virtual_board(loop)) as one:
            await asyncio.sleep(1000 * math.pi)
            # Near zero the spool's clock has finer grains than the event loop's.
            clock = BoardTime(loop, ahead_s=-loop.time())
            async with steered(config, one, clock) as helm:
                seen = set()
                for number in range(200):
                    await helm.order_budget(3.0, None, "root", for_s=1.0 + number / 70)
                    await asyncio.sleep(2.0 + number / 70)
                    seen.add(helm.said_of_budget().set_by)
                return seen

    assert run_virtually(play) == {"config"}


@pytest.mark.model
def test_the_schedule_is_followed_on_the_minute(tmp_path: Path) -> None:
    config = config_of(tmp_path).model_copy(update={"budget": with_schedule().budget})

    async def play(loop: VirtualLoop) -> list[float]:
        async with (
            board(loop, config, virtual_board(loop)) as one,
            steered(config, one, BoardTime(loop)),
        ):
            seen_w = [mean_limit_w(one)]
            for pause_s in (1799.0, 2.0, 8 * 3600.0):
                await asyncio.sleep(pause_s)
                seen_w.append(mean_limit_w(one))
            return seen_w

    assert run_virtually(play) == [6.0, 6.0, 3.0, 6.0]


@given(
    st.lists(TIMES, min_size=1, max_size=5, unique=True),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30)),
)
def test_the_next_entry_is_the_first_moment_at_which_another_one_may_hold(
    times: list[str], local: datetime
) -> None:
    entries = [ScheduledBudget(at=at, budget_w=1.0) for at in times]
    rest_s = until_entry_s(entries, local)
    later = datetime.fromtimestamp(local.timestamp() + rest_s)
    assert 0 < rest_s <= 25 * 3600
    assert f"{later:%H:%M}" in times
    before = datetime.fromtimestamp(later.timestamp() - 0.001)
    if before > local:
        assert entry_at(entries, f"{before:%H:%M}") == entry_at(entries, f"{local:%H:%M}")


@pytest.mark.model
def test_an_idle_board_wakes_for_the_entries_of_its_schedule_alone(tmp_path: Path) -> None:
    config = config_of(tmp_path).model_copy(update={"budget": with_schedule().budget})

    async def play(loop: VirtualLoop) -> tuple[int, int, list[float]]:
        async with (
            board(loop, config, virtual_board(loop)) as one,
            steered(config, one, BoardTime(loop)),
        ):
            await asyncio.sleep(120.0)
            turns, seen_w = [loop.turns], []
            for pause_s in (1600.0, 200.0):  # to 21:58 and to 22:02
                await asyncio.sleep(pause_s)
                turns.append(loop.turns)
                seen_w.append(mean_limit_w(one))
            return turns[1] - turns[0], turns[2] - turns[1], seen_w

    none, some, seen_w = run_virtually(play)
    assert seen_w == [6.0, 3.0]
    assert none <= 2  # this test's own timer
    assert none < some < 10


@pytest.mark.model
def test_a_clock_that_was_set_on_an_idle_board_counts_from_the_next_prompt_on(
    tmp_path: Path,
) -> None:
    config = config_of(tmp_path).model_copy(update={"budget": with_schedule().budget})

    async def play(loop: VirtualLoop) -> tuple[float, float]:
        async with board(loop, config, virtual_board(loop)) as one:
            clock = BoardTime(loop)
            async with steered(config, one, clock):
                await asyncio.sleep(120.0)
                clock.offset_s += 3600.0
                await asyncio.sleep(120.0)
                before_w = mean_limit_w(one)
                await one.accept(1)
                await asyncio.sleep(0.5)
                return before_w, mean_limit_w(one)

    assert run_virtually(play) == (6.0, 3.0)


@pytest.mark.model
def test_the_schedule_waits_for_a_right_clock(tmp_path: Path) -> None:
    config = config_of(tmp_path).model_copy(update={"budget": with_schedule().budget})

    async def play(loop: VirtualLoop) -> list[tuple[float, str | None]]:
        async with board(loop, config, virtual_board(loop)) as one:
            clock = BoardTime(loop, wall_s=12.0)
            clock.synchronised = False
            async with steered(config, one, clock) as helm:
                seen = [(mean_limit_w(one), helm.budget.schedule)]
                clock.offset_s, clock.synchronised = EVENING_S, True
                await asyncio.sleep(61.0)
                return [*seen, (mean_limit_w(one), helm.budget.schedule)]

    assert run_virtually(play) == [(4.0, NO_CLOCK), (6.0, APPLIED)]


@pytest.mark.model
def test_only_a_timed_order_has_the_spool_keep_its_clock_again_and_again(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> list[str | None]:
        async with (
            board(loop, config, virtual_board(loop)) as one,
            steered(config, one, BoardTime(loop)) as helm,
        ):
            await helm.order_budget(3.0, None, "root")
            notes = [note_in(config.state_dir)]
            await asyncio.sleep(2 * KEEP_CLOCK_S)
            notes.append(note_in(config.state_dir))
            await helm.order_budget(3.0, None, "root", for_s=4 * KEEP_CLOCK_S)
            for _ in range(3):
                notes.append(note_in(config.state_dir))
                await asyncio.sleep(1.1 * KEEP_CLOCK_S)
            return notes

    untimed, later, *timed = run_virtually(play)
    assert untimed == later
    assert len({later, *timed}) == 4


@pytest.mark.model
def test_a_budget_that_means_nothing_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    config = config_of(tmp_path, power={"peak_w": 5.0})

    async def play(loop: VirtualLoop) -> tuple[float, Orders]:
        async with (
            board(loop, config, virtual_board(loop)) as one,
            steered(config, one, BoardTime(loop)) as helm,
        ):
            with pytest.raises(AdminRefused, match=r"peak_w = 5 is under budget_w = 6"):
                await helm.order_budget(6.0, None, "root")
            kept = OrdersFile(config.state_dir / "orders.json").load()
            return mean_limit_w(one), kept

    assert run_virtually(play) == (4.0, Orders())


@pytest.mark.model
def test_an_order_that_a_new_configuration_makes_void_is_dropped(tmp_path: Path) -> None:
    config = config_of(tmp_path, power={"peak_w": 5.0})
    order = BudgetOrder(6.0, None, Term("root", 0.0))
    OrdersFile(config.state_dir / "orders.json").save(Orders(budget=order))

    async def play(loop: VirtualLoop) -> tuple[float, str]:
        async with (
            board(loop, config, virtual_board(loop)) as one,
            steered(config, one, BoardTime(loop)) as helm,
        ):
            return mean_limit_w(one), helm.said_of_budget().set_by

    assert run_virtually(play) == (4.0, "config")


@pytest.mark.parametrize("synchronised", [True, False])
@pytest.mark.model
def test_an_end_has_a_date_only_where_the_date_is_known(synchronised: bool, tmp_path: Path) -> None:
    config = config_of(tmp_path)

    async def play(loop: VirtualLoop) -> tuple[str | None, float | None]:
        async with board(loop, config, virtual_board(loop)) as one:
            clock = BoardTime(loop, wall_s=datetime.fromisoformat("2026-11-21T21:30Z").timestamp())
            clock.synchronised = synchronised
            async with steered(config, one, clock) as helm:
                await helm.order_budget(3.0, None, "root", for_s=7200.0)
                said = helm.said_of_budget()
                return said.until, said.left_s

    until = "2026-11-21T23:30Z" if synchronised else None
    said, left_s = run_virtually(play)
    assert said == until
    assert left_s == pytest.approx(7200.0, abs=1.0)
