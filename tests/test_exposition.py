"""How the metrics leave the process: the file in virtual time, file and port of a real daemon."""

from __future__ import annotations

import asyncio
import itertools
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from edged.config import Metrics
from edged.exposition import BUSY_EVERY_S, IDLE_EVERY_S, Exposition, replace_file
from edged.metrics import Figures
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import Asker, Daemon, wait_until
from tests.metrics_fixtures import busy_registry, families, figures, needs_promtool, promtool
from tests.virtual_time import VirtualLoop, run_virtually

HOUR_S = 3600.0


def writes(
    path: Path, for_s: float, poke: Callable[[asyncio.Event], None], *, silent_once: bool = False
) -> list[float]:
    """Return when the board was asked for its figures to be written, in virtual seconds.

    `poke` is called each virtual second with the event that something was counted; `silent_once`:
    the first write is not answered in time.
    """

    async def play(loop: VirtualLoop) -> list[float]:
        asked_s: list[float] = []

        def ask() -> Figures:
            asked_s.append(loop.time())
            if silent_once and len(asked_s) == 2:
                raise TimeoutError
            return figures()

        changed = asyncio.Event()
        exposition = Exposition(Metrics(textfile=path), CollectorRegistry(), changed, ask)
        running = asyncio.ensure_future(exposition.run())
        for _ in range(int(for_s)):
            await asyncio.sleep(1)
            poke(changed)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return asked_s[1:]  # the first is where the counters begin

    return run_virtually(play)


def gaps(moments_s: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(moments_s)]


def test_an_idle_board_writes_once_a_minute(tmp_path: Path) -> None:
    asked_s = writes(tmp_path / "edged.prom", HOUR_S, lambda changed: None)
    assert set(gaps(asked_s)) == {IDLE_EVERY_S}


def test_a_busy_board_writes_as_often_as_it_is_scraped(tmp_path: Path) -> None:
    asked_s = writes(tmp_path / "edged.prom", HOUR_S, asyncio.Event.set)
    assert set(gaps(asked_s)) == {BUSY_EVERY_S}


def test_without_the_folder_nothing_is_ever_collected(tmp_path: Path) -> None:
    assert writes(tmp_path / "missing" / "edged.prom", HOUR_S, asyncio.Event.set) == []


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "edged.prom"
    path.mkdir()  # a folder cannot be replaced by a file, not even by root
    writes(path, HOUR_S, lambda changed: None)
    assert len([record for record in caplog.records if str(path) in record.getMessage()]) == 1


def test_a_loop_that_is_too_busy_to_answer_costs_one_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "edged.prom"
    seen: list[bool] = []

    def look(changed: asyncio.Event) -> None:
        seen.append(path.exists())

    writes(path, 2 * IDLE_EVERY_S, look, silent_once=True)
    assert (seen[0], seen[-1]) == (False, True)
    assert caplog.records == []


def test_the_file_is_replaced_as_a_whole_and_readable_for_all(tmp_path: Path) -> None:
    path = tmp_path / "edged.prom"
    replace_file(path, b"old\n")
    with path.open("rb") as reader:
        replace_file(path, b"new\n")
        assert reader.read() == b"old\n"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new\n", 0o644)
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def daemon(
    broker: Mosquitto, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    sections = {"metrics": {"textfile": str(folder / "edged.prom"), "port": port}}
    with Daemon(folder, broker, sections=sections) as running:
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def sample(text: str, name: str, **labels: str) -> float | None:
    """Return a value, if the text has it."""
    return next(
        (
            one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == name and labels.items() <= one.labels.items()
        ),
        None,
    )


@pytest.mark.broker
def test_a_scrape_counts_what_has_just_happened(
    broker: Mosquitto, daemon: Daemon, port: int
) -> None:
    before = sample(scraped(port), "edged_outcomes_total", event="done") or 0.0
    with Asker(broker) as device:
        device.listen()
        device.ask({"template": "dock-event", "input": "truck at door 4"}, "p1")
        device.outcome("p1")
    wait_until(
        lambda: (sample(scraped(port), "edged_outcomes_total", event="done") or 0.0) == before + 1,
        "the outcome in the metrics",
    )
    text = scraped(port)
    assert sample(text, "edged_accepted_total") == before + 1
    assert (sample(text, "edged_outcome_joules_total", source="estimated") or 0.0) > 0
    assert sample(text, "edged_engine_ready") == 1
    assert sample(text, "edged_broker_connected") == 1


@pytest.mark.broker
def test_the_daemon_writes_the_file_as_it_starts(daemon: Daemon) -> None:
    path = daemon.state_dir / "edged.prom"
    wait_until(path.exists, str(path))
    assert sample(path.read_text(), "edged_build_info") == 1


@pytest.mark.broker
def test_a_real_board_shows_no_family_that_is_not_known(daemon: Daemon, port: int) -> None:
    shown = {family.name for family in text_string_to_metric_families(scraped(port))}
    known = {
        f"{name}_info" if kind == "info" else name
        for name, (kind, _) in families(busy_registry()).items()
    }
    assert shown - known == set()
    assert known - shown <= {"edged_temperature_celsius"}


@pytest.mark.broker
def test_the_port_is_open_on_loopback_alone(daemon: Daemon, port: int) -> None:
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in table if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


@pytest.mark.broker
@needs_promtool
def test_promtool_takes_what_a_real_daemon_exposes(daemon: Daemon, port: int) -> None:
    assert promtool("check", "metrics", given=scraped(port)) == ""


@pytest.mark.broker
def test_a_port_that_is_taken_stops_no_prompt(broker: Mosquitto, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sections = {
            "metrics": {"port": taken.getsockname()[1]},
            "node": {"state_dir": str(tmp_path), "name": "taken"},
        }
        with Daemon(tmp_path, broker, sections=sections) as daemon:
            daemon.wait_for_log("cannot be served: Address already in use")
            daemon.wait_for_log("connected to the broker")
