"""What prompts get of context and sequences within the power budget, and whether in time.

In:  tokens and deadlines of prompts, the engine's size, the governor's forecast.     Out: `Grant`
for the engine, `Granted` for a prompt, None where nobody forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping

from edged import config
from edged.costs import Counted
from edged.engine.client import EngineClient
from edged.power.governor import Governor, Grant
from edged.power.grant import Ask, Granted
from edged.scheduler import Queued, next_rows
from edged.spool.unfinished import Flow, FlowRows

# So many waiting rows are forecast, those that start next, each time that one can start.
FORECAST_ROWS = 32


class Grants:
    """The engine's size, shared out."""

    def __init__(self, model: config.Model, engine: EngineClient, power: Governor) -> None:
        self._model = model
        self._engine = engine
        self._power = power

    @property
    def whole(self) -> Grant:
        """Return all that there is: the configuration, within what the engine can hold."""
        model, ready = self._model, self._engine.state.ready
        context_tokens, sequences = model.context_tokens, model.sequences
        if ready is not None:
            context_tokens = min(context_tokens, ready.context_tokens)
            sequences = min(sequences, ready.sequences)
        return self._power.grant(context_tokens, sequences)

    @property
    def hopeless(self) -> str | None:
        """Return why the power budget lets nothing run at all; None where it lets something."""
        return self._power.refusal

    def granted(self, counted: Counted, left_s: float, ahead: int) -> Granted | None:
        """Return what a prompt would get; None while nothing is held or its tokens are unknown.

        Args:
            counted: the prompt.
            left_s: seconds until its deadline.
            ahead: so many prompts run or would run before it.
        """
        if not self._power.forecasts:
            return None
        if counted.prompt_tokens is None or counted.answer_tokens is None:
            return None
        ask = Ask(counted.prompt_tokens, counted.answer_tokens, left_s, is_trimmable=False)
        return self._power.granted(ask, self.whole, ahead)

    def next(self, flows: Mapping[Flow, FlowRows], queued: Queued) -> dict[int, Granted]:
        """Return what the waiting rows that start next would get if they ran now, where known."""
        if not self._power.forecasts:
            return {}
        found = {
            row.serial: self.granted(row, row.deadline_s - queued.now_s, 0)
            for row in next_rows(flows, queued, FORECAST_ROWS)
        }
        return {serial: granted for serial, granted in found.items() if granted is not None}


def late_of(grants: Mapping[int, Granted]) -> frozenset[int]:
    """Return the rows that would not be answered in time."""
    return frozenset(serial for serial, granted in grants.items() if not granted.context_tokens)
