"""What a board tells while somebody watches: one message, a few times a second.

In:  JSON of the topic `live`.     Out: the same as types, and back.
Pure. Keys that a newer board says too are ignored.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class LivePower(_Part):
    """Watts against the budget; as `power` of the state."""

    mean_w: float
    limit_w: float
    peak_w: float
    state: str
    source: str


class Pace(_Part):
    """Tokens a second, over the last seconds."""

    prefill: float
    decode: float


class Batch(_Part):
    """Prompts that run, how many may at most, and how long each may get."""

    running: int
    sequences: int
    context_tokens: int


class Ended(_Part):
    """An outcome: whose, which, seconds from its acceptance and joules above idle."""

    client: str
    id: str
    event: str
    total_s: float | None = None
    j: float | None = None


class LiveFigures(_Part):
    """One message.

    Attributes:
        queue: priority as text -> prompts that wait.
        last: outcomes, the newest first.
    """

    node: str
    mode: str
    engine: str
    power: LivePower
    tokens_per_s: Pace
    batch: Batch
    queue: dict[str, int]
    temperature_c: float | None
    last: tuple[Ended, ...]
