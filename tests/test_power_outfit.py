from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.board.soc import RK3588, on_cpu
from edged.config import Config
from edged.errors import ConfigError
from edged.power.budget import State
from edged.power.forecast import Learned
from edged.power.kept import Kept
from edged.power.outfit import Outfit, Parts, outfit, parts_here
from edged.power.table import differences
from tests.golden_tree import BOARDS, EACH_BOARD, metered, tree
from tests.memory import tmp_path as tmp_path


def clock() -> float:
    return 0.0


def config(**tables: dict[str, Any]) -> Config:
    return Config.model_validate(tables)


def virtual(**power: Any) -> Outfit:
    settings = config(engine={"backend": "sim", "virtual_board": "rk3588"}, power=power)
    return outfit(settings, parts_here(settings, clock), None, clock)


def test_an_unknown_machine_is_not_held_and_says_why() -> None:
    found = outfit(config(), Parts(), None, clock)
    assert not found.is_paced
    assert found.law.standing.state is State.OFF
    assert "neither a known board nor a meter" in found.law.standing.why


def test_the_virtual_board_is_held_and_has_a_meter() -> None:
    found = virtual()
    assert found.is_paced
    assert found.parts.meter is not None


def test_never_is_said_to_be_the_reason() -> None:
    found = virtual(enforce="never")
    assert found.law.standing.state is State.OFF
    assert 'enforce = "never"' in found.law.standing.why


def test_a_known_board_without_a_meter_is_held_by_the_forecast() -> None:
    found = outfit(config(), Parts(on_cpu(RK3588)), None, clock)
    found.law.observe(0.0, None)
    found.law.choose(1.0)
    assert found.is_paced
    assert "held by the forecast: there is no meter" in found.law.standing.why


def test_always_on_an_unknown_machine_is_blind() -> None:
    found = outfit(config(power={"enforce": "always"}), Parts(), None, clock)
    assert found.law.standing.state is State.BLIND


def test_on_a_machine_that_nobody_knows_a_pause_is_forecast_to_cost_nothing() -> None:
    forecast = outfit(config(), Parts(), None, clock).law.forecast
    assert forecast.paused_w(forecast.points[0], 0.2) == pytest.approx(forecast.floor_w, rel=0.02)


def test_on_a_known_board_a_pause_is_forecast_to_cost_what_its_memory_clock_does() -> None:
    forecast = outfit(config(), Parts(on_cpu(RK3588)), None, clock).law.forecast
    assert forecast.paused_w(forecast.points[0], 0.2) > 1.1 * forecast.floor_w


