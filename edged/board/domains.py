"""Where the kernel keeps the clocks of NPU, DDR and the big cores.

In:  a root, `/sys` or a golden tree.     Out: folders of devfreq and cpufreq, regulators, the SoC.
Found by what a node says of itself, never by a number: numbers change from boot to boot.
Mainline kernels have neither an NPU node nor `dmc`; firmware without DMC support has no `dmc`.
"""

from __future__ import annotations

from pathlib import Path

from edged.board.soc import SOCS, Soc
from edged.board.sysfs import entries, optional_number, optional_text

# A core that has so much of the best one's capacity is as fast.
AS_FAST = 0.9


def npu_devfreq(root: Path) -> Path | None:
    """Return the NPU's devfreq folder: `fdab0000.npu` on RK3588, `27700000.npu` on RK3576."""
    return next((one for one in entries(root / "class/devfreq") if one.suffix == ".npu"), None)


def ddr_devfreq(root: Path) -> Path | None:
    """Return the memory controller's devfreq folder, `dmc`."""
    return next((one for one in entries(root / "class/devfreq") if one.name == "dmc"), None)


def big_policies(root: Path) -> tuple[Path, ...]:
    """Return the cpufreq folders of the fastest cores.

    The kernel's capacity decides; clocks alone do not tell a Cortex-A53 at 2.0 GHz from a
    Cortex-A72 at 2.2. Without capacities (not arm64) the highest clock decides.
    """
    cpu = root / "devices/system/cpu"
    policies = [one for one in entries(cpu / "cpufreq") if one.name.startswith("policy")]
    speeds = {policy: _capacity(cpu, policy) for policy in policies}
    if any(speed is None for speed in speeds.values()):
        speeds = {policy: optional_number(policy / "cpuinfo_max_freq") for policy in policies}
    known = {policy: speed for policy, speed in speeds.items() if speed is not None}
    best = max(known.values(), default=0.0)
    return tuple(policy for policy, speed in known.items() if speed >= AS_FAST * best)


def _capacity(cpu: Path, policy: Path) -> float | None:
    """Return the capacity of the policy's first core.

    Source: Documentation/ABI/testing/sysfs-devices-system-cpu: cpu_capacity, 1024 is the best.
    """
    return optional_number(cpu / f"cpu{policy.name.removeprefix('policy')}/cpu_capacity")


def regulator(root: Path, prefix: str) -> Path | None:
    """Return the folder of the first regulator whose name starts so, as `vdd_npu` does."""
    for one in entries(root / "class/regulator"):
        name = optional_text(one / "name")
        if name is not None and name.startswith(prefix):
            return one
    return None


def compatible(root: Path) -> tuple[str, ...]:
    """Return what the board's device tree says it is, the most exact first; empty without one."""
    text = optional_text(root / "firmware/devicetree/base/compatible")
    return tuple(filter(None, (text or "").split("\0")))


def soc_of(root: Path) -> Soc | None:
    """Return the SoC that the device tree names, as `rockchip,rk3588s` does; None if unknown."""
    for name in compatible(root):
        for soc in SOCS.values():
            if name.startswith(f"rockchip,{soc.name}"):
                return soc
    return None
