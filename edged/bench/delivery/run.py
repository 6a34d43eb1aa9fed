"""`edged bench delivery`: which figures are measured, how often, in which order.

In:  the command line.     Out: a table, a JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged import config
from edged.bench.delivery import hang, latency, overload_report, rates, share, upkeep
from edged.bench.delivery.broker import mosquitto
from edged.bench.delivery.disk import check_on_disk, slow_environment, slow_fsync
from edged.bench.delivery.overload import Lasting, Overload, overload
from edged.bench.delivery.report import Found, SlowDisk, figures
from edged.bench.delivery.table import judged, table
from edged.bench.folder import in_memory
from edged.bench.system import Setting
from edged.engine.threads import compute_threads
from edged.errors import ConfigError
from edged.models.installed import find_model


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        prompts: of a queue that is drained; `flood` the same, on the slow disk.
        repeat: of rates; `pairs` of the end-to-end share.
        rows: of the full spool; `waiting` of the one that recovers.
        singles: prompts one by one.
        hangs: engines that hang.
    """

    prompts: int
    repeat: int
    flood: int
    slow_repeat: int
    window_s: float
    burst: int
    rows: int
    latencies: int
    answers: int
    pairs: int
    waiting: int
    recoveries: int
    singles: int
    idle_s: float
    settle_s: float
    hangs: int


FULL = Size(
    prompts=4000,
    repeat=15,
    flood=8000,
    slow_repeat=5,
    window_s=6.0,
    burst=1000,
    rows=100_000,
    latencies=200,
    answers=64,
    pairs=6,
    waiting=10_000,
    recoveries=5,
    singles=20,
    idle_s=60.0,
    settle_s=upkeep.SETTLE_S,
    hangs=5,
)
QUICK = Size(
    prompts=200,
    repeat=1,
    flood=300,
    slow_repeat=1,
    window_s=1.0,
    burst=50,
    rows=500,
    latencies=5,
    answers=4,
    pairs=1,
    waiting=100,
    recoveries=1,
    singles=2,
    idle_s=1.0,
    settle_s=0.0,
    hangs=1,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured: a folder on a disk, a broker's port, a model."""

    folder: Path
    port: int
    model: Path
    size: Size


# So many urgent prompts alone that a hundredth of them is three; ten minutes beside the others.
WHOLE = Lasting(capacity_s=30.0, alone_s=330.0, loaded_s=600.0)
TRIAL = Lasting(capacity_s=3.0, alone_s=3.0, loaded_s=6.0)


def run(given: argparse.Namespace) -> int:
    """Measure what the command line names; return 0.

    Raises:
        ConfigError: no such figure, no mosquitto, or the folder is in memory.
        EngineUnusable: a board did not do what the benchmark asked of it.
    """
    if given.overload:
        lasting = TRIAL if given.quick else WHOLE
        is_even = given.even_disk
        found = overloaded_evenly(lasting) if is_even else overloaded(lasting, given.folder)
        _tell(given, overload_report.figures(found), judged(overload_report.lines(found)))
    elif given.even_disk:
        raise ConfigError("--even-disk: only with --overload; the other figures need a disk")
    else:
        _measure(given)
    return 0


def overloaded(lasting: Lasting, parent: Path | None) -> Overload:
    """Return what a board did that was asked for more than it can answer."""
    with tempfile.TemporaryDirectory(prefix="edged-", dir=parent) as folder:
        check_on_disk(Path(folder))
        with mosquitto(Path(folder)) as port:
            return overload(Path(folder) / "loaded", port, lasting)


def overloaded_evenly(lasting: Lasting) -> Overload:
    """Return the same of a board whose state lies in memory, where each sync takes 10 ms.

    A disk that others use may stand still for as long as an answer takes; here none does.

    Raises:
        ConfigError: there is no C compiler to make the syncs slow with.
    """
    with in_memory() as folder:
        library = slow_fsync(Path(folder))
        if library is None:
            raise ConfigError("--even-disk wants a C compiler: apt-get install gcc libc6-dev")
        slow_environment()
        with mosquitto(Path(folder)) as port:
            return overload(Path(folder) / "loaded", port, lasting, library)


def _measure(given: argparse.Namespace) -> None:
    chosen = given.figure or list(MEASURES)
    unknown = sorted(set(chosen) - set(MEASURES))
    if unknown:
        raise ConfigError(f"--figure {unknown[0]}: there is none; there are: {', '.join(MEASURES)}")
    model = given.model or find_model(config.Model()).path
    found = measured(chosen, model, QUICK if given.quick else FULL, given.folder)
    _tell(given, figures(found), table(found))


def _tell(given: argparse.Namespace, found: Mapping[str, Any], text: str) -> None:
    """Print what was found, and write it where the command line says."""
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.table is not None:
        given.table.write_text(text + "\n", encoding="utf-8")
    print(text)


def measured(names: Sequence[str], model: Path, size: Size, parent: Path | None) -> Found:
    """Return what was found of these figures."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="edged-", dir=parent) as folder:
        check_on_disk(Path(folder))
        with mosquitto(Path(folder)) as port:
            for name in names:
                own = Path(folder) / name
                own.mkdir()
                MEASURES[name](Place(own, port, model, size), found)
    return found


def _rate(place: Place, found: Found) -> None:
    size = place.size
    found.pairs = [
        rates.accepting(place.folder / f"rate-{number}", place.port, size.prompts)
        for number in range(size.repeat)
    ]


def _slow_disk(place: Place, found: Found) -> None:
    library = slow_fsync(place.folder)
    if library is None:
        found.notes.append("The slow disk was not measured: there is no C compiler here.")
        return
    found.slow_disk = [_slow(place, library, number) for number in range(place.size.slow_repeat)]


def _slow(place: Place, library: Path, number: int) -> SlowDisk:
    folder, port, size = place.folder, place.port, place.size
    much = (size.flood, size.window_s)
    quick = rates.flooded(folder / f"quick-{number}", port, *much, None)
    slow = rates.flooded(folder / f"slow-{number}", port, *much, library)
    burst_s = rates.burst_s(folder / f"burst-{number}", port, size.burst, library)
    return SlowDisk(quick, slow, burst_s)


def _latency(place: Place, found: Found) -> None:
    size = place.size
    found.latency = latency.latency(place.folder, place.port, size.rows, size.latencies)


def _share(place: Place, found: Found) -> None:
    shipped, size = config.Config(), place.size
    setting = Setting(
        place.model,
        compute_threads(),
        context_tokens=shipped.model.context_tokens,
        sequences=share.IN_FLIGHT,
        kv_tokens=shipped.kv_tokens,
    )
    found.shared = share.shared(place.folder, place.port, setting, size.answers, size.pairs)


def _recovery(place: Place, found: Found) -> None:
    size = place.size
    folder = place.folder / "recovers"
    found.recovered = upkeep.recovery(folder, place.port, size.waiting, size.recoveries)


def _bytes(place: Place, found: Found) -> None:
    size = place.size
    found.written = upkeep.written(place.folder, place.port, size.burst, size.singles)


def _idle(place: Place, found: Found) -> None:
    size = place.size
    found.idle = upkeep.idle(place.folder / "idles", place.port, size.idle_s, size.settle_s)


def _hang(place: Place, found: Found) -> None:
    found.hung = hang.hangs(place.folder, place.port, place.size.hangs)


MEASURES: dict[str, Callable[[Place, Found], None]] = {
    "rate": _rate,
    "slow-disk": _slow_disk,
    "latency": _latency,
    "share": _share,
    "recovery": _recovery,
    "bytes": _bytes,
    "idle": _idle,
    "hang": _hang,
}
