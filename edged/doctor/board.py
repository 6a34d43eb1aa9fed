"""Which board and SoC this is, and whose kernel drives its NPU.

In:  the device tree, sysfs, /dev.     Out: `Board`, two findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.board.domains import compatible, npu_devfreq, soc_of
from edged.board.soc import SOCS
from edged.board.sysfs import optional_text
from edged.doctor.finding import Finding, trouble, warning, well
from edged.doctor.root import Root, text
from edged.engine.rkllm.npu_node import npu_names

Driver = Literal["rknpu", "rocket", "none"]
VENDOR_KERNEL = (
    "install the kernel of the board's vendor: on Armbian `sudo armbian-config` (System, Kernel, "
    "vendor), on Radxa OS `sudo rsetup`; then reboot"
)


# The device tree's own first name -> what `tools/install-firmware-config` calls the board.
FIRMWARE = {
    "rockchip,rk3588s-orangepi-5": "orangepi-5",
    "xunlong,orangepi-5": "orangepi-5",
    "radxa,rock-5b": "rock-5b",
    "friendlyelec,nanopi-r6s": "nanopi-r6s",
    "friendlyarm,nanopi-r6s": "nanopi-r6s",
    "armsom,sige5": "armsom-sige5",
}


@dataclass(frozen=True, slots=True)
class Board:
    """What the board says of itself.

    Attributes:
        model: a name for people; None without a device tree.
        soc: `rk3588`, `rk3576`, or None for any other.
        driver: of the NPU: the vendor's, mainline's, or none.
        kernel: its release; None where it does not tell.
        firmware: its folder of firmware-config; None for a board that has none.
    """

    model: str | None
    soc: str | None
    driver: Driver
    kernel: str | None
    firmware: str | None = None

    @property
    def is_rockchip(self) -> bool:
        """Return whether it is one of the SoCs whose NPU edged knows."""
        return self.soc is not None


def look(root: Root) -> Board:
    """Return what this board says."""
    soc = soc_of(root.sys)
    names = compatible(root.sys)
    told = optional_text(root.sys / "firmware/devicetree/base/model")
    return Board(
        model=(told or "").rstrip("\0") or (names[0] if names else None),
        soc=None if soc is None else soc.name,
        driver=_driver(root),
        kernel=text(root.at("/proc/sys/kernel/osrelease")).strip() or None,
        firmware=next((FIRMWARE[name] for name in names if name in FIRMWARE), None),
    )


def _driver(root: Root) -> Driver:
    is_loaded = (root.sys / "module/rknpu").exists() or npu_devfreq(root.sys) is not None
    if is_loaded or npu_names(root.sys / "class/drm"):
        return "rknpu"
    is_rocket = root.at("/dev/accel").exists() or (root.sys / "module/rocket").exists()
    return "rocket" if is_rocket else "none"


def judge(board: Board, *, needs_npu: bool) -> list[Finding]:
    """Return what board and kernel are good for."""
    return [_board(board, needs_npu=needs_npu), _kernel(board, needs_npu=needs_npu)]


def _board(board: Board, *, needs_npu: bool) -> Finding:
    model = board.model or "no device tree"
    if board.soc is not None:
        return well("board", f"{model}: {board.soc}")
    known = " or ".join(name.upper() for name in SOCS)
    says = f"{model}: no {known}, so there is no NPU that edged can use"
    if not needs_npu:
        return well("board", f"{says}; the CPU answers")
    return trouble("board", says, 'set engine.backend = "llama"', is_needed=True)


def _kernel(board: Board, *, needs_npu: bool) -> Finding:
    release = f" {board.kernel}" if board.kernel else ""
    if board.driver == "rknpu":
        return well("kernel", f"vendor kernel{release} with the RKNPU driver")
    if not board.is_rockchip and not needs_npu:
        return well("kernel", f"kernel{release}, without a driver for the NPU of a Rockchip SoC")
    if board.driver == "rocket":
        says = (
            f"mainline kernel{release}: its driver `rocket` has the NPU, and neither RKLLM nor "
            "librknnrt can use that; the NPU cannot serve, only the CPU can"
        )
        return trouble("kernel", says, VENDOR_KERNEL, is_needed=needs_npu)
    says = f"kernel{release} has no RKNPU driver: the NPU cannot serve, only the CPU can"
    if needs_npu:
        return trouble("kernel", says, VENDOR_KERNEL, is_needed=True)
    return warning("kernel", says, VENDOR_KERNEL)
