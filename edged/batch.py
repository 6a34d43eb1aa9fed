"""A row in the engine's batch, as dispatch keeps its books.

In:  a started row and its job.     Out: what it has used so far; how many share the batch's steps.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from edged.spool.rows import Job, Row
from edged.turns import aged

_ID = re.compile(r"-?[0-9]{1,19}")


@dataclass(slots=True)
class Running:
    """A row in the engine's batch, and what it has used so far.

    Attributes:
        forecast_j: what its client's turn was charged with.
        sequences: how many may share the batch with it so that it is in time; None: any.
    """

    row: Row
    job: Job
    started_s: float
    forecast_j: float
    joules: float = 0.0
    sequences: int | None = None
    chunks: int = 0
    throttled: str | None = None
    stopped_as: str | None = None


def together(batch: Collection[Running], most: int, now_s: float) -> int:
    """Return how many of a batch share its steps: so few that the most urgent are in time.

    The engine has the others sit out, the least urgent first, by the priority that they were asked
    with. It does not see them rise. So whoever has risen to the most urgent is counted in here:
    else it would sit out for as long as these keep coming.
    """
    top = max((one.row.priority for one in batch), default=0)
    urgent = [one.sequences for one in batch if one.row.priority == top]
    fewest = min((one for one in urgent if one is not None), default=most)
    risen = [one.row.priority for one in batch if one.row.priority < top <= aged(one.row, now_s)]
    counted = sum(one.row.priority >= min(risen) for one in batch) if risen else 0
    return min(most, max(fewest, counted))


def is_id(text: str) -> bool:
    """Return whether the engine can have been given this id: a row's, or one below 0."""
    return _ID.fullmatch(text) is not None
