"""The boards that firmware-config/ knows: their device trees and their overlays.

In: a name.  Out: a `Board`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.firmware_config.errors import Refusal

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware-config"


@dataclass(frozen=True, slots=True)
class Overlay:
    """A change of a board's device tree, as one file of its folder."""

    name: str  # also its file: NAME.dts
    does: str  # for people, in one line
    adds: frozenset[str] = frozenset()  # names of the nodes that it adds to the tree

    @property
    def installed(self) -> str:
        """Its name among the overlays of a system, without a suffix."""
        return f"edged-{self.name}"


@dataclass(frozen=True, slots=True)
class Board:
    """A board, as its device tree names it."""

    name: str  # also its folder under firmware-config/
    tree: str  # the DTB that its boot loader asks for, below the folder of the kernel's DTBs
    compatible: frozenset[str]  # the tree's own first name: the vendor kernel's, and mainline's
    overlays: tuple[Overlay, ...]

    def source(self, overlay: Overlay) -> Path:
        """Return the file that an overlay is compiled from."""
        return FIRMWARE / self.name / f"{overlay.name}.dts"


def _meter(bus: str) -> Overlay:
    return Overlay("ina226", f"an INA226 power meter on {bus}", frozenset({"power-sensor@40"}))


_CAP = Overlay("npu-cap", "the NPU at 700 MHz or below")
_WATCHDOG = Overlay("watchdog", "the hardware watchdog on")

# Source: root `compatible` of the four boards in Rockchip's 6.1.115 kernel with Armbian's board
# files, and in Linux 6.18.37.
BOARDS = {
    board.name: board
    for board in (
        Board(
            "orangepi-5",
            "rockchip/rk3588s-orangepi-5.dtb",
            frozenset({"rockchip,rk3588s-orangepi-5", "xunlong,orangepi-5"}),
            (_meter("I2C5, header pins 3 and 5"), _CAP),
        ),
        Board(
            "rock-5b",
            "rockchip/rk3588-rock-5b.dtb",
            frozenset({"radxa,rock-5b"}),
            (_meter("I2C8, header pins 7 and 32"), _CAP, _WATCHDOG),
        ),
        Board(
            "nanopi-r6s",
            "rockchip/rk3588s-nanopi-r6s.dtb",
            frozenset({"friendlyelec,nanopi-r6s", "friendlyarm,nanopi-r6s"}),
            (_meter("I2C5, GPIO1_B7 and GPIO1_B6"), _CAP),
        ),
        Board(
            "armsom-sige5",
            "rockchip/rk3576-armsom-sige5.dtb",
            frozenset({"armsom,sige5"}),
            (_meter("I2C4, header pins 3 and 5"), _CAP),
        ),
    )
}


def board_named(name: str) -> Board:
    """Return a board.

    Raises:
        Refusal: firmware-config/ does not know it.
    """
    if name not in BOARDS:
        raise Refusal(f"unknown board {name!r}: firmware-config/ has {', '.join(BOARDS)}")
    return BOARDS[name]


def chosen(board: Board, without: frozenset[str]) -> tuple[Overlay, ...]:
    """Return the board's overlays but for those named.

    Raises:
        Refusal: one of the names is none of the board's overlays.
    """
    names = [overlay.name for overlay in board.overlays]
    for name in sorted(without.difference(names)):
        raise Refusal(f"--without {name}: {board.name} has the overlays {', '.join(names)}")
    return tuple(overlay for overlay in board.overlays if overlay.name not in without)
