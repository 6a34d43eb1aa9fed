"""Small device trees of our own text, with the labels and node names that the overlays rely on.

In: a board, and whose kernel: the vendor's or mainline.  Out: a compiled tree.
`tests/test_firmware_real_trees.py` compares the names with a kernel's sources, where given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from tools.device_tree_programs import PROGRAMS, environment
from tools.firmware_config.boards import BOARDS, Board

Kernel: TypeAlias = Literal["vendor", "mainline"]


@dataclass(frozen=True, slots=True)
class Soc:
    """What the overlays touch of an SoC."""

    buses: Mapping[str, str]  # label -> address of the I2C buses
    pins: Mapping[str, Sequence[int]]  # label of a pin group -> bank and number of its pins
    watchdog: str  # its address
    clocks: Sequence[str]  # children of the NPU's table of clocks, vendor kernel
    start_khz: int  # the clock that the vendor's table starts with


# Source: rk3588s.dtsi, rk3576.dtsi and their pinctrl files in Rockchip's 6.1.115 kernel.
RK3588 = Soc(
    buses={"i2c1": "fea90000", "i2c5": "fead0000", "i2c8": "feca0000"},
    pins={"i2c5m3_xfer": (1, 14, 1, 15), "i2c8m4_xfer": (3, 18, 3, 19)},
    watchdog="feaf0000",
    clocks=(
        *(f"opp-{mhz}000000" for mhz in (300, 400, 500, 600, 700, 800, 900, 1000)),
        *(f"opp-j-m-{mhz}000000" for mhz in (300, 400, 500, 600, 700, 800, 950)),
    ),
    start_khz=1_000_000,
)
RK3576 = Soc(
    buses={"i2c4": "2ac70000"},
    pins={"i2c4m3_xfer": (3, 16, 3, 15)},
    watchdog="2ace0000",
    clocks=(
        *(f"opp-{mhz}000000" for mhz in (300, 400, 500, 600, 700, 800, 900, 950)),
        "opp-s-500000000",
        *(f"opp-j-m-{mhz}000000" for mhz in (300, 400, 500, 600, 700, 800, 850)),
    ),
    start_khz=950_000,
)
SOCS = {"orangepi-5": RK3588, "rock-5b": RK3588, "nanopi-r6s": RK3588, "armsom-sige5": RK3576}

# The board's own first name, by kernel, and whether the vendor's file leaves the watchdog off.
NAMES: Mapping[str, Mapping[Kernel, str]] = {
    "orangepi-5": {"vendor": "rockchip,rk3588s-orangepi-5", "mainline": "xunlong,orangepi-5"},
    "rock-5b": {"vendor": "radxa,rock-5b", "mainline": "radxa,rock-5b"},
    "nanopi-r6s": {"vendor": "friendlyelec,nanopi-r6s", "mainline": "friendlyarm,nanopi-r6s"},
    "armsom-sige5": {"vendor": "armsom,sige5", "mainline": "armsom,sige5"},
}
WATCHDOG_OFF = "rock-5b"


def source(board: Board, kernel: Kernel = "vendor") -> str:
    """Return the text of a board's small tree."""
    soc = SOCS[board.name]
    buses = "".join(
        f'{label}: i2c@{at} {{ reg = <0x{at} 0x1000>; status = "disabled"; '
        "#address-cells = <1>; #size-cells = <0>; };\n"
        for label, at in soc.buses.items()
    )
    groups = "".join(
        f"{label}: {label.replace('_', '-')} {{ rockchip,pins = <{' '.join(map(str, pins))}>; }};\n"
        for label, pins in soc.pins.items()
    )
    off = kernel == "vendor" and board.name == WATCHDOG_OFF
    status = 'status = "disabled";' if off else ""
    return (
        "/dts-v1/;\n/ {\n"
        f'compatible = "{NAMES[board.name][kernel]}";\n'
        "#address-cells = <1>;\n#size-cells = <1>;\n"
        f"{buses}pinctrl {{\n{groups}}};\n"
        f"wdt: watchdog@{soc.watchdog} {{ reg = <0x{soc.watchdog} 0x100>; {status} }};\n"
        f"{clock_table(soc) if kernel == 'vendor' else ''}}};\n"
    )


def clock_table(soc: Soc) -> str:
    """Return the NPU's clocks as the vendor's kernel has them; mainline has no such table."""
    clocks = "".join(
        f"{name} {{ opp-hz = /bits/ 64 <{name.rsplit('-', 1)[1]}>; }};\n" for name in soc.clocks
    )
    return (
        'npu_opp_table: npu-opp-table {\ncompatible = "operating-points-v2";\n'
        f"rockchip,init-freq = <{soc.start_khz}>;\n{clocks}}};\n"
    )


def blob(board: str, target: Path, kernel: Kernel = "vendor", *, symbols: bool = True) -> Path:
    """Write a board's small tree, compiled, and return its file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compiled(board, kernel, symbols=symbols))
    return target


@cache
def compiled(board: str, kernel: Kernel = "vendor", *, symbols: bool = True) -> bytes:
    """Return a board's small tree, compiled."""
    options = ["-@"] if symbols else []
    with tempfile.NamedTemporaryFile(suffix=".dtb") as file:
        command = [*options, "-I", "dts", "-O", "dtb", "-o", file.name, "-"]
        run("dtc", *command, text=source(BOARDS[board], kernel))
        return Path(file.name).read_bytes()


def run(program: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run dtc, fdtoverlay or another of its kind to its end; fail with what it said."""
    done = attempt(program, *arguments, text=text)
    assert done.returncode == 0, done.stderr
    return done


def attempt(
    program: str, *arguments: str, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs and return how it ended."""
    found = programs()
    path = shutil.which(program, path=found["PATH"])
    assert path is not None, f"no {program} here: run tools/test once, or install {PACKAGE}"
    return subprocess.run(
        [path, *arguments], input=text, env=found, capture_output=True, text=True, check=False
    )


PACKAGE = PROGRAMS["dtc"]


def programs() -> dict[str, str]:
    """Return the environment that has the programs, for processes and for `os.environ`."""
    return {**os.environ, **environment()}
