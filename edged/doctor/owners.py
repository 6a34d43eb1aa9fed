"""Who else sets the clocks of this board.

In:  running programs, units of other tools, clock limits.     Out: `Owners`, findings.
Two programs that write the same clock limit undo each other's work; edged gives way to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.board.domains import big_policies, ddr_devfreq, npu_devfreq
from edged.board.sysfs import entries, optional_number, optional_text
from edged.doctor.finding import Finding, warning, well
from edged.doctor.root import Root, text

# Programs by the name that /proc has (15 letters), and how each is told to leave the clocks alone.
PROGRAMS = {
    "tuned": "sudo systemctl disable --now tuned",
    "tlp": "sudo systemctl disable --now tlp",
    "power-profiles-": "sudo systemctl disable --now power-profiles-daemon",
    "auto-cpufreq": "sudo systemctl disable --now auto-cpufreq",
    "thermald": "sudo systemctl disable --now thermald",
    "cpufreqd": "sudo systemctl disable --now cpufreqd",
}
# Units that write clocks once at boot. Source: Debian's cpufrequtils; Armbian's
# armbian-hardware-optimization writes governors, no limits, and is not among them.
UNITS = {
    "cpufrequtils.service": "sudo systemctl disable --now cpufrequtils",
    "loadcpufreq.service": "sudo systemctl disable --now loadcpufreq",
    "tuned.service": PROGRAMS["tuned"],
    "tlp.service": PROGRAMS["tlp"],
}
WANTED = "/etc/systemd/system/multi-user.target.wants"


@dataclass(frozen=True, slots=True)
class Owners:
    """What was found.

    Attributes:
        programs: names of `PROGRAMS` that run.
        units: names of `UNITS` that start at boot.
        pinned: nodes whose lowest clock is their highest: nobody can lower that one.
    """

    programs: tuple[str, ...]
    units: tuple[str, ...]
    pinned: tuple[Path, ...]


def look(root: Root) -> Owners:
    """Return who else is there."""
    numbered = [one for one in entries(root.at("/proc")) if one.name.isdigit()]
    running = {text(one / "comm").strip() for one in numbered}
    wanted = {one.name for one in entries(root.at(WANTED))}
    return Owners(
        tuple(name for name in PROGRAMS if name in running),
        tuple(name for name in UNITS if name in wanted),
        tuple(folder for folder, *files in _nodes(root) if _is_pinned(folder, *files)),
    )


def _nodes(root: Root) -> list[tuple[Path, str, str, str]]:
    devfreq = ("min_freq", "max_freq", "available_frequencies")
    cpufreq = ("scaling_min_freq", "scaling_max_freq", "scaling_available_frequencies")
    folders = [npu_devfreq(root.sys), ddr_devfreq(root.sys)]
    found = [(folder, *devfreq) for folder in folders if folder is not None]
    return [*found, *((folder, *cpufreq) for folder in big_policies(root.sys))]


def _is_pinned(folder: Path, lowest: str, highest: str, steps: str) -> bool:
    """Return whether a clock that could move may not: somebody raised its lowest to its highest."""
    least, most = optional_number(folder / lowest), optional_number(folder / highest)
    is_table = len((optional_text(folder / steps) or "").split()) > 1
    return is_table and least is not None and least == most


def judge(owners: Owners) -> list[Finding]:
    """Return a warning for each of them."""
    found = [
        warning("owners", f"{name} runs and sets clocks too; edged gives way to it", PROGRAMS[name])
        for name in owners.programs
    ]
    found += [
        warning("owners", f"{name} sets clocks at boot", UNITS[name])
        for name in owners.units
        if name.removesuffix(".service") not in owners.programs
    ]
    found += [_pinned(folder) for folder in owners.pinned]
    return found or [well("owners", "nobody else sets the clocks")]


def _pinned(folder: Path) -> Finding:
    devfreq = folder.name == "dmc" or folder.suffix == ".npu"
    names = ("min_freq", "available_frequencies") if devfreq else _CPU_FILES
    says = f"{folder.name} is held at one clock, as the vendor's fix_freq scripts do"
    lowest, steps = (folder / name for name in names)
    mend = f"tr ' ' '\\n' < {steps} | grep . | sort -n | head -1 | sudo tee {lowest}"
    return warning("owners", says, mend)


_CPU_FILES = ("scaling_min_freq", "scaling_available_frequencies")
