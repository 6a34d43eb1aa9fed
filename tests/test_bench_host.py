"""The referee of `edged bench power --board host`: its plant, its chip, its record, its rival.

Goal: the watts that judge edged are those that the engine's CPU seconds stand for. Method: the pure
parts under properties; the chip through edged's own meter; the whole, short, with a real daemon,
engine and broker.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import cli, config
from edged.bench.host import LABEL
from edged.bench.host.beside import beside
from edged.bench.host.duty import SHARE_MIN, SWEEP, Tried, at_limit, mean
from edged.bench.host.judge import Joules, Record, Span, judged, lasting_w, read_record
from edged.bench.host.load import OUTSTANDING, Answered, Load
from edged.bench.host.plant import Chip, Constants, Plant, drawn, settled_w
from edged.bench.host.referee import CHIP_ID, CpuClock, Served, clocked_s, lay_out
from edged.bench.host.report import table
from edged.bench.host.trial import Cell, Governed, Outcome, mean_w
from edged.bench.power_judge import Truth
from edged.board.meters.choose import Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from edged.board.meters.powercap import PowercapMeter, find_zones
from edged.config.tables import Engine, Node, Power
from edged.mqtt import Delivery, Session
from edged.power.outfit import outfit, parts_here
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.golden_tree import Ticks, tree
from tests.memory import tmp_path as tmp_path
from tests.mqtt_fixtures import board, broker_config, finish, take, to

ROOT = Path(__file__).parent.parent
SEEDS = st.integers(0, 10_000)
LOADS = st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(0, 1.1)), min_size=1, max_size=40)


@given(SEEDS)
def test_every_drawn_machine_draws_about_nine_watts_at_full_load(seed: int) -> None:
    assert 8.49 <= settled_w(drawn(seed), 1.0) <= 9.51


@given(SEEDS)
def test_no_drawn_machine_is_a_straight_line(seed: int) -> None:
    one = drawn(seed)
    half_w = settled_w(one, 0.5) - one.idle_w
    assert abs(half_w / (settled_w(one, 1.0) - one.idle_w) - 0.5) > 1e-4


@given(SEEDS, LOADS)
def test_the_plant_draws_between_idle_and_full_and_never_gives_joules_back(
    seed: int, loads: list[tuple[float, float]]
) -> None:
    one, plant, now_s, before_j = drawn(seed), Plant(drawn(seed), 0.0), 0.0, 0.0
    most_w = settled_w(one, 1.1)
    for passed_s, load in loads:
        now_s += passed_s
        watts_w = plant.advance(now_s, load)
        assert one.idle_w - 1e-9 <= watts_w <= most_w + 1e-9
        assert plant.joules == pytest.approx(before_j + watts_w * passed_s)
        before_j = plant.joules


@given(SEEDS, st.floats(0.05, 1.0), st.integers(1, 50))
def test_joules_of_an_even_load_do_not_depend_on_how_often_the_referee_looks(
    seed: int, load: float, looks: int
) -> None:
    once, often = Plant(drawn(seed), 0.0), Plant(drawn(seed), 0.0)
    once.advance(0.5, load)
    for number in range(1, looks + 1):
        often.advance(0.5 * number / looks, load)
    # The heat follows the mean of each look: a thousandth at most.
    assert often.joules == pytest.approx(once.joules, rel=1e-3)


def test_watts_follow_the_load_late() -> None:
    one = drawn(1)
    plant = Plant(one, 0.0)
    early_w = plant.advance(one.lag_s / 4, 1.0)
    for number in range(1, 400):
        late_w = plant.advance(one.lag_s / 4 + 0.5 * number, 1.0)
    assert early_w < 0.5 * late_w
    assert late_w == pytest.approx(settled_w(one, 1.0), rel=1e-3)


def fed(one: Constants, until_s: float, watts_w: float) -> Chip:
    """Return a chip that has seen even watts for a while."""
    chip = Chip(one, 1, 0.14, 0.0)
    for number in range(1, int(until_s / 0.02)):
        chip.take(0.02 * number, 0.02 * number * watts_w)
    return chip


@given(SEEDS)
def test_the_chip_shows_the_watts_within_its_gain_noise_and_quantum(seed: int) -> None:
    one = drawn(seed)
    error_w = abs(fed(one, 2.0, 5.0).shown_w - one.gain * 5.0)
    assert error_w <= 6 * one.noise_w + one.quantum_w


def test_the_chip_shows_whole_steps_only() -> None:
    one = drawn(3)
    steps = fed(one, 2.0, 5.0).shown_w / one.quantum_w
    assert steps == pytest.approx(round(steps))


def test_the_chip_shows_an_interval_only_after_its_delay() -> None:
    one = drawn(1)
    chip = Chip(one, 1, 0.1, 0.0)
    idle_w = chip.shown_w
    chip.take(0.1, 9.0 * 0.1)
    chip.take(0.1 + 0.9 * one.delay_s, 9.0 * (0.1 + 0.9 * one.delay_s))
    assert chip.shown_w == idle_w
    chip.take(0.1 + 1.1 * one.delay_s, 9.0 * (0.1 + 1.1 * one.delay_s))
    assert chip.shown_w == pytest.approx(9.0, rel=0.02)


def test_the_tree_is_a_machine_that_nobody_knows_with_one_chip_that_averages_as_asked(
    tmp_path: Path,
) -> None:
    served = Served(lay_out(tmp_path / "sys"), Chip(drawn(1), 1, 0.035, 0.0))
    served.take(0.0, 0.0)
    wish = Wish(of_cores(1.8, 0.55, 1.8e9, 0.4))
    chosen = choose_meter(wish, lambda: None, tmp_path / "sys", clock=Ticks())
    served.take(0.02, 0.0)
    assert chosen.why.startswith(f"{CHIP_ID}: the only power chip here; averages 125 ms")
    assert served.chip.averaging_s == 0.125


def test_a_machine_that_nobody_knows_is_held_and_no_clock_is_named(tmp_path: Path) -> None:
    served = Served(lay_out(tmp_path / "sys"), Chip(drawn(1), 1, 0.035, 0.0))
    served.take(0.0, 0.0)
    settings = config.Config(
        node=Node(state_dir=tmp_path),
        engine=Engine(backend="llama"),
        power=Power(sysfs=tmp_path / "sys", budget_w=3.0),
    )
    clock = Ticks(0.0)
    parts = parts_here(settings, clock)
    held = outfit(settings, parts, None, clock)
    assert (parts.name, parts.knobs, held.is_paced) == ("unknown", None, True)
    assert held.law.forecast.points[-1:] == held.law.forecast.points
    assert "MHz" not in held.law.standing.why


def test_the_cpu_clock_is_that_of_the_process_in_the_lock_file(tmp_path: Path) -> None:
    lock = tmp_path / "engine.lock"
    clock = CpuClock(lock)
    assert clock.passed_s() == 0.0  # no engine yet
    lock.write_text(f"{os.getpid()}\n")
    assert clock.passed_s() == 0.0  # what it used before is not counted
    began_s = time.process_time()
    while time.process_time() - began_s < 0.05:
        math.sqrt(2.0)
    assert 0.05 <= clock.passed_s() < 0.5


def test_a_process_that_is_gone_has_no_clock() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    with pytest.raises(OSError, match=r"\[Errno"):
        clocked_s(done.pid)


def tried(line: dict[float, float]) -> list[Tried]:
    """Return shares with the watts of their worst window; tokens go with the share."""
    return [Tried(share, 100 * share, {1: worst_w}) for share, worst_w in line.items()]


# The least share of the sweep draws 2.0 W on this line.
@given(st.floats(2.1, 9.4))
def test_the_search_ends_at_the_share_whose_worst_window_is_the_limit(limit_w: float) -> None:
    def worst_w(share: float) -> float:
        return 1.5 + 8.0 * math.pow(share, 1.2)

    found = tried({share: worst_w(share) for share in SWEEP})
    for _ in range(3):
        share = at_limit(found, 1, limit_w).share
        found += tried({share: worst_w(share)})
    best = at_limit(found, 1, limit_w)
    assert best.share == pytest.approx(((limit_w - 1.5) / 8.0) ** (1 / 1.2), abs=0.02)
    assert best.tokens_s == pytest.approx(100 * best.share, rel=1e-6)


def test_where_everything_fits_the_largest_share_is_the_best() -> None:
    assert at_limit(tried({0.5: 3.0, 1.0: 3.5}), 1, 4.0).share == 1.0


def test_where_nothing_fits_a_smaller_share_is_tried_next() -> None:
    assert SHARE_MIN <= at_limit(tried({0.5: 6.0}), 1, 1.0).share < 0.5


def test_two_runs_of_nearly_one_share_stand_for_one_between_them() -> None:
    both = [Tried(0.4, 40.0, {1: 3.8, 2: 9.0}), Tried(0.5, 60.0, {1: 4.4, 2: 9.0})]
    one = mean(both, 1)
    assert (one.share, one.tokens_s, one.worst_w[1]) == pytest.approx((0.45, 50.0, 4.1))


@given(SEEDS, st.floats(0.05, 1.0))
def test_a_load_that_goes_on_is_judged_by_a_plant_that_has_its_heat(seed: int, load: float) -> None:
    times_s = [0.02 * number for number in range(1000)]
    record = Record(times_s, [load * 2.0 * at_s for at_s in times_s], times_s)
    lasting = lasting_w(record, Span(0.0, 16.0, 1.0), seed, full_cores=2.0)
    assert lasting == pytest.approx(settled_w(drawn(seed), load), rel=2e-3)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.01, 10))
def test_every_token_of_an_answer_counts_once(first_s: float, cut_s: float, ran_s: float) -> None:
    one = Answered(first_s, first_s + ran_s, 30)
    parts = one.tokens_within(-1.0, cut_s) + one.tokens_within(cut_s, 21.0)
    assert parts == pytest.approx(30)
    assert one.tokens_within(21.0, 22.0) == 0


@pytest.mark.broker
def test_answers_under_way_are_waited_for_and_none_that_was_asked_later(
    broker: Mosquitto, tmp_path: Path
) -> None:
    settings = config.Config(
        node=Node(site="s", name="n", state_dir=tmp_path), broker=broker_config(broker)
    )

    async def scenario() -> None:
        load = Load(settings)
        filters = ("edged/v1/s/n/req/#",)
        async with board(settings.broker, filters=filters) as there, beside(load.run()):
            prompts = await take(there, OUTSTANDING)
            waiting = asyncio.create_task(load.under_way_ended())
            await _answer(there, prompts[1:])
            later = await take(there, OUTSTANDING - 1)
            assert not waiting.done()
            await _answer(there, prompts[:1])
            await waiting
            assert len(later) == OUTSTANDING - 1

    finish(scenario())


async def _answer(there: Session, prompts: Sequence[Delivery]) -> None:
    """Answer as a board does, a token each."""
    for prompt in prompts:
        client, id_ = prompt.inbound.topic.split("/")[-2:]
        body = {
            "id": id_,
            "event": "done",
            "timing": {"total_s": 0.2, "queued_s": 0.1},
            "usage": {"output_tokens": 1},
        }
        await there.publish(to(f"edged/v1/s/n/res/{client}/{id_}", json.dumps(body).encode()))


def test_the_judge_counts_windows_over_and_under_the_limit() -> None:
    times_s = [0.0, 20.0, 40.0]
    truth = Truth(Joules(times_s, [0.0, 80.0, 180.0]))  # 4 W, then 5 W
    figures = judged(truth, Span(0.0, 40.0, 4.0))
    assert figures.mean_w == pytest.approx((180.0 - 8.0) / 38.0)
    # Windows of 10 s that start from 2 to 30 s: those from 10.8 s on are over 4.08 W.
    assert figures.over_share == pytest.approx((30.0 - 10.8) / 28.0, abs=0.01)
    assert figures.under_share == 0
    assert judged(truth, Span(0.0, 20.0, 4.3)).under_share == 1
    assert judged(truth, Span(0.0, 40.0, 4.0)).peak_over_share > 0


def test_watts_of_energy_counters_stand_beside_the_referee_s_and_say_that_they_are_measured(
    tmp_path: Path,
) -> None:
    clock, zones = Ticks(), find_zones(tree(tmp_path, "x86"))
    counters = PowercapMeter(zones, clock)
    clock.step(40.0)
    (zones[0].folder / "energy_uj").write_text(f"{261143328850 + 40 * 8_900_000}\n")
    measured_w = mean_w(counters)
    assert measured_w == pytest.approx(8.9)
    assert shown(measured_w, mean_w(None))[-1] == (
        "measured by this machine's energy counters: 8.9 to 8.9 W"
    )
    assert shown(None)[-1].endswith("no watts were measured")


def shown(*measured_w: float | None, tokens_s: Sequence[float] = (3.0, 3.0)) -> list[str]:
    """Return the table of rounds with these measured watts and tokens where the rival has 4."""
    truth = Truth(Joules([0.0, 20.0], [0.0, 80.0]))
    figures, other = judged(truth, Span(0.0, 20.0, 4.0)), Tried(0.5, 4.0, {1: 4.0})
    told = zip(tokens_s, measured_w, strict=False)
    runs = [Governed(figures, tokens, "held: so", watts_w) for tokens, watts_w in told]
    cells = tuple(Cell(1, run, (other, other), other) for run in runs)
    return table(Outcome(2.0, 100.0, (), cells))


def test_the_table_says_what_share_of_the_best_fixed_duty_s_tokens_edged_has() -> None:
    assert shown(None)[-2] == "of its tokens, the median of the least budget: 0.750"


def test_the_rounds_of_a_budget_are_one_row_with_their_median() -> None:
    rows = shown(None, None, tokens_s=(3.0, 2.0))
    assert rows[2].endswith(" 0.625, 0.750 0.500")


def test_a_half_written_line_of_the_record_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "truth"
    file.write_text("1.0 0.5 3.0\n2.0 1.5 6.0\n3.0 2.")
    record = read_record(file)
    assert list(record.times_s) == [1.0, 2.0]
    assert record.cores(1.0, 2.0) == pytest.approx(1.0)
    assert record.truth().joules(1.0, 2.0) == pytest.approx(3.0)


def test_the_referee_shows_what_a_process_draws_and_ends_with_its_input(tmp_path: Path) -> None:
    lock, truth, tree = tmp_path / "engine.lock", tmp_path / "truth", tmp_path / "sys"
    lock.write_text(str(os.getpid()))
    words = ["--lock", lock, "--truth", truth, "--full-cores", "1", "--seed", "1", "--tree", tree]
    command = [sys.executable, "-m", "edged.bench.host.referee", *map(str, words)]
    referee = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert referee.stdout is not None
    assert referee.stdout.readline() == "ready\n"
    began_s = time.process_time()
    while time.process_time() - began_s < 0.5:
        math.sqrt(2.0)
    shown_w = int(next(tree.glob("class/hwmon/hwmon0/power1_input")).read_text()) / 1e6
    referee.communicate("")
    record = read_record(truth)
    assert referee.returncode == 0
    assert record.cpu_s[-1] - record.cpu_s[0] > 0.3
    assert shown_w > drawn(1).idle_w + 0.2


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.model
def test_edged_holds_the_referee_s_watts_with_a_real_engine(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "host.json"
    address = f"{broker.host}:{broker.port}"
    words = ["bench", "power", "--board", "host", "--quick", "--broker", address]
    assert cli.run([*words, "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    cells = report["cells"]
    assert capsys.readouterr().out.startswith(LABEL)
    assert [cell["limit_w"] for cell in cells] == [4.0, 6.0]
    assert [cell["over_share"] for cell in cells] == [0.0, 0.0]
    assert all(cell["tokens_s"] > 0 for cell in cells)
    assert all(around["tokens_s"] > 0 for cell in cells for around in cell["around"])
    assert all("no clock is set" in cell["state"] for cell in cells)