def test_a_virtual_board_wants_the_simulated_engine() -> None:
    with pytest.raises(ConfigError, match=r'set engine\.backend = "sim"'):
        parts_here(config(engine={"virtual_board": "rk3588"}), clock)


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"power": {"peak_w": 3.0}}, "raise the one or lower the other"),
        ({"power": {"peak_window_s": 0.2}}, "step shorter"),
        ({"power": {"peak_window_s": 60}}, "the peak is the shorter"),
        ({"power": {"basis": "over_idle"}}, "attach one"),
        ({"engine": {"step_s_max": 2.0}}, "make the window longer"),
    ],
)
def test_a_budget_that_means_nothing_is_an_error_that_says_what_to_do(
    tables: dict[str, Any], word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        outfit(config(**tables), Parts(), None, clock)


def test_a_long_step_is_nobody_s_business_where_nothing_is_held() -> None:
    settings = config(engine={"step_s_max": 2.0}, power={"enforce": "never"})
    assert outfit(settings, Parts(), None, clock).law.standing.state is State.OFF


def test_over_idle_is_put_on_top_of_the_idle_that_was_learned(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "power.json")
    kept.save("rk3588", Learned(floor_w=1.5))
    settings = config(
        engine={"backend": "sim", "virtual_board": "rk3588"}, power={"basis": "over_idle"}
    )
    found = outfit(settings, parts_here(settings, clock), kept, clock)
    assert found.law.limits.mean_w == pytest.approx(5.5)


def test_over_idle_without_an_idle_is_held_as_total_until_one_is_learned() -> None:
    assert virtual(basis="over_idle").law.limits.mean_w == 4.0


def test_the_engine_s_chunk_bounds_the_forecast_s() -> None:
    assert virtual().law.chunk_tokens <= 64


def parts_of(root: Path, **power: Any) -> Parts:
    """Return what the daemon would use on the machine whose /sys this is."""
    settings = config(node={"state_dir": str(root)}, power=power | {"sysfs": str(root)})
    return parts_here(settings, clock)


@EACH_BOARD
def test_each_board_has_its_chip_and_the_clocks_that_the_cores_need(
    tmp_path: Path, board: str
) -> None:
    found = parts_of(metered(tmp_path, board))
    assert found.meter is not None
    assert found.knobs is not None
    assert found.knobs.domains == ({"cpu"} if board == "mainline" else {"cpu", "ddr"})
    assert BOARDS[board] in found.told.meter


def test_a_board_without_a_chip_is_held_by_its_forecast_and_says_what_the_estimate_is(
    tmp_path: Path,
) -> None:
    found = parts_of(tree(tmp_path, "rock_5b"))
    assert found.meter is None
    assert "never calibrated" in found.told.meter
    assert found.told.meter.endswith("the budget is not held by it")
    assert any("USB-PD contract" in sentence for sentence in found.told.passed_over)


def test_a_counter_of_the_processor_alone_is_told_and_holds_nothing(tmp_path: Path) -> None:
    found = parts_of(tree(tmp_path, "x86"))
    assert (found.soc, found.meter, found.knobs) == (None, None, None)
    assert "without the board around it" in found.told.meter
    assert found.told.meter.endswith("the budget is not held by it")


def test_a_counter_of_the_whole_machine_holds_the_budget_of_a_machine_nobody_knows(
    tmp_path: Path,
) -> None:
    root = tree(tmp_path, "x86")
    (root / "class/powercap/intel-rapl:0/name").write_text("psys\n")
    found = parts_of(root)
    assert (found.soc, found.knobs) == (None, None)
    assert outfit(config(), found, None, clock).law.settings.enforce


def test_a_configured_estimate_leaves_the_chip_alone(tmp_path: Path) -> None:
    assert parts_of(metered(tmp_path, "rock_5b"), meter="estimate").meter is None


def test_a_configured_chip_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = parts_of(metered(tmp_path, "orangepi_5"), meter="ina219@1-0040")
    assert found.meter is None
    assert any("ina219@1-0040 is configured and not there" in one for one in found.told.passed_over)


def on_npu(root: Path, **tables: dict[str, Any]) -> tuple[Config, Parts]:
    """Return what the daemon would use where the NPU of this machine computes."""
    files = {"node": {"state_dir": str(root)}, "power": {"sysfs": str(root)}}
    settings = config(**files, **tables)
    return settings, parts_here(settings, clock)


def test_a_classifier_is_not_paced_and_reads_no_meter(tmp_path: Path) -> None:
    _, found = on_npu(metered(tmp_path, "rock_5b"), engine={"backend": "rknn"})
    assert found.meter is None
    assert "rknn is not paced" in found.told.meter


@pytest.mark.parametrize(
    "tables", [{"engine": {"backend": "rkllm"}}, {"npu": {"library": "/x.so"}}], ids=str
)
def test_the_npu_is_held_with_its_own_prior_and_its_own_clock(
    tmp_path: Path, tables: dict[str, dict[str, Any]]
) -> None:
    settings, found = on_npu(metered(tmp_path, "rock_5b"), **tables)
    assert found.soc == RK3588
    assert found.meter is not None
    assert found.knobs is not None
    assert found.knobs.domains == {"cpu", "ddr", "npu"}
    assert outfit(settings, found, None, clock).law.settings.enforce


def test_a_calibration_of_the_cores_is_none_of_the_npu(tmp_path: Path) -> None:
    root = metered(tmp_path, "rock_5b")
    _, cores = on_npu(root)
    _, npu = on_npu(root, engine={"backend": "rkllm"})
    assert cores.key is not None
    assert npu.key is not None
    assert differences(cores.key, npu.key) == ["it was made while the CPU computed, now RKLLM does"]


def test_the_industrial_part_has_only_the_points_of_its_own_tables(tmp_path: Path) -> None:
    found = outfit(config(), parts_of(tree(tmp_path, "rk3588j")), None, clock)
    clocks_hz = {point.clocks.cpu_hz for point in found.law.forecast.points}
    assert max(clocks_hz) == 1608e6
