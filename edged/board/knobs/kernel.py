"""Caps the clocks of a real board, and gives them back.

In:  the clocks of an operating point.     Out: caps in the kernel, `domains`, reasons for `state`.
All or nothing: when one cap is refused, does nothing or is contested, every clock gets back what
it had before edged, and pauses alone hold the watts. Who would rather go on with the other clocks
discovers again `without` that domain.
Write only while the engine is there: what stops the engine restores the clocks.
Blocking: small files and one lock; the daemon calls it off its event loop, one call at a time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from edged.board.knobs.cap import MISSING, Cap, Trouble, find_caps, is_over, mhz
from edged.board.knobs.restore import give_back, restore_clocks
from edged.board.knobs.saved import FILE, SavedClocks, boot_id
from edged.board.knobs.watch import CONTEST_S, CONTEST_WRITES, Watch
from edged.board.soc import DOMAINS, Clocks, Domain
from edged.board.thermal import hottest_c, is_throttling
from edged.errors import KnobRefused

# A clock that another program sets is left to it for so long.
LEFT_S = 600.0
# Source: rockchip_system_monitor.c caps from 85 C with 5 C of hysteresis, without a cooling device.
HOT_C = 80.0


class KernelKnobs:
    """The caps of one board.

    Args:
        root: `/sys`, or a golden tree.
        caps: as found below it.
        saved: where their values before the first write are kept.
        without: domains to leave alone.
    """

    def __init__(
        self,
        root: Path,
        caps: tuple[Cap, ...],
        saved: SavedClocks,
        without: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._saved = saved
        self._clock = clock
        self._absent = {one: why for one, why in _absent(caps).items() if one not in without}
        used = [cap for cap in caps if cap.domain not in {*self._absent, *without}]
        self._caps = {_key(root, cap): cap for cap in used}
        self._refused: dict[Domain, Trouble] = {}
        self._left_until_s = 0.0
        self._forget()

    @classmethod
    def discover(
        cls,
        root: Path,
        state_dir: Path,
        without: frozenset[str] = frozenset(),
        boot: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> KernelKnobs:
        """Return the knobs of this board, asked whether they can be written; nothing is written."""
        saved = SavedClocks(state_dir, boot_id() if boot is None else boot)
        return cls(root, find_caps(root), saved, without, clock)

    @property
    def domains(self) -> frozenset[str]:
        """Return which clocks can be capped, as found at discovery."""
        return frozenset(cap.domain for cap in self._caps.values())

    @property
    def troubles(self) -> dict[Domain, Trouble]:
        """Return why the others cannot, and why the last caps were refused."""
        return self._absent | self._refused

    def steps_hz(self, domain: Domain) -> tuple[float, ...]:
        """Return the clocks that every cap of a domain offers; boards differ from their SoC."""
        tables = [set(cap.steps_hz) for cap in self._caps.values() if cap.domain == domain]
        return tuple(sorted(set.intersection(*tables))) if tables else ()

    def set_clocks(self, clocks: Clocks) -> None:
        """Cap every domain that has a knob; blocking.

        A cap that was lower before edged came stays the limit.

        Raises:
            KnobRefused: the clocks are as they were before edged.
        """
        wanted_hz = clocks.by_domain
        if self._clock() < self._left_until_s:
            raise KnobRefused("; ".join(one.why for one in self._refused.values()))
        self._refused.clear()
        try:
            with self._saved.held():
                saved = self._save()
                for key, cap in self._caps.items():
                    self._write(key, cap, wanted_hz[cap.domain], saved.get(key))
        except OSError as error:
            raise self._unsaved(error) from error

    def check(self, *, is_busy: bool) -> None:
        """Look whether the caps still hold, and write again what was overwritten; blocking.

        Args:
            is_busy: the engine works, so that clocks that run over their cap mean something.

        Raises:
            KnobRefused: they do not; the clocks are as they were before edged, or as the other
                program wants them.
        """
        if not self._wanted_hz:
            return
        try:
            with self._saved.held():
                for key, wanted_hz in tuple(self._wanted_hz.items()):
                    self._look_at(key, self._caps[key], wanted_hz, is_busy=is_busy)
        except OSError as error:
            raise self._unsaved(error) from error

    def kernel_hz(self) -> dict[Domain, float]:
        """Return caps that are not ours and lower than what was asked: of heat, or from before."""
        found: dict[Domain, float] = {}
        for key, asked_hz in self._asked_hz.items():
            cap = self._caps[key]
            in_force_hz = cap.in_force_hz()
            if in_force_hz is not None and is_over(asked_hz, in_force_hz):
                found[cap.domain] = min(in_force_hz, found.get(cap.domain, in_force_hz))
        return found

    def restore(self) -> None:
        """Give every cap back its value from before edged; never fails."""
        restore_clocks(self._root, self._saved)
        self._forget()

    def _forget(self) -> None:
        self._wanted_hz: dict[str, float] = {}
        self._asked_hz: dict[str, float] = {}
        self._watches: defaultdict[str, Watch] = defaultdict(Watch)

    def _save(self) -> dict[str, int]:
        """Make sure that the value before the first write of each cap is on disk.

        Raises:
            OSError: it cannot be stored.
        """
        saved = self._saved.read()
        new = {}
        for key, cap in self._caps.items():
            count = None if key in saved else self._original(cap)  # what is stored is from before
            if count is not None:
                new[key] = count
        if new:
            self._saved.write(saved | new)
        return saved | new

    def _original(self, cap: Cap) -> int | None:
        """Return the count to restore one day.

        The file shows the lowest of all caps. While the kernel caps for heat that is not what
        somebody wrote: the top of the table is restored then.
        """
        in_force_hz, top_hz = cap.in_force_hz(), max(cap.steps_hz, default=None)
        if in_force_hz is None:
            return None
        if top_hz is not None and is_over(top_hz, in_force_hz) and self._is_hot():
            in_force_hz = top_hz
        return round(in_force_hz / cap.unit_hz)

    def _is_hot(self) -> bool:
        zones = self._root / "class/thermal"
        return is_throttling(zones) or (hottest_c(zones) or 0.0) >= HOT_C

    def _write(self, key: str, cap: Cap, wanted_hz: float, before: int | None) -> None:
        if before is None:
            self._refuse(key, Trouble("missing", f"{cap.name}/{cap.file} cannot be read"))
            return
        asked_hz = cap.step_under(wanted_hz)
        clock_hz = min(asked_hz, before * cap.unit_hz)
        trouble = cap.write(clock_hz)
        if trouble is not None:
            self._refuse(key, trouble)
        self._wanted_hz[key], self._asked_hz[key] = clock_hz, asked_hz

    def _look_at(self, key: str, cap: Cap, wanted_hz: float, *, is_busy: bool) -> None:
        watch = self._watches[key]
        in_force_hz, clock_hz = cap.in_force_hz(), cap.clock_hz()
        trouble = None
        if in_force_hz is None:
            unread = Trouble("ignored", f"{cap.name}/{cap.file} cannot be read")
            trouble = cap.probe() or unread
        elif is_over(in_force_hz, wanted_hz):
            is_contested = watch.is_contested(self._clock())
            self._save()  # `restore-clocks` may have been called, which forgets what was before
            trouble = _contested(cap, in_force_hz) if is_contested else cap.write(wanted_hz)
        elif clock_hz is not None:
            runs_over = is_busy and is_over(clock_hz, wanted_hz)
            if watch.is_idle_cap(runs_over=runs_over):
                why = f"{cap.name} runs {mhz(clock_hz)}, its cap is {mhz(wanted_hz)}"
                trouble = Trouble("ignored", why)
        if trouble is not None:
            self._refuse(key, trouble)

    def _refuse(self, key: str, trouble: Trouble) -> None:
        """Give every clock back, but one that another program has taken over.

        Raises:
            KnobRefused: always.
        """
        self._refused[self._caps[key].domain] = trouble
        leave = frozenset({key}) if trouble.fault == "contested" else frozenset()
        if leave:
            self._left_until_s = self._clock() + LEFT_S
        give_back(self._root, self._saved, leave)
        self._forget()
        raise KnobRefused(trouble.why)

    def _unsaved(self, error: OSError) -> KnobRefused:
        """What cannot be stored cannot be restored: nothing is written then."""
        trouble = Trouble("unsaved", f"the state directory does not take {FILE}: {error.strerror}")
        self._refused.update((cap.domain, trouble) for cap in self._caps.values())
        return KnobRefused(trouble.why)


def _key(root: Path, cap: Cap) -> str:
    return str(cap.path.relative_to(root))


def _absent(caps: tuple[Cap, ...]) -> dict[Domain, Trouble]:
    """Return the domains that have no cap, or one that cannot be written."""
    found = {}
    for domain in DOMAINS:
        probed = [cap.probe() for cap in caps if cap.domain == domain]
        worst = next((trouble for trouble in probed if trouble is not None), None)
        if not probed:
            worst = Trouble("missing", MISSING[domain])
        if worst is not None:
            found[domain] = worst
    return found


def _contested(cap: Cap, found_hz: float) -> Trouble:
    why = (
        f"{cap.name}: our cap was overwritten more than {CONTEST_WRITES} times in "
        f"{CONTEST_S:.0f} s, now {mhz(found_hz)}: another program sets this clock"
    )
    return Trouble("contested", why)
