"""A row in the engine's batch, as dispatch keeps its books.

In:  a started row and its job.     Out: what it has used so far.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.spool.rows import Job, Row


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
