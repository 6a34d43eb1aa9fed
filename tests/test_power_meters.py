from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.power.meters import EstimateMeter, Sample, busy_cores, clocks_hz, process_cpu_s

POWER = config.Power(idle_w=2.0, core_w=0.5, core_hz=1e9, error_share=0.3)
NOWHERE = Path("/nonexistent")
CPU_S = st.floats(0, 1000)


def nobody() -> None:
    """No engine runs."""


def cpufreq(folder: Path, *clocks_khz: str) -> Path:
    for number, text in enumerate(clocks_khz):
        policy = folder / f"policy{number}"
        policy.mkdir()
        (policy / "scaling_cur_freq").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("clocks_khz", "expected_hz"),
    [
        ([], None),
        (["1800000\n"], 1.8e9),
        (["1000000\n", "2000000\n"], 1.5e9),
        (["1000000\n", "<unknown>\n"], 1e9),
        (["<unknown>\n"], None),
    ],
)
def test_the_clock_is_the_mean_of_the_policies_that_tell(
    tmp_path: Path, clocks_khz: list[str], expected_hz: float | None
) -> None:
    assert clocks_hz(cpufreq(tmp_path, *clocks_khz)) == expected_hz


@pytest.mark.parametrize(
    ("clocks_khz", "expected_j"),
    [([], 2.0), (["1000000"], 2.0), (["500000"], 0.5), (["2000000"], 8.0)],
)
def test_joules_follow_the_square_of_the_clock(
    tmp_path: Path, clocks_khz: list[str], expected_j: float
) -> None:
    meter = EstimateMeter(POWER, nobody, cpufreq(tmp_path, *clocks_khz))
    assert meter.step_j(4.0) == pytest.approx(expected_j)


@given(CPU_S, CPU_S)
def test_joules_are_linear_in_cpu_seconds(first_s: float, second_s: float) -> None:
    meter = EstimateMeter(POWER, nobody, NOWHERE)
    whole = meter.step_j(first_s + second_s)
    assert whole == pytest.approx(meter.step_j(first_s) + meter.step_j(second_s))


def test_without_an_engine_the_board_idles() -> None:
    meter = EstimateMeter(POWER, nobody, NOWHERE)
    for _ in range(3):
        assert meter.read().watts_w == 2.0


def test_a_reading_names_itself_an_estimate() -> None:
    before_s = time.monotonic()
    reading = EstimateMeter(POWER, nobody, NOWHERE).read()
    assert (reading.origin, reading.error_share) == ("estimated", 0.3)
    assert before_s <= reading.at_s <= time.monotonic()


def test_a_busy_process_draws_more_than_an_idle_board() -> None:
    meter = EstimateMeter(POWER, os.getpid, NOWHERE)
    meter.read()
    burn(0.05)
    assert meter.read().watts_w > 2.0


def test_another_engine_starts_another_window() -> None:
    pids = iter([None, os.getpid()])
    meter = EstimateMeter(POWER, lambda: next(pids), NOWHERE)
    meter.read()
    # This process has used CPU seconds already; they are not the new window's.
    assert meter.read().watts_w == 2.0


def test_an_engine_that_is_gone_draws_nothing() -> None:
    pid = gone_pid()
    meter = EstimateMeter(POWER, lambda: pid, NOWHERE)
    for _ in range(2):
        assert meter.read().watts_w == 2.0


def test_the_cpu_time_of_a_process_grows() -> None:
    before_s = process_cpu_s(os.getpid())
    assert before_s is not None
    burn(0.05)
    after_s = process_cpu_s(os.getpid())
    assert after_s is not None
    assert after_s > before_s


def test_the_cpu_time_is_that_of_the_kernel() -> None:
    found_s = process_cpu_s(os.getpid())
    assert found_s == pytest.approx(time.process_time(), abs=0.5)


def test_a_process_that_is_gone_has_no_cpu_time() -> None:
    assert process_cpu_s(gone_pid()) is None


def test_a_name_with_spaces_and_brackets_is_read_over(tmp_path: Path) -> None:
    program = tmp_path / "a) b 1 2"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    try:
        assert process_cpu_s(process.pid) == pytest.approx(0, abs=0.5)
    finally:
        process.kill()
        process.wait()


def burn(cpu_s: float) -> None:
    """Use CPU time of this process."""
    end_s = time.process_time() + cpu_s
    while time.process_time() < end_s:
        sum(range(1000))


def gone_pid() -> int:
    """Return the number of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("samples", "cores"),
    [
        ([(0, 0)], 0),
        ([(0, 0), (10, 5)], 0.5),
        ([(0, 0), (5, 5), (10, 5)], 0.5),
        ([(0, 0), (3600, 0), (3605, 10)], 1.0),  # an idle hour, then two cores for half the window
        ([(0, 0), (20, 20)], 1.0),
        ([(0, 5), (10, 0)], 0),  # a clock that stepped back is no power
    ],
)
def test_busy_cores_are_the_mean_of_the_window(
    samples: list[tuple[float, float]], cores: float
) -> None:
    found = busy_cores([Sample(at_s, cpu_s) for at_s, cpu_s in samples], window_s=10)
    assert found == pytest.approx(cores)
