"""What the engine used is what the kernel's books say of its process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edged.board.use import Busy, Sample, Use, busy_of, process_cpu_s, use_of


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
    taken = [Sample(at_s, Use(cpu_s, cpu_s / 2, cpu_s / 4)) for at_s, cpu_s in samples]
    found = busy_of(taken, window_s=10)
    assert (found.cores, found.npu) == pytest.approx((cores, cores / 2))
    assert found.decode == pytest.approx(cores / 4)


def test_without_a_look_nothing_is_busy() -> None:
    assert busy_of([], window_s=10) == Busy()


def test_without_an_engine_there_is_no_use() -> None:
    assert (use_of(None), use_of(gone_pid())) == (None, None)
