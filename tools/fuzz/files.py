"""Targets: files that a person, a disk or a download wrote: configuration, spool, model.

In:  bytes.     Out: nothing; an exception is a finding.
"""

from __future__ import annotations

import functools
import logging
import os
import sqlite3
import tempfile
from pathlib import Path

from edged import config
from edged.bench.delivery.spool_view import fill
from edged.engine.gguf_file import read_header
from edged.engine.memory import check_fits
from edged.errors import ConfigError, EngineUnusable, SpoolDamaged
from edged.site import site_of
from edged.spool.disk import fault_of
from edged.spool.rows import Job
from edged.spool.table import Table
from tools.fuzz.target import Target


@functools.cache
def folder() -> Path:
    """Return a folder for the files, gone with the process."""
    # Where there is one, no disk has to wait for each input; unless somebody names a place.
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and "TMPDIR" not in os.environ else None
    made = tempfile.TemporaryDirectory(prefix="edged-fuzz-", dir=parent)
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def check_config(data: bytes) -> None:
    """Take bytes as a configuration: it is wrong in words, or a board can be made of it."""
    path = folder() / "edged.toml"
    path.write_bytes(data)
    try:
        settings = config.load(path)
        if settings.model.path is None and settings.model.templates_dir is None:
            site_of(settings)
    except ConfigError:
        return


def check_gguf(data: bytes) -> None:
    """Take bytes as a model: it is refused in words, or its memory can be told."""
    path = folder() / "model.gguf"
    path.write_bytes(data)
    try:
        header = read_header(path)
        check_fits(header, path, n_cells=1024, n_batch=64, n_sequences=4)
    except EngineUnusable:
        return


def check_spool(data: bytes) -> None:
    """Take bytes as a spool: what can be read of it is served, whatever the rest is."""
    own = folder() / "spool"
    own.mkdir(exist_ok=True)
    for leftover in own.iterdir():
        leftover.unlink()
    (own / "spool.db").write_bytes(data)
    logging.disable(logging.CRITICAL)
    try:
        _read_all(own / "spool.db")
    except (ConfigError, SpoolDamaged):
        return
    except (sqlite3.Error, OSError) as error:
        if fault_of(error) is None:
            raise
    finally:
        logging.disable(logging.NOTSET)


def spools() -> list[bytes]:
    """Return the bytes of a spool with rows in each state, and of an empty one."""
    found = []
    for waiting, delivered in ((5, 5), (0, 0)):
        own = folder() / f"seed-{waiting}"
        fill(own, waiting=waiting, delivered=delivered)
        found.append((own / "spool.db").read_bytes())
    return found


def _read_all(path: Path) -> None:
    table = Table(path)
    try:
        table.recover(deadlines_certain=True)
        for row in table.unfinished():
            jobs = table.start([row.serial])
            assert all(isinstance(job, Job) for job in jobs.values())
        table.letters(0, 64)
    finally:
        table.abandon()


_TABLES = tuple(
    f"\n[{name}]\n".encode()
    for name in ("node", "broker", "model", "engine", "spool", "power", "clients.a", "[input]")
)
_KEYS = (b'name = "', b'topic = "', b"budget_w = ", b'client = "{1}"\n', b'template = "dock-event"')
_GGUF = (
    *(b"GGUF", b"general.architecture", b"general.alignment", b"llama.block_count"),
    *(kind.to_bytes(4, "little") for kind in range(13)),
)

TARGETS = (
    Target("config", check_config, (*_TABLES, *_KEYS), share=0.6),
    Target("gguf", check_gguf, _GGUF, share=1.0),
    Target("spool", check_spool, share=0.01, further=spools),
)
