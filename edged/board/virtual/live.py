"""The virtual board beside a running engine: it draws what is said to run, and has a meter.

In:  which phase runs from now on, clocks, a clock.     Out: readings of its sensor, as `Meter`;
`Knobs` for its clocks. It catches up whenever it is asked; nothing ticks.
Threads: any; the governor tells phases on its event loop and reads off it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from edged.board.knobs.cap import Trouble
from edged.board.meter import Reading
from edged.board.soc import Clocks, Domain
from edged.board.virtual.plant import Board, Plant
from edged.board.virtual.sensor import Chip, Sensor
from edged.errors import MeterLost
from edged.power.forecast import Phase

AMBIENT_C = 25.0
# Of its truth so much is kept unless all of it is wanted.
KEPT_S = 60.0


class LiveBoard:
    """A virtual board in the time of `clock`.

    Attributes:
        board: the truth.
        name: of its meter.

    Args:
        plant: its constants.
        domains: the clock domains that have a knob.
        clock: monotonic seconds, the governor's.
        chip: its meter.
        keeps_all: whether the truth is kept from the start, for a judge.
    """

    def __init__(
        self,
        plant: Plant,
        domains: frozenset[str],
        clock: Callable[[], float],
        chip: Chip | None = None,
        *,
        keeps_all: bool = False,
    ) -> None:
        self.board = Board(plant, plant.points(domains), AMBIENT_C)
        self.domains = domains
        chip = chip or Chip()
        self.name = chip.name
        self._sensor = Sensor(chip, seed=0)
        self._clock = clock
        self._start_s = clock()
        self._phase: Phase | None = None
        self._keeps_all = keeps_all
        self._turn = threading.Lock()

    def run(self, phase: Phase | None) -> None:
        """Draw from now on what this phase draws; None: a pause."""
        with self._turn:
            self._catch_up()
            self.board.settle_clocks()
            self._phase = phase

    @property
    def phase(self) -> Phase | None:
        """Return what runs now; None: a pause."""
        return self._phase

    def step_s(self, phase: Phase, tokens: int) -> float:
        """Return the seconds of a step that starts now."""
        with self._turn:
            return self.board.step_s(phase, tokens)

    def read(self) -> Reading:
        """Return the sensor's last conversion."""
        with self._turn:
            self._catch_up()
            metered = self._sensor.read(self.board.now_s)
            now_s = self._start_s + self.board.now_s
        if metered is None:
            raise MeterLost(f"{self.board.plant.soc.name}'s virtual meter does not answer")
        return Reading(
            watts_w=metered.power_w,
            at_s=now_s - metered.age_s,
            averaging_s=metered.averaging_s,
            error_share=metered.error_share,
            name=metered.name,
            origin="simulated",
        )

    def set_clocks(self, clocks: Clocks) -> None:
        """Ask for the clocks; they come into force after the actuator's time, between steps."""
        with self._turn:
            self._catch_up()
            places = {point.clocks: place for place, point in enumerate(self.board.points)}
            self.board.ask_for(places[clocks])

    @property
    def troubles(self) -> dict[Domain, Trouble]:
        """Return nothing: its clocks take every cap."""
        return {}

    def steps_hz(self, domain: Domain) -> tuple[float, ...]:
        """Return the clocks of its points."""
        return tuple(sorted({point.clocks.by_domain[domain] for point in self.board.points}))

    def check(self, *, is_busy: bool) -> None:
        """Leave it: nobody else sets its clocks."""

    def kernel_hz(self) -> dict[Domain, float]:
        """Return nothing: heat holds the plant's clocks down unseen."""
        return {}

    def restore(self) -> None:
        """Ask for full clocks."""
        self.set_clocks(self.board.points[-1].clocks)

    def _catch_up(self) -> None:
        """Let the time pass that has passed, conversion by conversion."""
        until_s = self._clock() - self._start_s
        while self._sensor.next_s <= until_s:
            self._pass(self._sensor.next_s)
            self._sensor.convert(self.board)
            self.board.heat()
        self._pass(until_s)
        if not self._keeps_all:
            self.board.forget(until_s - KEPT_S)

    def _pass(self, until_s: float) -> None:
        self.board.run(until_s, self._phase)
        if self._phase is None:
            self.board.settle_clocks()
