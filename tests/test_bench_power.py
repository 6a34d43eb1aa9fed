from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged import cli
from edged.bench import power
from edged.bench.power_drawn import on_plant, summary
from edged.bench.power_judge import Span, judged
from edged.bench.power_play import ARMS, cpu_share, play
from edged.bench.power_scenarios import SCENARIOS, Scenario
from edged.bench.power_steady import limit_cycle
from edged.board.soc import RK3588, SOCS, operating_points
from edged.board.virtual.plant import Board, drawn
from edged.power.budget import Budget

ARM_KEYS = {
    "mean_w",
    "window_mean_max_w",
    "windows_over_share",
    "peak_max_w",
    "settle_s",
    "useful_tokens",
    "j_per_token",
}
SHORT = replace(SCENARIOS["saturated"], end_s=75.0, loaded=((15.0, 75.0),))


def flat_board(*stretches: tuple[float, str | None]) -> Board:
    board = Board(drawn(RK3588, 0), operating_points(RK3588, frozenset()), 25.0)
    for until_s, phase in stretches:
        board.run(until_s, "decode" if phase == "decode" else None)
    return board


def test_the_judge_counts_windows_over_the_limit_after_two_seconds() -> None:
    board = flat_board((100.0, None), (200.0, "decode"))  # 1.4 W, then 4.86 W
    limits = Budget(budget_w=4.0, peak_w=4.8).limits()
    spans = [Span(0.0, 100.0, limits, is_loaded=False), Span(100.0, 200.0, limits)]
    figures = judged(board, spans, 10)
    assert figures.windows_over_share == pytest.approx(0.5, abs=0.02)
    assert figures.mean_w == pytest.approx(4.86, abs=0.01)
    assert figures.settle_s == pytest.approx(90.0, abs=0.2)


def test_a_limit_cycle_stands_out_of_noise_and_drift() -> None:
    time_s = np.arange(0, 600, 0.05)
    noise = np.random.default_rng(1).normal(size=len(time_s))
    assert limit_cycle(np.sin(time_s / 3) + 0.1 * noise, 3.0, 60.0) > 1.5
    assert limit_cycle(np.exp(-time_s / 150) + 0.1 * noise, 3.0, 60.0) < 0.1
    assert limit_cycle(noise, 3.0, 60.0) < 0.2


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_cut_into_spans_of_constant_limits(name: str) -> None:
    spans = SCENARIOS[name].spans()
    assert spans[0].start_s == 0
    assert spans[-1].end_s == SCENARIOS[name].end_s
    assert any(span.is_loaded for span in spans)


def test_context_and_batch_alone_do_not_hold_the_watts_and_the_governor_does() -> None:
    plant = drawn(RK3588, 0)
    literal = play(SHORT, RK3588, 1, plant, "context_batch").figures
    governor = play(SHORT, RK3588, 1, plant, "governor").figures
    assert literal.windows_over_share > 0.9
    assert governor.windows_over_share == 0
    assert governor.useful_tokens > literal.useful_tokens


@pytest.mark.parametrize("arm", ["governor", "pacing", "oracle"])
def test_the_arms_that_hold_the_limits_hold_them(arm: str) -> None:
    figures = play(SHORT, RK3588, 1, drawn(RK3588, 4), arm).figures
    assert figures.windows_over_share <= 0.001
    assert figures.peak_over_share <= 0.001


def test_the_command_prints_that_it_is_simulated_and_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "power.json"
    arguments = ["bench", "power", "--plants", "0", "--scenario", "infeasible"]
    assert cli.run([*arguments, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    report = json.loads(file.read_text())
    assert printed.startswith("virtual board rk3588: simulated")
    assert report["label"] == "virtual board"
    assert set(report["scenarios"]["infeasible"]) == set(ARMS)
    assert set(report["scenarios"]["infeasible"]["governor"]) == ARM_KEYS
    assert report["scenarios"]["infeasible"]["governor"]["useful_tokens"] == 0


def test_joules_per_token_of_an_arm_that_does_not_hold_its_limits_are_void() -> None:
    played = {"short": power.scenario_arms(SHORT, RK3588)}
    report = power.scenario_report(played)["scenarios"]["short"]
    assert {arm for arm in ARMS if report[arm]["j_per_token"] is None} == {
        "context_batch",
        "bang_bang",
    }
    assert [line.split()[-1] for line in power.table(played)[1:]].count("void") == 2


@pytest.mark.parametrize("scenario", power.PLOTTED)
def test_watts_limits_and_tokens_are_drawn(scenario: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots want the `bench` extra")
    from edged.bench.power_plot import draw

    file = tmp_path / "power.svg"
    draw({scenario: {"governor": play(SHORT, RK3588, 1, drawn(RK3588, 0), "governor")}},
         {scenario: SHORT}, file)  # fmt: skip
    assert f"{scenario} (virtual board, simulated)" in file.read_text()


def test_the_law_s_own_cost_is_its_seconds_alone() -> None:
    assert 0 < cpu_share(SHORT, RK3588, drawn(RK3588, 0)) < 0.02


@pytest.mark.slow
def test_a_whole_report_has_the_figures_of_both_boards(tmp_path: Path) -> None:
    file = tmp_path / "power.json"
    assert cli.run(["bench", "power", "--plants", "1", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    cells = {"rk3588@4W", "rk3588@3W", "rk3576@4W", "rk3576@3W"}
    assert set(report) == {
        "label",
        "scenarios",
        "oracle_share",
        "j_per_token_gain_vs_pacing",
        "governor_cpu_share",
        "more",
    }
    assert set(report["scenarios"]) == set(SCENARIOS)
    for name in ("oracle_share", "j_per_token_gain_vs_pacing"):
        assert set(report[name]) == cells
        assert all(set(found) == {"median", "worst"} for found in report[name].values())
    assert 0 < report["governor_cpu_share"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("name", ["saturated", "saturated_3w"])
def test_the_governor_is_close_to_the_oracle_on_plants_that_it_does_not_know(
    soc: str, name: str
) -> None:
    found = summary({"cell": [on_plant(SCENARIOS[name], SOCS[soc], seed) for seed in range(1, 17)]})
    assert found["oracle_share"]["cell"]["median"] >= 0.97
    assert found["oracle_share"]["cell"]["worst"] >= 0.92
    assert found["pacing_oracle_share"]["cell"]["median"] >= 0.97
    assert found["pacing_oracle_share"]["cell"]["worst"] >= 0.92
    assert found["windows_over_share"]["cell"] <= 0.001
    assert found["peak_over_share"]["cell"] <= 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"infeasible"}))
def test_the_governor_holds_both_limits_in_every_scenario(name: str) -> None:
    for soc in SOCS.values():
        figures = play(SCENARIOS[name], soc, 1, drawn(soc, 0), "governor").figures
        assert figures.windows_over_share <= 0.001, soc.name
        assert figures.peak_over_share <= 0.001, soc.name
        assert figures.settle_s <= 2.0, soc.name


def test_a_scenario_has_the_default_budget() -> None:
    assert Scenario("any").limits(0.0) == Budget().limits()
