"""What sets the board's clocks: the protocol of its knobs.

In:  the clocks of an operating point.     Out: caps in the kernel, or in the virtual board.
Blocking: sysfs reads and writes, off the event loop, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edged.board.knobs.cap import Trouble
from edged.board.soc import Clocks, Domain


class Knobs(Protocol):
    """The clock domains that can be capped here.

    Attributes:
        domains: some of `npu`, `cpu`, `ddr`; empty: the watts are held by pauses alone.
        troubles: why the others cannot be capped, and why the last caps were refused.
    """

    @property
    def domains(self) -> frozenset[str]:
        """Return which domains have a knob."""
        ...

    @property
    def troubles(self) -> Mapping[Domain, Trouble]:
        """Return what is wrong, by domain; no I/O."""
        ...

    def steps_hz(self, domain: Domain) -> tuple[float, ...]:
        """Return the clocks that this board offers, slowest first; empty: those of its SoC."""
        ...

    def set_clocks(self, clocks: Clocks) -> None:
        """Cap every domain that has a knob; blocking.

        Raises:
            KnobRefused: the kernel does not take it; the clocks are as they were.
        """
        ...

    def check(self, *, is_busy: bool) -> None:
        """Look whether the caps still hold; blocking.

        Raises:
            KnobRefused: they do not; the clocks are as they were before the first cap.
        """
        ...

    def kernel_hz(self) -> dict[Domain, float]:
        """Return caps of the kernel's own that are under ours; blocking."""
        ...

    def restore(self) -> None:
        """Take the caps away again; blocking, never fails."""
        ...
