"""Target: a spool whose bytes a disk changed.

In:  bytes.     Out: nothing; an exception is a finding.
The rules: whatever the bytes are, the spool is served, or refused in words; of a spool with waiting
prompts every one is served whose page is whole, unless damage is in the pages that lead to all.
"""

from __future__ import annotations

import functools
import logging
import re
import sqlite3
from collections.abc import Iterator

from edged.bench.delivery.spool_view import fill
from edged.errors import ConfigError, SpoolDamaged
from edged.spool.disk import fault_of
from edged.spool.rows import Job
from edged.spool.table import Table
from tools.fuzz.files import folder
from tools.fuzz.mutate import overwritten
from tools.fuzz.target import Target

WAITING = 5
PAGE_BYTES = 4096
# The topic of a waiting prompt: in its row and nowhere else.
_ROW = re.compile(rb"/res/client-[0-9]+/new-[0-9]+")


def check_spool(data: bytes) -> None:
    """Take bytes as a spool: what can be read of it is served, whatever the rest is."""
    least, served = promised(data), served_of(data)
    assert served >= least, f"{served} prompts are served, {least} lie in whole pages"


def served_of(data: bytes) -> int:
    """Return how many waiting prompts a spool of these bytes serves; 0 where it is refused."""
    own = folder() / "spool"
    own.mkdir(exist_ok=True)
    for leftover in own.iterdir():
        leftover.unlink()
    (own / "spool.db").write_bytes(data)
    logging.disable(logging.CRITICAL)
    try:
        return _read_all(Table(own / "spool.db"))
    except (ConfigError, SpoolDamaged):
        return 0
    except (sqlite3.Error, OSError) as error:
        if fault_of(error) is None:
            raise
        return 0
    finally:
        logging.disable(logging.NOTSET)


def promised(data: bytes) -> int:
    """Return how many prompts these bytes must serve at least."""
    whole = spools()[0]
    if len(data) != len(whole):
        return 0
    damaged = {page for page in pages(whole) if _page(whole, page) != _page(data, page)}
    if damaged & leading():
        return 0
    places = (found.start() // PAGE_BYTES for found in _ROW.finditer(whole))
    return sum(page not in damaged for page in places)


def pages(data: bytes) -> range:
    """Return the pages of a spool, from 0."""
    return range(len(data) // PAGE_BYTES)


def _page(data: bytes, page: int) -> bytes:
    return data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]


@functools.cache
def leading() -> frozenset[int]:
    """Return the pages without which nothing is found: the file's first, and the table's root."""
    path = folder() / "roots.db"
    path.write_bytes(spools()[0])
    database = sqlite3.connect(path)
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'prompt'")
    database.close()
    return frozenset([0, root - 1])


@functools.cache
def spools() -> tuple[bytes, ...]:
    """Return the bytes of a spool with rows in each state, and of an empty one."""
    return tuple(_spools())


def _spools() -> Iterator[bytes]:
    for waiting, delivered in ((WAITING, 5), (0, 0)):
        own = folder() / f"seed-{waiting}"
        fill(own, waiting=waiting, delivered=delivered)
        yield (own / "spool.db").read_bytes()


def _read_all(table: Table) -> int:
    try:
        table.recover(deadlines_certain=True)
        rows = table.unfinished()
        for row in rows:
            jobs = table.start([row.serial])
            assert all(isinstance(job, Job) for job in jobs.values())
        table.letters(0, 64)
        return len(rows)
    finally:
        table.abandon()


TARGETS = (Target("spool", check_spool, share=0.02, further=spools, change=overwritten),)
