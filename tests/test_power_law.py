from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.bench.power_judge import Truth
from edged.board.soc import KNOBS, RK3576, RK3588, Clocks, operating_points
from edged.board.virtual.engine import Engine, Request
from edged.board.virtual.plant import Board, Plant, Thermal, drawn
from edged.board.virtual.run import Event, Run
from edged.board.virtual.sensor import Chip, Fault, Sensor
from edged.power.budget import BLIND_DUTY, Budget, Source, State
from edged.power.forecast import Forecast, Learned, Step
from edged.power.law import Law, Settings
from edged.power.plausible import TRUST_READINGS, Metered, Trust

# Each example is more than a minute of a board.
FEW = settings(max_examples=settings().max_examples // 4)
END_S = 70.0
FAULT_S = 30.0
LOADS = st.lists(
    st.tuples(st.floats(0, 40), st.integers(16, 1500), st.integers(4, 90)), min_size=20, max_size=60
)
FAULTS: dict[str, Fault] = {
    "none": lambda now_s, power_w: power_w,
    "unplugged": lambda now_s, power_w: None if now_s > FAULT_S else power_w,
    "zero": lambda now_s, power_w: 0.0 if now_s > FAULT_S else power_w,
    "stuck low": lambda now_s, power_w: 1.5 if now_s > FAULT_S else power_w,
    "spike": lambda now_s, power_w: 40.0 if now_s % 7 < 0.13 else power_w,
    "shunt x10": lambda now_s, power_w: 10 * power_w if now_s > FAULT_S else power_w,
    "shunt /10": lambda now_s, power_w: power_w / 10 if now_s > FAULT_S else power_w,
    "nan": lambda now_s, power_w: math.nan if now_s > FAULT_S else power_w,
    "never there": lambda now_s, power_w: None,
    "contract": lambda now_s, power_w: 24.0,
}
CONTRACT = Chip(name="tcpm_source_psy_4_0022")
# A reading of these cannot be true whatever the board does; the meter must not count as one.
SEEN = ("unplugged", "zero", "shunt x10", "nan", "never there", "contract")
# Eight readings and the last good one's age.
SEEN_WITHIN_S = 2.5


def law(budget_w: float = 4.0, terms: Settings | None = None, knobs: frozenset[str] = KNOBS) -> Law:
    forecast = Forecast(RK3588, operating_points(RK3588, knobs), Learned())
    return Law(forecast, Budget(budget_w=budget_w).limits(), terms or Settings(), 0.0)


def simulate(
    governor: Law,
    requests: list[Request],
    *,
    seed: int = 1,
    fault: Fault | None = None,
    chip: Chip | None = None,
    knobs: frozenset[str] = KNOBS,
    until_s: float = END_S,
    events: Callable[[Law], list[Event]] = lambda governor: [],
) -> tuple[Board, Engine]:
    plant = drawn(RK3588, seed)
    board = Board(plant, plant.points(knobs), 25.0)
    engine = Engine(iter(requests))
    sensor = Sensor(chip or Chip(), seed, fault)
    Run(board, sensor, engine, governor, events(governor)).until(until_s)
    return board, engine


def backlog(from_s: float = 10.0) -> list[Request]:
    return [Request(from_s, 256, 60, 1e9) for _ in range(2000)]


def worst_w(board: Board, window_s: float, from_s: float = 2.0) -> float:
    return float(Truth(board).means_w(from_s, board.now_s, window_s).max())


@FEW
@given(LOADS, st.sampled_from(sorted(FAULTS)), st.integers(1, 16), st.sampled_from([3.0, 4.0, 5.0]))
def test_whatever_the_load_and_the_meter_the_limits_hold(
    load: list[tuple[float, int, int]], fault: str, seed: int, budget_w: float
) -> None:
    requests = [Request(at_s, prompt, output, at_s + 60) for at_s, prompt, output in sorted(load)]
    governor = law(budget_w)
    chip = CONTRACT if fault == "contract" else None
    board, _ = simulate(governor, requests, seed=seed, fault=FAULTS[fault], chip=chip)
    assert worst_w(board, 10.0) <= 1.01 * budget_w
    peaks_w = Truth(board).means_w(2.0, board.now_s, 1.0)
    assert (peaks_w > 1.02 * 1.2 * budget_w).mean() <= 0.001


@FEW
@given(
    LOADS,
    st.sampled_from(sorted(FAULTS)),
    st.integers(1, 16),
    st.sampled_from([1.1, 3.0, 4.0, 8.0]),
)
@example([(0.0, 16, 4)] * 19 + [(28.0, 16, 4)], "stuck low", 1, 3.0)
def test_the_state_never_lies(
    load: list[tuple[float, int, int]], fault: str, seed: int, budget_w: float
) -> None:
    requests = [Request(at_s, prompt, output, at_s + 60) for at_s, prompt, output in sorted(load)]
    governor, told = law(budget_w), []
    full = len(governor.forecast.points) - 1

    def tell(at_s: float) -> Event:
        return Event(
            at_s,
            lambda: told.append((at_s, governor.standing, governor.source, governor.point)),
        )

    def tells(governor: Law) -> list[Event]:
        return [tell(number + 0.95) for number in range(5, int(END_S))]

    chip = CONTRACT if fault == "contract" else None
    simulate(governor, requests, seed=seed, fault=FAULTS[fault], chip=chip, events=tells)
    floor_w = drawn(RK3588, seed).soc.idle_w
    for at_s, standing, source, point in told:
        assert standing.state is not State.OK or point == full
        assert (standing.state is State.INFEASIBLE) == (budget_w < floor_w)
        assert (source is Source.METER) != ("held by the forecast" in standing.why)
        if fault in SEEN and at_s > FAULT_S + SEEN_WITHIN_S:
            assert source is Source.FORECAST


@pytest.mark.parametrize(
    "fault", ["unplugged", "zero", "stuck low", "shunt x10", "shunt /10", "nan"]
)
def test_a_meter_that_fails_gives_way_to_the_forecast_and_the_state_says_so(fault: str) -> None:
    governor = law()
    simulate(governor, backlog(), fault=FAULTS[fault])
    assert governor.source is Source.FORECAST
    assert "held by the forecast" in governor.standing.why
    assert "meter" in governor.standing.why


def test_a_wrong_shunt_is_seen_although_the_board_was_never_idle() -> None:
    governor = law()
    board, _ = simulate(governor, backlog(0.0), fault=lambda now_s, power_w: power_w / 10)
    assert governor.source is Source.FORECAST
    assert worst_w(board, 10.0) <= 1.01 * 4.0


@pytest.mark.parametrize("factor", [0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("from_s", [0.0, FAULT_S])
def test_a_shunt_far_smaller_than_the_driver_s_is_named_and_the_limit_holds(
    factor: float, from_s: float
) -> None:
    governor = law()
    board, _ = simulate(
        governor,
        backlog(0.0),
        fault=lambda now_s, power_w: factor * power_w if now_s >= from_s else power_w,
    )
    assert governor.source is Source.FORECAST
    assert governor.why_source.startswith("wrong_shunt: ")
    assert worst_w(board, 10.0) <= 1.01 * 4.0


def test_a_meter_that_comes_back_is_believed_again() -> None:
    governor = law()
    simulate(governor, backlog(), fault=lambda now, watts: None if 20 < now < 40 else watts)
    assert governor.source is Source.METER


def test_a_usb_pd_contract_is_never_a_meter() -> None:
    governor = law()
    simulate(governor, backlog(), chip=CONTRACT, fault=FAULTS["contract"])
    assert governor.source is Source.FORECAST
    assert "USB-PD contract" in governor.standing.why


def test_without_meter_and_board_steps_run_a_tenth_of_the_time_and_the_state_is_blind() -> None:
    governor = law(terms=Settings(board_known=False))
    simulate(governor, backlog(), fault=FAULTS["never there"])
    busy_s = sum(one.end_s - one.start_s for one in governor._stretches if one.phase is not None)
    span_s = governor._stretches[-1].end_s - governor._stretches[0].start_s
    assert governor.standing.state is State.BLIND
    assert 0.5 * BLIND_DUTY < busy_s / span_s <= 1.05 * BLIND_DUTY


def test_a_budget_under_the_floor_starts_nothing_and_says_what_to_switch_off() -> None:
    governor = law(budget_w=1.2)
    board, engine = simulate(governor, backlog())
    assert governor.standing.state is State.INFEASIBLE
    assert "switch off" in governor.standing.why
    assert engine.tokens == 0
    assert worst_w(board, 10.0) <= 1.6  # the floor of this plant, which the law cannot lower


def test_a_peak_that_no_step_fits_under_is_said() -> None:
    governor = law(knobs=frozenset())
    limits = Budget(budget_w=4.0, peak_w=4.0, peak_window_s=1.0).limits()
    governor.set_limits(replace(limits, peak_w=1.9, mean_w=1.9, window_s=60.0), 0.0)
    assert governor.standing.state in (State.INFEASIBLE, State.INFEASIBLE_PEAK)


def let_in_s(governor: Law, step: Step, from_s: float, within_s: float) -> float | None:
    """Return when the step may start, asked again behind each pause; None: not in this time."""
    now_s = from_s
    while now_s < from_s + within_s:
        pause_s = governor.pause_s(now_s, step)
        if pause_s == 0:
            return now_s
        now_s += pause_s
    return None


def test_a_prompt_that_cannot_be_cut_is_let_in_and_the_pauses_behind_it_pay() -> None:
    governor = law(terms=Settings(cuts_prefill=False), knobs=frozenset())
    whole = Step("prefill", 8000)
    prefill_s = governor.forecast.step_s(governor.forecast.points[governor.point], whole)
    assert prefill_s > governor.limits.window_s
    began_s = let_in_s(governor, whole, 20.0, 10.0)
    assert began_s is not None
    governor.begin(began_s, whole)
    ended_s = began_s + prefill_s
    for second in range(1, int(prefill_s)):
        governor.observe(began_s + second, None)
    governor.end(ended_s, settled=True)
    assert governor.mean_w(ended_s) > governor.limits.mean_w
    next_s = let_in_s(governor, Step("decode", 1), ended_s, 20.0)
    assert next_s is not None
    assert governor.mean_w(next_s) <= governor.limits.mean_w


def test_a_step_longer_than_a_window_is_never_let_in_where_prompts_are_cut() -> None:
    assert let_in_s(law(), Step("prefill", 8000), 20.0, 60.0) is None


def test_not_enforced_means_off_and_full_speed() -> None:
    governor = law(terms=Settings(enforce=False))
    simulate(governor, backlog())
    assert governor.standing.state is State.OFF
    assert governor.pause_s(END_S, Step("prefill", 512)) == 0


@FEW
@given(st.integers(1, 16), st.floats(2.4, 5.0), st.floats(0.1, 1.0))
def test_a_lower_budget_never_gives_more_watts(seed: int, budget_w: float, less_w: float) -> None:
    higher, _ = simulate(law(budget_w), backlog(), seed=seed)
    lower, _ = simulate(law(budget_w - less_w), backlog(), seed=seed)
    joules = [Truth(board).joules(20.0, END_S) for board in (lower, higher)]
    assert joules[0] <= 1.005 * joules[1]


def test_a_cut_holds_from_two_seconds_after_it() -> None:
    def cut(governor: Law) -> list[Event]:
        limits = Budget(budget_w=3.0).limits()
        return [Event(40.0, lambda: governor.set_limits(limits, 40.0))]

    board, _ = simulate(law(6.0), backlog(), until_s=90.0, events=cut)
    assert worst_w(board, 10.0, from_s=42.0) <= 1.01 * 3.0


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_saturated_board_uses_its_watts_or_sits_between_two_points(seed: int) -> None:
    governor = law()
    board, _ = simulate(governor, backlog(), seed=seed)
    mean_w = float(Truth(board).means_w(30.0, END_S, 10.0).mean())
    assert mean_w >= 0.95 * 4.0 or governor._choice.duty == 1.0


def test_even_load_changes_the_clocks_twice_at_most_in_five_minutes() -> None:
    board, _ = simulate(law(), backlog(), until_s=360.0)
    assert sum(at_s > 60.0 for at_s in board.clock_changes_s) <= 2


def test_the_best_point_of_a_board_that_is_not_nominal_is_found() -> None:
    # Of its prior this board's best point at 3 W looks worse than others: chunks are longer there.
    forecast = Forecast(RK3576, operating_points(RK3576), Learned())
    governor = Law(forecast, Budget(budget_w=3.0).limits(), Settings(), 0.0)
    plant = drawn(RK3576, 1)
    board = Board(plant, plant.points(KNOBS), 25.0)
    Run(board, Sensor(Chip(), 1), Engine(iter(backlog())), governor).until(120.0)
    clocks = governor.forecast.points[governor.point].clocks
    assert clocks == Clocks(700e6, 1608e6, 1560e6)


def test_a_board_whose_chunks_draw_far_more_than_the_peak_still_answers() -> None:
    # Half a second at 9 W: with any pause before it over a peak of 4.8 W in one second.
    soc = replace(RK3588, idle_w=1.5, npu_top_w=8.0, prefill_token_s=0.0034)
    points = operating_points(soc, frozenset())
    governor = Law(Forecast(soc, points, Learned()), Budget().limits(), Settings(), 0.0)
    board, engine = Board(Plant(soc, Thermal()), points, 25.0), Engine(iter(backlog()))
    Run(board, Sensor(Chip(), 1), engine, governor).until(END_S)
    assert engine.tokens > 0
    assert worst_w(board, 1.0) <= 1.02 * 4.8


def test_full_speed_is_ok_and_less_is_throttled() -> None:
    generous, tight = law(8.0), law(3.0)
    simulate(generous, backlog())
    simulate(tight, backlog())
    assert generous.standing.state is State.OK
    assert tight.standing.state is State.THROTTLED
    assert "MHz" in tight.standing.why


def test_the_idle_floor_is_learned_before_the_first_prompt() -> None:
    governor = law()
    simulate(governor, [], seed=5, until_s=15.0)
    assert governor.forecast.floor_w == pytest.approx(drawn(RK3588, 5).soc.idle_w, abs=0.05)


def test_late_and_doubled_ticks_change_nothing_that_matters() -> None:
    governor = law()
    for now_s in (0.1, 0.1, 5.0, 4.9, 60.0, 1e6, 10.0):
        governor.observe(now_s, Metered(2.0, "ina226", 0.1, 0.141, 0.005))
        governor.choose(now_s)
    assert math.isfinite(governor.mean_w(10.0))


def test_one_bad_reading_does_not_lose_the_meter_and_eight_do() -> None:
    trust, good = Trust(), [Metered(2.0 + number / 100, "x", 0.1, 0.1, 0.0) for number in range(9)]
    for reading in good:
        trust.takes(reading, 2.0, 1.4, 5.0)
    assert not trust.takes(None, 2.0, 1.4, 5.0)
    assert trust.is_trusted
    for _ in range(TRUST_READINGS):
        trust.takes(None, 2.0, 1.4, 5.0)
    assert not trust.is_trusted


def test_an_idle_board_that_reads_evenly_is_not_stuck() -> None:
    trust = Trust()
    for _ in range(100):
        assert trust.takes(Metered(1.4, "x", 0.1, 0.1, 0.0), 1.4, 1.4, 5.0)
