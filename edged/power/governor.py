"""The limits that the engine runs under.

In:  the configuration; later the meter and the forecast.     Out: `Grant`, renewed with each lease.
This is the seam of the power law: today the grant is what the configuration says, the budget is
shown and not held, and `state` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged import config
from edged.engine.frames import Ready


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be used from the next step on; `throttled` names the reason when it is less."""

    context_tokens: int
    sequences: int
    throttled: str | None = None


def grant(model: config.Model, ready: Ready) -> Grant:
    """Return what the engine may use: the configuration, within what the engine can hold."""
    return Grant(
        context_tokens=min(model.context_tokens, ready.context_tokens),
        sequences=min(model.sequences, ready.sequences),
    )
