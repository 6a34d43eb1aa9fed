"""What sets the board's clocks: the protocol of its knobs.

In:  the clocks of an operating point.     Out: caps in the kernel, or in the virtual board.
Blocking: sysfs writes, off the event loop.
"""

from __future__ import annotations

from typing import Protocol

from edged.board.soc import Clocks


class Knobs(Protocol):
    """The clock domains that can be capped here.

    Attributes:
        domains: some of `npu`, `cpu`, `ddr`; empty: the watts are held by pauses alone.
    """

    @property
    def domains(self) -> frozenset[str]:
        """Return which domains have a knob."""
        ...

    def set_clocks(self, clocks: Clocks) -> None:
        """Cap every domain that has a knob; blocking.

        Raises:
            KnobRefused: the kernel does not take it; the clocks are as they were.
        """
        ...

    def restore(self) -> None:
        """Take the caps away again; blocking, never fails."""
        ...
