"""`edged top`, driven by textual's own pilot: over a real broker from a real board."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edged.__main__ import main
from edged.config import Broker
from edged.live_figures import Batch, Ended, LiveFigures, LivePower, Pace
from edged.topics import Topics
from tests.broker import Mosquitto
from tests.daemon_fixtures import Asker, Daemon
from tests.mqtt_fixtures import DEADLINE_S

pytest.importorskip("textual_plotext", reason="the extra `top` is not installed")

from textual.pilot import Pilot
from textual.widgets import DataTable, Static
from textual_plotext import PlotextPlot

from edged.top.feed import Feed, read
from edged.top.view import Top

SIZE = (110, 40)
FIGURES = LiveFigures(
    node="edge-1",
    mode="serving",
    engine="ready",
    power=LivePower(mean_w=3.2, limit_w=4.0, peak_w=4.8, state="ok", source="metered"),
    tokens_per_s=Pace(prefill=210.5, decode=34.0),
    batch=Batch(running=3, sequences=32, context_tokens=1024),
    queue={"7": 2, "5": 9},
    temperature_c=61.0,
    last=(Ended(client="scanner-7", id="p17", event="done", total_s=0.412, j=0.31),),
)


def viewed(act: Callable[[Top, Pilot[None]], Any], feed: Feed) -> None:
    """Run the screen without a terminal, do something to it, and end it."""

    async def run() -> None:
        app = Top(feed)
        async with asyncio.timeout(DEADLINE_S), app.run_test(size=SIZE) as pilot:
            await act(app, pilot)

    asyncio.run(run())


def feed_of(port: int) -> Feed:
    broker = Broker.model_validate({"port": port, "reconnect_s_max": 0.5})
    return Feed(broker, Topics("dock", "edge-1"))


def text(app: Top, name: str) -> str:
    return str(app.query_one(name, Static).render())


def cells(app: Top, name: str) -> list[list[str]]:
    table = app.query_one(name, DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def test_figures_are_shown_in_words_tables_and_a_graph() -> None:
    async def act(app: Top, pilot: Pilot[None]) -> None:
        app.show(FIGURES)
        await pilot.pause()
        assert "3.2 W of 4 W, metered" in text(app, "#power")
        assert "61 degrees Celsius" in text(app, "#power")
        assert "34 tokens/s decode, 210.5 tokens/s prefill" in text(app, "#work")
        assert "batch 3 of 32, context 1024 tokens" in text(app, "#work")
        assert cells(app, "#queue") == [["7", "2"], ["5", "9"]]
        assert cells(app, "#last") == [["scanner-7", "p17", "done", "0.41", "0.310"]]
        graph = app.query_one("#watts", PlotextPlot).render()
        assert "budget" in str(graph)

    viewed(act, feed_of(9))


def test_markup_in_an_id_is_shown_as_it_is() -> None:
    async def act(app: Top, pilot: Pilot[None]) -> None:
        ended = Ended(client="[red]x[/red]", id="p1", event="done")
        app.show(FIGURES.model_copy(update={"last": (ended,)}))
        await pilot.pause()
        assert "[red]x[/red]" in app.export_screenshot()

    viewed(act, feed_of(9))


def test_without_a_broker_the_screen_says_why() -> None:
    async def act(app: Top, pilot: Pilot[None]) -> None:
        while "nothing listens on 127.0.0.1:9" not in app.sub_title:
            await pilot.pause(0.05)
        assert "no figures yet" in app.sub_title

    viewed(act, feed_of(9))


def test_q_ends_it() -> None:
    async def act(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        assert not app.is_running

    viewed(act, feed_of(9))


def test_without_a_terminal_it_says_what_there_is_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["top"]) == 1
    assert "edged status --json" in capsys.readouterr().err


def test_what_is_no_figures_is_left() -> None:
    assert read(b'{"node":"edge-1"}') is None
    assert read(b"\xff") is None
    assert read(FIGURES.model_dump_json().encode()[:-1] + b',"new":1}') == FIGURES


@pytest.mark.broker
@pytest.mark.model
def test_a_board_at_work_is_seen_from_another_machine(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Daemon(tmp_path / "board", broker) as daemon,
        Asker(broker, "dev") as device,
    ):
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")

        async def act(app: Top, pilot: Pilot[None]) -> None:
            while not text(app, "#power"):
                await pilot.pause(0.05)
            assert app.sub_title == "edged/v1/dock/edge-1"
            await asyncio.to_thread(device.ask, {"prompt": "pallet 4"}, "p1")
            while not any(row[1] == "p1" for row in cells(app, "#last")):
                await pilot.pause(0.05)
            assert next(row for row in cells(app, "#last") if row[1] == "p1")[0] == "dev"

        viewed(act, feed_of(broker.port))
