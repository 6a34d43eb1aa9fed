"""What can be wrong with a meter, by name.

In:  errors of the kernel.     Out: `MeterFault`, whose name and sentence go into `state`.
"""

from __future__ import annotations

import errno
from typing import Literal, get_args

from edged.errors import MeterLost

Fault = Literal[
    "gone",  # unplugged, its driver unbound, or the plug offline
    "denied",  # this user may not read it
    "unreadable",  # the bus or the payload makes no sense
    "settling",  # a counter needs two looks
    "contract",  # a USB-PD contract, not a measurement
    "unmetered",  # a relay without a meter
    "zero",
    "stuck",
    "spike",
    "stale",
    "wrong_shunt",
]

FAULTS = frozenset(get_args(Fault))
# Source: errno(3). ENXIO and EREMOTEIO: an I2C chip that does not acknowledge its address.
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR, errno.EREMOTEIO})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


class MeterFault(MeterLost):
    """A reading that must not be used.

    Attributes:
        fault: its name, from the closed list.
        why: a sentence with figure and limit.
    """

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(f"{fault}: {why}")
        self.fault: Fault = fault
        self.why = why


def name_of(sentence: str) -> str:
    """Return the fault's name, which stands before its figures; empty without one."""
    return sentence.partition(":")[0]


def named(error: OSError | ValueError, of: str) -> MeterFault:
    """Return the fault behind an error of the kernel or a text that is no number."""
    if isinstance(error, OSError) and error.errno in _GONE:
        return MeterFault("gone", f"{of} is not there any more: {error.strerror}")
    if isinstance(error, OSError) and error.errno in _DENIED:
        return MeterFault("denied", f"{of} may not be read by this user: {error.strerror}")
    return MeterFault("unreadable", f"{of}: {error}")
