"""One seed from start to end: a board, its broker, its devices, and what goes wrong.

In:  a seed, virtual minutes.     Out: what was violated, what happened, what stands for the trace.
The daemon is `edged.daemon.serve`, whole, with its own code for MQTT, spool, engine and admin
socket. It lives again and again: after SIGTERM, after a crash, after a power cut.
"""

from __future__ import annotations

import asyncio
import functools
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from edged.board.meters.doubt import Bounds, Doubted
from edged.board.soc import KNOBS, SOCS
from edged.board.virtual.live import LiveBoard
from edged.board.virtual.plant import drawn
from edged.config import Config
from edged.daemon import Ground, outfit_of, serve
from edged.engine.prepare import Preparer
from edged.power.outfit import Parts
from tools.simulation import disk as disks
from tools.simulation.broker import Broker
from tools.simulation.clocks import Machine
from tools.simulation.computed import Computed, preparer_of
from tools.simulation.disk import Disk
from tools.simulation.link import Network
from tools.simulation.loop import StandsStillError, VirtualLoop, run_virtually
from tools.simulation.meter import Meter
from tools.simulation.observer import Observer
from tools.simulation.processes import Engines

MEMORY = Path("/dev/shm")
# A transaction on a slow card, at most; most are much quicker.
COMMIT_S_MAX = 0.05
# So long a daemon that was cut off may go on, with nobody to hear it.
BURY_S_MAX = 3600.0
# Then systemd kills. Source: TimeoutStopSec in systemd/edged.service.
STOP_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """What one seed showed."""

    seed: int
    violations: tuple[str, ...]
    counts: dict[str, int]
    digest: str


@dataclass
class Life:
    """A daemon from its start to its end, and the kernel as it saw it."""

    task: asyncio.Task[None]
    folder: Path
    engines: Engines
    handlers: dict[int, Callable[[], object]]
    is_told_to_end: bool = False


@dataclass
class Cut:
    """Where the next daemon is to be cut off: after so many turns of the loop, or in a commit.

    Attributes:
        sure: the spool's log as far as the cut leaves it whole; None: all of it.
    """

    turns: int | None = None
    jobs: int | None = None
    is_power: bool = False
    sure: bytes | None = None


