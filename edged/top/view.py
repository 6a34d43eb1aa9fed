"""The screen of `edged top`.

In:  figures of a feed.     Out: watts against the budget as a graph, pace, batch, queue, outcomes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import DataTable, Footer, Header, Static
from textual_plotext import PlotextPlot

from edged.live_figures import Ended, LiveFigures
from edged.top.feed import Feed

# Two minutes of messages.
HISTORY = 240
# Without a message for so long the figures are old.
OLD_S = 3.0


class Top(App[None]):
    """One board, live; `q` ends it."""

    TITLE = "edged top"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit")]
    CSS = """
    #watts { height: 1fr; min-height: 8; }
    #now { height: 4; }
    #now Static { width: 1fr; padding: 0 1; }
    #tables { height: 11; }
    #queue { width: 24; }
    """

    def __init__(self, feed: Feed, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._feed = feed
        self._clock = clock
        self._seen_s: float | None = None
        self._history: deque[tuple[float, float, float]] = deque(maxlen=HISTORY)

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Header()
        yield PlotextPlot(id="watts")
        with Horizontal(id="now"):
            yield Static(id="power", markup=False)
            yield Static(id="work", markup=False)
        with Horizontal(id="tables"):
            yield DataTable(id="queue", cursor_type="none")
            yield DataTable(id="last", cursor_type="none")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self.query_one("#queue", DataTable).add_columns("priority", "waiting")
        self.query_one("#last", DataTable).add_columns("client", "id", "event", "seconds", "joules")
        self._say_age()
        self.set_interval(1.0, self._say_age)
        self.run_worker(self._feed.run(self.show), name="feed")

    def show(self, figures: LiveFigures) -> None:
        """Put figures on the screen."""
        self._seen_s = self._clock()
        self._history.append((self._seen_s, figures.power.mean_w, figures.power.limit_w))
        self._say_age()
        self._draw_watts()
        self.query_one("#power", Static).update(power_lines(figures))
        self.query_one("#work", Static).update(work_lines(figures))
        waiting = [(name, str(count)) for name, count in figures.queue.items()]
        self._fill("#queue", waiting or [("-", "0")])
        self._fill("#last", [ended_cells(one) for one in figures.last])

    def _fill(self, name: str, rows: Iterable[tuple[str, ...]]) -> None:
        table = self.query_one(name, DataTable)
        table.clear()
        for row in rows:
            table.add_row(*map(Text, row))  # as it is: a plain str would be read as markup

    def _draw_watts(self) -> None:
        widget = self.query_one("#watts", PlotextPlot)
        now_s = self._history[-1][0]
        ago = [at_s - now_s for at_s, _, _ in self._history]
        mean_w = [mean for _, mean, _ in self._history]
        limit_w = [limit for _, _, limit in self._history]
        plot = widget.plt
        plot.clear_data()
        plot.plot(ago, mean_w, label="watts", marker="braille")
        plot.plot(ago, limit_w, label="budget", marker="braille")
        plot.ylim(0, 1.1 * max(*mean_w, *limit_w))
        plot.xlabel("seconds")
        widget.refresh()

    def _say_age(self) -> None:
        """Say whose figures these are, and when they are old why."""
        age_s = None if self._seen_s is None else self._clock() - self._seen_s
        if age_s is not None and age_s < OLD_S:
            self.sub_title = self._feed.board
            return
        since = "no figures yet" if age_s is None else f"no figures for {age_s:.0f} s"
        why = self._feed.problem or "is the board on?"
        self.sub_title = f"{self._feed.board}: {since}; {why}"


def power_lines(figures: LiveFigures) -> str:
    """Return watts, budget and heat in words."""
    power, heat = figures.power, figures.temperature_c
    degrees = "no sensor" if heat is None else f"{heat:g} degrees Celsius"
    return "\n".join(
        [
            f"{power.mean_w:g} W of {power.limit_w:g} W, {power.source}",
            f"peak {power.peak_w:g} W, budget {power.state}",
            degrees,
        ]
    )


def work_lines(figures: LiveFigures) -> str:
    """Return pace, batch and context in words."""
    pace, batch = figures.tokens_per_s, figures.batch
    return "\n".join(
        [
            f"{pace.decode:g} tokens/s decode, {pace.prefill:g} tokens/s prefill",
            f"batch {batch.running} of {batch.sequences}, context {batch.context_tokens} tokens",
            f"{figures.mode}; engine: {figures.engine}",
        ]
    )


def ended_cells(one: Ended) -> tuple[str, ...]:
    """Return a row of the table of outcomes."""
    seconds = "-" if one.total_s is None else f"{one.total_s:.2f}"
    joules = "-" if one.j is None else f"{one.j:.3f}"
    return one.client, one.id, one.event, seconds, joules
