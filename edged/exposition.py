"""The way of the metrics out of the process: a file for node_exporter, a loopback port, or both.

In:  the registry of `metrics`, the figures of `status`.     Out: a `.prom` file that is replaced as
a whole; HTTP on 127.0.0.1.
Neither costs an idle board more than one write a minute. Collecting runs in a thread, which asks
the event loop for the board's figures, so that nothing is read while it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from edged import config
from edged.metrics import BoardCollector, Figures

log = logging.getLogger(__name__)

# As often as Prometheus usually scrapes, while there is something new.
BUSY_EVERY_S = 15.0
# So that a file that stands still means a daemon that does not run (`node_textfile_mtime_seconds`).
IDLE_EVERY_S = 60.0
# The event loop answers between two steps of its own; a scrape does not wait longer.
FIGURES_S_MAX = 5.0
LOOPBACK = "127.0.0.1"


class Exposition:
    """Shows the metrics until it is cancelled.

    Args:
        settings: where they go.
        registry: what is counted; what the board shows is added to it.
        changed: set when something was counted.
        figures: what the board shows now; called on the event loop.
    """

    def __init__(
        self,
        settings: config.Metrics,
        registry: CollectorRegistry,
        changed: asyncio.Event,
        figures: Callable[[], Figures],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._changed = changed
        self._figures = figures
        self._problem: str | None = None

    async def run(self) -> None:
        """Serve and write."""
        self._registry.register(BoardCollector(self._asking(), self._figures().joules))
        async with self._serving():
            await self._keep_writing()

    def _asking(self) -> Callable[[], Figures]:
        """Return what a thread asks for the figures of now."""
        loop, own_thread = asyncio.get_running_loop(), threading.get_ident()

        def ask() -> Figures:
            if threading.get_ident() == own_thread:  # simulated time has no other thread
                return self._figures()
            return asyncio.run_coroutine_threadsafe(figures(), loop).result(FIGURES_S_MAX)

        async def figures() -> Figures:
            return self._figures()

        return ask

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """Serve on the port, if one is given and free; prompts are answered without it."""
        port = self._settings.port
        if port is None:
            yield
            return
        try:
            server = await asyncio.to_thread(_listening, port, self._registry)
        except OSError as error:
            log.warning("metrics: port %d cannot be served: %s", port, error.strerror)
            yield
            return
        # The loop waits for scrapes with everything else: the library's own thread wakes twice a
        # second. Each scrape is then answered in a thread of its own.
        loop = asyncio.get_running_loop()
        loop.add_reader(server, server.handle_request)
        try:
            yield
        finally:
            loop.remove_reader(server)
            server.server_close()

    async def _keep_writing(self) -> None:
        path = self._settings.path
        if not path.parent.is_dir():
            log.info("metrics: no file, since there is no folder %s", path.parent)
            await asyncio.Event().wait()
        while True:
            self._changed.clear()
            await asyncio.to_thread(self._write, path)
            await self._next_write()

    async def _next_write(self) -> None:
        loop = asyncio.get_running_loop()
        written_s = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_EVERY_S):
                await self._changed.wait()
        await asyncio.sleep(written_s + BUSY_EVERY_S - loop.time())

    def _write(self, path: Path) -> None:
        """Replace the file; what stands in the way is said once, and tried again."""
        try:
            replace_file(path, generate_latest(self._registry))
        except TimeoutError:
            return  # the loop was busy for too long; the file's age tells
        except OSError as error:
            problem = f"{path}: {error.strerror}"
            if problem != self._problem:
                log.warning("metrics: %s; edged needs to write in %s", problem, path.parent)
            self._problem = problem
        else:
            self._problem = None


class _Scrape(WSGIRequestHandler):
    """A scrape, of which nobody wants a log line."""

    def log_message(self, format: str, *args: object) -> None:
        """Write none."""


def _listening(port: int, registry: CollectorRegistry) -> WSGIServer:
    """Return a server that takes the next scrape when it is told; it looks up its own name.

    Raises:
        OSError: the port is not free.
    """
    app = make_wsgi_app(registry)
    server = make_server(LOOPBACK, port, app, ThreadingWSGIServer, handler_class=_Scrape)
    server.timeout = 0
    return server


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole, readable for everyone: node_exporter is another user.

    No fsync: after a power cut the next write brings it back.
    """
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(path)