class World:
    """Everything of one seed.

    Attributes:
        seed: of all that is drawn.
        chance: draws it.
        life: the daemon that runs; None between two.
        held_until_s: until then somebody at the board has it pause or drain.
    """

    def __init__(self, loop: VirtualLoop, folder: Path, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.chance = random.Random(seed)
        self.machine = Machine(loop.time)
        self.observer = Observer(loop.time, self.machine, folder)
        self.broker = Broker(loop, self.observer)
        self.network = Network(self.broker, folder / "broker.sock", self.chance)
        self.disk = Disk()
        self.life: Life | None = None
        self.engines: Engines | None = None
        self.meter = Meter(seed)
        self.is_metered = self.chance.random() < 0.25
        self.cut: Cut | None = None
        self.has_died = asyncio.Event()
        self._folder = folder
        self._lives = 0
        self.held_until_s = 0.0
        self._disturbed_s = 0.0
        self._stall_s = self._stalled_s = 0.0
        self._full: tuple[int, bool] | None = None
        self._dead: list[asyncio.Task[None]] = []
        loop.on_turn = self._on_turn
        loop.job = self._job
        loop.on_unhandled = self.observer.violated

    # Lives of the daemon.

    def begin(self) -> None:
        """Start a daemon on the files that are there."""
        folder = self._place()
        folder.mkdir(exist_ok=True)
        config = self._config(folder)
        if self.engines is None:
            self.engines = Engines(config, lambda: self._computed(config), self.observer)
        ground = Ground(
            clock=self.loop.time,
            machine=lambda: self.machine,
            processes=self.engines,
            parts=lambda *_: self._parts(),
        )
        self.loop.signals = {}
        self.has_died.clear()
        self.observer.note("start", folder.name)
        self.observer.look_at(folder)
        self.observer.health.daemon_begins()
        self._disturb()
        life = serve(config, None, ground, outfit_of(config, ground))
        task = self.loop.create_task(life, name=f"daemon {self._lives}")
        self.life = Life(task, folder, self.engines, self.loop.signals)
        task.add_done_callback(self._ended)

    async def passing(self, for_s: float) -> None:
        """Let time pass."""
        await asyncio.sleep(for_s)

    async def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        life = self.life
        if life is None:
            return
        for _ in range(600):  # a daemon that has just started listens for no signal yet
            if signal.SIGTERM in life.handlers or life.task.done():
                break
            await asyncio.sleep(0.1)
        # Not before: the faults may be over meanwhile, and then it is left to serve.
        self.observer.note("SIGTERM")
        life.is_told_to_end = True
        self.observer.health.is_watched = False
        told_s = self.loop.time()
        if not life.task.done():
            life.handlers[signal.SIGTERM]()
        await asyncio.wait([life.task])
        stalled_s = max(0.0, self._stalled_s - told_s)  # a disk that stands still is waited for
        if (took_s := self.loop.time() - told_s) > STOP_S_MAX + stalled_s:
            self.observer.violated(f"the daemon took {took_s:.1f} s to end")

    def crash(self, *, is_power: bool) -> None:
        """Cut the daemon off where it stands; what it does after that reaches nobody."""
        life = self.life
        if life is None:
            return
        self.observer.note("crash", f"power={is_power}")
        self.network.cut()
        copy = disks.copied(life.folder, self._place(self._lives + 1))
        if self.cut is not None and self.cut.sure is not None:
            disks.tear(copy, self.cut.sure, self.chance)
        self._leave(life, copy)
        if is_power and self.engines is not None:
            if self.engines.current is not None:
                self.engines.current.end()
            self.engines = None

    def _leave(self, life: Life, copy: Path) -> None:
        """Go on with the copy; the old daemon has a kernel of its own from now on."""
        self.observer.health.is_watched = False
        self.life, self.cut = None, None
        self._lives += 1
        self.observer.look_at(copy)
        if self.engines is not None:
            self.engines = self.engines.handed_over()
        life.task.cancel()
        self._dead.append(life.task)
        self.has_died.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A daemon has come to its end; by itself only after SIGTERM."""
        error = None if task.cancelled() else task.exception()
        if self.life is None or task is not self.life.task:
            return
        if error is not None:
            self.observer.violated(f"the daemon ended with {error!r}: {_causes(error)}")
        self.observer.note("end")
        self.life = None
        self.has_died.set()

    def _place(self, number: int | None = None) -> Path:
        return self._folder / f"life-{self._lives if number is None else number}"

    # What the daemon stands on.

    def _config(self, folder: Path) -> Config:
        tables: dict[str, dict[str, Any]] = {
            "node": {"state_dir": str(folder)},
            # With 3.1.1, which two silent connects lead to, the observer cannot tell prompts apart.
            "broker": {"host": f"{self._folder}/broker.sock", "keepalive_s": 10, "protocol": "5"},
            "engine": {"backend": "sim", "socket": str(self._folder / "engine.sock")},
            "model": {
                "sequences": 4,
                "context_tokens": 256,
                "templates_dir": str(self._templates()),
            },
            "power": {"sysfs": str(self._folder), "enforce": "auto"},
            "metrics": {"textfile": str(self._folder / "none" / "edged.prom")},
            "spool": {"bytes_max": 4_194_304},
        }
        return Config.model_validate(tables)

    def _templates(self) -> Path:
        """Return a folder without templates: each life would read them again."""
        folder = self._folder / "model" / "templates"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _computed(self, config: Config) -> Computed:
        pace = self.meter if self.is_metered else None
        return Computed(config, _preparer(config.model.context_tokens), pace)

    def _parts(self) -> Parts:
        if not self.is_metered:
            return Parts()
        live = LiveBoard(drawn(SOCS["rk3588"], 0), KNOBS, self.loop.time)
        self.meter.live = live
        doubted = Doubted(self.meter, Bounds(), self.loop.time)
        return Parts(live.board.plant.soc, doubted, live, live.run)

    # What happens between two turns, and in the spool's thread.

    def _on_turn(self) -> None:
        cut = self.cut
        if cut is None or cut.turns is None or self.life is None:
            return
        cut.turns -= 1
        if cut.turns <= 0:
            self.crash(is_power=cut.is_power)

    def _job(self, run: Callable[[], object]) -> float:
        """Run what belongs in a thread; a cut may leave the first part of it."""
        self._fill_in_time()
        cut, life, changes = self.cut, self.life, self.disk.changes
        with self.disk.in_force(self._place()):
            if cut is None or life is None:
                run()
            else:
                self._cut_job(run, cut, life.folder)
        takes_s = self.chance.uniform(0.0, COMMIT_S_MAX) ** 2 / COMMIT_S_MAX
        if self.disk.changes == changes:
            return takes_s
        if self.disk.is_synced(self._place()):
            self.observer.saved()
        stall_s, self._stall_s = self._stall_s, 0.0
        if stall_s:
            self._disturb(stall_s)
            self._stalled_s = max(self._stalled_s, self.loop.time()) + stall_s
        return takes_s + stall_s

    def _fill_in_time(self) -> None:
        if self._full is None:
            return
        jobs, grows_nothing = self._full
        self._full = (jobs - 1, grows_nothing)
        if jobs <= 1:
            self._full = None
            self.disk.fill(grows_nothing=grows_nothing)

    def _cut_job(self, run: Callable[[], object], cut: Cut, folder: Path) -> None:
        """Run a job before a cut, perhaps the last one, and know what the cut will leave of it."""
        if cut.jobs is not None:
            cut.jobs -= 1
        is_last = cut.jobs is not None and cut.jobs <= 0
        if is_last:
            cut.turns, cut.jobs = 1, None
        if cut.sure is None and (is_last or cut.is_power):
            cut.sure = disks.log_of(folder)
        run()
        if cut.is_power and not is_last and self.disk.is_synced(folder):
            cut.sure = disks.log_of(folder)

    def fill_disk(self, jobs: int, *, grows_nothing: bool = False) -> None:
        """Let the disk be full from the n-th job of a thread on, perhaps for SQLite's log too."""
        self._full = (jobs, grows_nothing)

    def free_disk(self) -> None:
        """Let there be space again."""
        self._full = None
        self.disk.free()
        self._disturb()

    def stall_disk(self, for_s: float) -> None:
        """Let the next commit take so long."""
        self._stall_s = for_s

    def _disturb(self, for_s: float = 0.0) -> None:
        self._disturbed_s = max(self._disturbed_s, self.loop.time() + for_s)

    @property
    def undisturbed_s(self) -> float:
        """Return for how long a daemon has lived on a disk that is as it should be."""
        if self.life is None or self.life.is_told_to_end or self.disk.is_full:
            return 0.0
        return self.loop.time() - self._disturbed_s

    async def bury(self) -> None:
        """Wait for what is left of daemons that were cut off: they are cancelled, and end."""
        if not self._dead:
            return
        _, left = await asyncio.wait(self._dead, timeout=BURY_S_MAX)
        for task in left:
            self.observer.violated(f"{task.get_name()} goes on, though it was cancelled")

    # What must be so at the end.

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing is left to be done."""
        lives = self.life is not None and not self.life.is_told_to_end
        return lives and self.observer.unfinished == 0


def _causes(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(map(_causes, error.exceptions))
    return repr(error)


@functools.cache
def _preparer(context_tokens: int) -> Preparer:
    tables = {"engine": {"backend": "sim"}, "model": {"context_tokens": context_tokens}}
    return preparer_of(Config.model_validate(tables))


@contextmanager
def _virtual_paho(loop: VirtualLoop) -> Iterator[None]:
    """Let paho count its keep alive in virtual seconds: it has no seam for a clock."""
    own, paho.time_func = paho.time_func, loop.time
    try:
        yield
    finally:
        paho.time_func = own


def simulate(
    seed: int,
    play: Callable[[World], Any],
    log: Callable[[str], None] = lambda line: None,
) -> Found:
    """Run one seed in a folder of its own; return what it showed.

    Args:
        seed: of everything that is drawn.
        play: what happens in the world.
        log: gets each line of the trace.
    """
    random.seed(seed)  # the jitter of reconnects comes from there
    folder = Path(tempfile.mkdtemp(prefix="es-", dir=MEMORY if MEMORY.is_dir() else None))

    async def whole(loop: VirtualLoop) -> Observer:
        world = World(loop, folder, seed)
        world.observer.log = log
        with _virtual_paho(loop), world.disk.watched(), closing(world.network):
            await play(world)
        return world.observer

    try:
        observer = run_virtually(whole)
    except StandsStillError as error:
        return Found(seed, (str(error),), {}, "")
    finally:
        shutil.rmtree(folder)
    # Not before: what is left at the end may fail, too.
    return Found(seed, tuple(observer.violations), dict(observer.counts), observer.digest)
