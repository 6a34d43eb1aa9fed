"""What time it is at least: for certificates, on a board that starts without a clock.

In:  the machine's clock and whether it is synchronised; certificates that an authority of ours
signed.     Out: whether they are good now; a small file in the state directory.
A synchronised clock is believed. One that is not may be years behind: a certificate that it calls
not yet valid is taken, and said. But time is known not to be earlier than the latest that this
board ever knew, so what expired before that stays expired. Blocking: it reads and writes a file.
Does not know: TLS, sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edged.clock import MachineClock
from edged.durable import write_durably

log = logging.getLogger(__name__)

FILE = "time_floor"
# So much later it must be for the file to be written: flash wears out.
STEP_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a certificate is good.

    Attributes:
        name: whose it is, in words.
        from_s, until_s: Unix time.
    """

    name: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a chain of certificates is worth.

    Attributes:
        now_s: what time it is at least, Unix time: no earlier than any of them was issued.
        expired: one that is over; None: none is.
        early: one that the clock calls not yet valid; None: none is.
    """

    now_s: float
    expired: Validity | None
    early: Validity | None


def judge(chain: Sequence[Validity], wall_s: float, floor_s: float) -> Judgement:
    """Return what a chain is worth by a clock that may be behind, and a time that is past.

    Args:
        chain: all of them signed up to an authority that is trusted.
        wall_s: what the clock says, Unix time.
        floor_s: what time it is at least, Unix time.
    """
    now_s = max([wall_s, floor_s, *(one.from_s for one in chain)])
    return Judgement(
        now_s=now_s,
        expired=next((one for one in chain if one.until_s < now_s), None),
        early=next((one for one in chain if one.from_s > wall_s), None),
    )


class CertificateOver(Exception):
    """A certificate of the chain expired; its text says which and when."""


class TimeFloor:
    """The latest time that a state directory knows of.

    Attributes:
        doubt: what to say of the certificates that were taken last; "": their time was not in
            doubt.

    Args:
        path: the file.
        machine: the machine's clocks.
    """

    def __init__(self, path: Path, machine: MachineClock) -> None:
        self._path = path
        self._machine = machine
        self._at_s: float | None = None
        self.doubt = ""

    @property
    def is_sure(self) -> bool:
        """Return whether the clock is to be believed."""
        return self._machine.instant().synchronised

    def admit(self, chain: Sequence[Validity]) -> None:
        """Take a chain that an authority of ours signed, or refuse it for its age.

        Where the clock is to be believed TLS has asked it already; it may have become so since.

        Raises:
            CertificateOver: one of the chain expired.
        """
        instant = self._machine.instant()
        floor_s = instant.wall_s if instant.synchronised else self._floor_s()
        found = judge(chain, instant.wall_s, floor_s)
        if found.expired is not None:
            raise CertificateOver(
                f"the certificate of {found.expired.name} expired on {_day(found.expired.until_s)},"
                f" and today is {_day(found.now_s)} or later"
            )
        self._doubt(found, instant.wall_s)
        # A clock that is not synchronised may be ahead as well: it raises nothing.
        self._raise_to(max([floor_s, *(one.from_s for one in chain)]))

    def _doubt(self, found: Judgement, wall_s: float) -> None:
        """Keep what is to be said of a chain that was taken, and say it once."""
        before, self.doubt = self.doubt, ""
        if found.early is not None:
            self.doubt = (
                f"the clock says {_day(wall_s)} and is not synchronised; the certificate of "
                f"{found.early.name} is valid from {_day(found.early.from_s)} and was taken: "
                f"today is {_day(found.now_s)} or later"
            )
        if self.doubt and self.doubt != before:
            log.warning("%s", self.doubt)

    async def keep(self) -> None:
        """Note the time once a day while the clock is to be believed, for ever."""
        while True:
            await asyncio.to_thread(self._note)
            await asyncio.sleep(STEP_S)

    def _note(self) -> None:
        instant = self._machine.instant()
        if instant.synchronised:
            self._raise_to(instant.wall_s)

    def _floor_s(self) -> float:
        if self._at_s is None:
            self._at_s = self._kept_s()
        return self._at_s

    def _kept_s(self) -> float:
        try:
            text = self._path.read_text(encoding="utf-8")
            return datetime.fromisoformat(text.strip()).timestamp()
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError) as error:
            log.warning("%s: %s; this board knows of no time that is past", self._path, error)
            return 0.0

    def _raise_to(self, at_s: float) -> None:
        if at_s < self._floor_s() + STEP_S:
            return
        self._at_s = at_s
        text = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
        try:
            write_durably(self._path, text + "\n")
        except OSError as error:
            log.warning("%s: the time is not kept over a restart: %s", self._path, error)


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()
