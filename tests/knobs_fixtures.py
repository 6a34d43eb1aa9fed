"""Knobs of tests: clocks of a golden tree that are capped, read and given back.

In: a folder of the test.  Out: the tree of a Rock 5B, the daemon's own knobs on it, and its caps.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.board.knobs.cap import find_caps
from edged.board.knobs.kernel import KernelKnobs
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import SavedClocks
from edged.board.soc import Clocks
from tests.golden_tree import Ticks, tree

SLOW = Clocks(npu_hz=500e6, cpu_hz=1200e6, ddr_hz=1068e6)
FULL = Clocks(npu_hz=1000e6, cpu_hz=2400e6, ddr_hz=2736e6)
NPU = "class/devfreq/fdab0000.npu/max_freq"
DDR = "class/devfreq/dmc/max_freq"
CPU4 = "devices/system/cpu/cpufreq/policy4/scaling_max_freq"
CPU6 = "devices/system/cpu/cpufreq/policy6/scaling_max_freq"
BEFORE = {NPU: 1000000000, DDR: 2112000000, CPU4: 2400000, CPU6: 2400000}
BOOT = "this boot"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board's tree."""
    return tree(tmp_path / "sys", "rock_5b")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An empty state directory."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def knobs(root: Path, state: Path, clock: Ticks | None = None) -> KernelKnobs:
    """Return the knobs of a tree, whose old values go into a state directory."""
    saved = SavedClocks(state, BOOT)
    return KernelKnobs(root, find_caps(root), saved, clock=clock or Ticks())


def counts(root: Path) -> dict[str, int]:
    """Return what the caps of a tree are, in the kernel's own counts."""
    return {name: int((root / name).read_text()) for name in BEFORE}


def restore(root: Path, state: Path) -> tuple[str, ...]:
    """Give the clocks back as another process would; return the caps that came back."""
    return restore_clocks(root, SavedClocks(state, BOOT)).back
