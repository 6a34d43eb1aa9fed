"""Which SoC this machine is.

In:  the device tree's `compatible`.     Out: the nominal `Soc`, or None for any other machine.
Source: Devicetree Specification 2.3.1: strings, most specific first, each ended by a NUL.
"""

from __future__ import annotations

from pathlib import Path

from edged.board.soc import SOCS, Soc

# Not /proc/device-tree: a sandbox may hide all of /proc but processes.
COMPATIBLE = Path("/sys/firmware/devicetree/base/compatible")


def soc_here(compatible: Path = COMPATIBLE) -> Soc | None:
    """Return the SoC of this board; RK3588S and the like count as RK3588."""
    try:
        names = compatible.read_bytes().split(b"\0")
    except OSError:
        return None  # no device tree: not a board of this kind
    for name in names:
        _, _, part = name.decode(errors="replace").partition(",")
        for known, soc in SOCS.items():
            if part.startswith(known):
                return soc
    return None
