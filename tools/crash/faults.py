"""What is done to the processes and to the link, in groups that are counted.

In:  a running house, a random source.     Out: one fault of it; which is due is chosen purely.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from tools.crash.books import Books
from tools.crash.house import House
from tools.crash.observer import pause

Strike = Callable[[House, random.Random], None]

FREEZE_S_MAX = 2.0
BAD_LINK_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many faults of each group; the fields are the groups."""

    daemon_kills: int = 0
    engine_kills: int = 0
    broker_kills: int = 0
    freezes: int = 0
    link_faults: int = 0

    def of(self, group: str) -> int:
        """Return the count of a group."""
        count: int = getattr(self, group)
        return count


GROUPS = tuple(field.name for field in fields(Counts))


def due(wanted: Counts, books: Books, chance: random.Random) -> tuple[str, str] | None:
    """Return (group, fault) of the next fault; None when all counts are reached.

    A group comes up as often as it still lacks faults, so that all end together.
    """
    left = {group: wanted.of(group) - books.struck_of(group) for group in GROUPS}
    open_groups = [group for group in GROUPS if left[group] > 0]
    if not open_groups:
        return None
    (group,) = chance.choices(open_groups, [left[group] for group in open_groups])
    return group, chance.choice(list(FAULTS[group]))


def kill_daemon(house: House, chance: random.Random) -> None:
    """Send SIGKILL, and start it again at once."""
    house.daemon.kill()
    house.daemon.start()


def kill_engine(house: House, chance: random.Random) -> None:
    """Send SIGKILL, and start it again at once."""
    house.engine.kill()
    house.engine.start()


def kill_broker(house: House, chance: random.Random) -> None:
    """Send SIGKILL, and start it again at once."""
    house.broker.kill()
    house.broker.start()


def freeze(pid: Callable[[House], int | None]) -> Strike:
    """Return SIGSTOP and SIGCONT of a process, some time between them."""

    def strike(house: House, chance: random.Random) -> None:
        frozen = pid(house)
        if frozen is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGSTOP)
            pause(chance.uniform(0.0, FREEZE_S_MAX))
            os.kill(frozen, signal.SIGCONT)

    return strike


def order(line: str) -> Strike:
    """Return an order to the fault proxy."""

    def strike(house: House, chance: random.Random) -> None:
        house.proxy.order(line)

    return strike


def for_a_while(bad: str, well: str) -> Strike:
    """Return two orders to the fault proxy, some time between them."""

    def strike(house: House, chance: random.Random) -> None:
        house.proxy.order(bad)
        pause(chance.uniform(0.0, BAD_LINK_S_MAX))
        house.proxy.order(well)

    return strike


def _daemon_pid(house: House) -> int:
    assert house.daemon.process is not None
    return house.daemon.process.pid


# The bytes of a PUBACK, MQTT 5, 3.4: of a prompt on the way up, of a reply on the way down.
FAULTS: Mapping[str, Mapping[str, Strike]] = {
    "daemon_kills": {"daemon": kill_daemon},
    "engine_kills": {"engine": kill_engine},
    "broker_kills": {"broker": kill_broker},
    "freezes": {
        "daemon": freeze(_daemon_pid),
        "engine": freeze(lambda house: house.engine.pid),
        "broker": freeze(lambda house: house.broker.pid),
    },
    "link_faults": {
        "cut": order("cut"),
        "reset": order("reset"),
        "half-open": order("vanish"),
        "hold": for_a_while("hold", "release"),
        "byte by byte": for_a_while("pieces 1", "pieces 65536"),
        "slow": for_a_while("delay 0.05", "delay 0"),
        "prompt's PUBACK lost": order("cut-before up 0x4002"),
        "reply's PUBACK lost": order("cut-before down 0x4002"),
        "cut behind an outcome": order('cut-after up "event":"done"'),
        "cut in a prompt": order('cut-after down "receipt":'),
    },
}
