"""Caps the clocks of a real board, and gives them back.

In:  the clocks of an operating point.     Out: caps in the kernel, `domains`, reasons for `state`.
A cap that is missing, may not be written, does nothing or is contested drops out of `domains`;
pauses then hold the watts. Whoever calls asks `domains` again after `KnobRefused`.
Write only while the engine is there: what stops the engine restores the clocks.
Blocking: small files and one lock; the daemon calls it off its event loop, one call at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edged.board.knobs.cap import DOMAINS, MISSING, Cap, Domain, Trouble, find_caps, is_over, mhz
from edged.board.knobs.restore import restore_clocks
from edged.board.knobs.saved import FILE, SavedClocks, boot_id
from edged.board.soc import Clocks
from edged.board.thermal import hottest_c, is_throttling
from edged.errors import KnobRefused

# Who writes a cap over ours again and again in this time has other plans: we give way.
CONTEST_WRITES, CONTEST_S = 3, 60.0
# A clock over its cap at so many looks in a row while the engine works: the cap does nothing.
OVER_LOOKS = 3
# Source: rockchip_system_monitor.c caps from 85 C with 5 C of hysteresis, without a cooling device.
HOT_C = 80.0


class KernelKnobs:
    """The caps of one board.

    Args:
        root: `/sys`, or a golden tree.
        caps: as found below it.
        saved: where their values before the first write are kept.
    """

    def __init__(
        self,
        root: Path,
        caps: tuple[Cap, ...],
        saved: SavedClocks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._caps = caps
        self._saved = saved
        self._clock = clock
        self._wanted_hz: dict[str, float] = {}
        self._overwritten: dict[str, deque[float]] = {}
        self._over_looks: dict[str, int] = {}
        self._trouble: dict[Domain, Trouble] = self._probed()

    @classmethod
    def discover(cls, root: Path, state_dir: Path, boot: str | None = None) -> KernelKnobs:
        """Return the knobs of this board, asked whether they can be written; nothing is written."""
        saved = SavedClocks(state_dir, boot_id() if boot is None else boot)
        return cls(root, find_caps(root), saved)

    @property
    def domains(self) -> frozenset[str]:
        """Return which clocks can be capped at the moment."""
        return frozenset(domain for domain in DOMAINS if domain not in self._trouble)

    @property
    def troubles(self) -> dict[Domain, Trouble]:
        """Return why the others cannot."""
        return dict(self._trouble)

    def steps_hz(self, domain: Domain) -> tuple[float, ...]:
        """Return the clocks that every cap of a domain offers; boards differ from their SoC."""
        tables = [set(cap.steps_hz) for cap in self._caps_of(domain)]
        return tuple(sorted(set.intersection(*tables))) if tables else ()

    def set_clocks(self, clocks: Clocks) -> None:
        """Cap every domain that has a knob; blocking.

        A cap that was lower before edged came stays the limit.

        Raises:
            KnobRefused: a domain dropped out and has its old clocks; the others are capped.
        """
        wanted: dict[Domain, float] = {
            "npu": clocks.npu_hz,
            "cpu": clocks.cpu_hz,
            "ddr": clocks.ddr_hz,
        }
        before = set(self._trouble)
        try:
            with self._saved.held():
                saved = self._save()
                for domain in DOMAINS:
                    if domain not in self._trouble:
                        self._write(domain, wanted[domain], saved)
        except OSError as error:
            self._give_up(error)
        self._raise_new(before)

    def check(self, *, is_busy: bool) -> None:
        """Look whether the caps still hold, and write again what was overwritten; blocking.

        Args:
            is_busy: the engine works, so that clocks that run over their cap mean something.

        Raises:
            KnobRefused: a domain dropped out: contested, ignored or gone.
        """
        before = set(self._trouble)
        try:
            with self._saved.held():
                for cap in self._caps:
                    self._look_at(cap, is_busy=is_busy)
        except OSError as error:
            self._give_up(error)
        self._raise_new(before)

    def kernel_hz(self) -> dict[Domain, float]:
        """Return caps of the kernel's own, as when it is hot, where they are under ours."""
        found: dict[Domain, float] = {}
        for cap in self._caps:
            in_force_hz, wanted_hz = cap.in_force_hz(), self._wanted_hz.get(cap.name)
            if in_force_hz is not None and wanted_hz and is_over(wanted_hz, in_force_hz):
                found[cap.domain] = min(in_force_hz, found.get(cap.domain, in_force_hz))
        return found

    def restore(self) -> None:
        """Give every cap back its value from before edged, and start afresh; never fails."""
        restore_clocks(self._root, self._saved)
        self._caps = find_caps(self._root)  # a driver may have come or gone
        self._wanted_hz.clear()
        self._overwritten.clear()
        self._over_looks.clear()
        self._trouble = self._probed()

    def _caps_of(self, domain: Domain) -> list[Cap]:
        return [cap for cap in self._caps if cap.domain == domain]

    def _probed(self) -> dict[Domain, Trouble]:
        found = {}
        for domain in DOMAINS:
            troubles = [cap.probe() for cap in self._caps_of(domain)]
            worst = next((trouble for trouble in troubles if trouble is not None), None)
            if not troubles:
                worst = Trouble("missing", MISSING[domain])
            if worst is not None:
                found[domain] = worst
        return found

    def _save(self) -> dict[str, int]:
        """Make sure that the value before the first write of each cap is on disk.

        Raises:
            OSError: it cannot be stored.
        """
        saved = self._saved.read()
        new = {}
        for cap in self._caps:
            # What is stored already is from before our own caps.
            if cap.domain not in self._trouble and self._key(cap) not in saved:
                count = self._original(cap)
                if count is not None:
                    new[self._key(cap)] = count
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

    def _key(self, cap: Cap) -> str:
        return str(cap.path.relative_to(self._root))

    def _write(self, domain: Domain, wanted_hz: float, saved: dict[str, int]) -> None:
        for cap in self._caps_of(domain):
            count = saved.get(self._key(cap))
            if count is None:
                self._drop(domain, Trouble("missing", f"{cap.name}/{cap.file} cannot be read"))
                return
            clock_hz = min(cap.step_under(wanted_hz), count * cap.unit_hz)
            trouble = cap.write(clock_hz)
            if trouble is not None:
                self._drop(domain, trouble)
                return
            self._wanted_hz[cap.name] = clock_hz

    def _look_at(self, cap: Cap, *, is_busy: bool) -> None:
        wanted_hz = self._wanted_hz.get(cap.name)
        if cap.domain in self._trouble or wanted_hz is None:
            return
        trouble = self._checked(cap, wanted_hz, is_busy=is_busy)
        if trouble is not None:
            self._drop(cap.domain, trouble)

    def _checked(self, cap: Cap, wanted_hz: float, *, is_busy: bool) -> Trouble | None:
        in_force_hz = cap.in_force_hz()
        if in_force_hz is None:
            return cap.probe() or Trouble("ignored", f"{cap.name}/{cap.file} cannot be read")
        if is_over(in_force_hz, wanted_hz):
            return self._again(cap, wanted_hz, in_force_hz)
        clock_hz = cap.clock_hz()
        if not is_busy or clock_hz is None or not is_over(clock_hz, wanted_hz):
            self._over_looks[cap.name] = 0
            return None
        self._over_looks[cap.name] = self._over_looks.get(cap.name, 0) + 1
        if self._over_looks[cap.name] < OVER_LOOKS:
            return None  # the clock is on its way
        return Trouble("ignored", f"{cap.name} runs {mhz(clock_hz)}, its cap is {mhz(wanted_hz)}")

    def _again(self, cap: Cap, wanted_hz: float, found_hz: float) -> Trouble | None:
        """Write a cap again that somebody changed, but not for ever."""
        now_s = self._clock()
        times_s = self._overwritten.setdefault(cap.name, deque())
        times_s.append(now_s)
        while times_s[0] < now_s - CONTEST_S:
            times_s.popleft()
        if len(times_s) <= CONTEST_WRITES:
            return cap.write(wanted_hz)
        why = (
            f"{cap.name}: {mhz(wanted_hz)} was overwritten {len(times_s)} times in "
            f"{CONTEST_S:.0f} s, now {mhz(found_hz)}: another program sets this clock"
        )
        return Trouble("contested", why)

    def _drop(self, domain: Domain, trouble: Trouble) -> None:
        """Take a domain out; what it had before edged is given back, unless another has it now."""
        self._trouble[domain] = trouble
        saved = self._saved.read()
        for cap in self._caps_of(domain):
            self._wanted_hz.pop(cap.name, None)
            count = saved.get(self._key(cap))
            if count is None:
                continue
            left = None if trouble.fault == "contested" else cap.write(count * cap.unit_hz)
            if left is None or left.fault == "missing":
                del saved[self._key(cap)]
        with suppress(OSError):  # the file stays, and what stops the engine restores from it
            self._saved.write(saved)

    def _give_up(self, error: OSError) -> None:
        """What cannot be stored cannot be restored: nothing is written any more."""
        trouble = Trouble("unsaved", f"the state directory does not take {FILE}: {error.strerror}")
        for domain in DOMAINS:
            self._trouble.setdefault(domain, trouble)

    def _raise_new(self, before: set[Domain]) -> None:
        new = [trouble.why for domain, trouble in self._trouble.items() if domain not in before]
        if new:
            raise KnobRefused("; ".join(dict.fromkeys(new)))
