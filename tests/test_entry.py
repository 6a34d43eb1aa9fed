"""Quotas at the spool's door: who is taken, and when the same prompt would be."""

from __future__ import annotations

from pathlib import Path

from edged.config.tables import Quota
from edged.entry import Entry
from edged.errors import Refusal
from edged.grants import Grants
from edged.line import Line
from edged.quota import Quotas
from edged.spool.queue import Spool
from tests.prompt_fixtures import candidate
from tests.spool_fixtures import fresh, in_spool


class Unheld(Grants):
    """No power budget is held."""

    def __init__(self) -> None:
        """Know no engine."""


def entry(spool: Spool, quota: Quota) -> tuple[Entry, Line]:
    """Return a spool's door, where each client has this quota, and the line behind it."""
    line = Line(spool, Unheld())
    return Entry(spool, line, Quotas(lambda client: quota, spool.clock.now_s)), line


def test_a_client_over_its_number_waits_for_a_round_of_all_clients(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        door, line = entry(spool, Quota(outstanding_max=1))
        waiting = [candidate("p", client=f"c{number}") for number in range(100)]
        rows = await fresh(spool, *waiting)
        line.learn(rows[0], 1.0, 0.2)
        (judged,) = await door.judge([candidate("new", client="c0")], 10)
        assert isinstance(judged, Refusal)
        assert judged.retry_after_s == 2  # a hundred answers of 0.2 s, ten at a time

    in_spool(tmp_path, scenario)
