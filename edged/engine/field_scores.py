"""How sure the model was of each top-level field of its answer.

In:  the answer's JSON as it is told, token by token, and the log probability of each token that
the model chose.     Out: one `FieldScore` per top-level key, in the answer's order.
Pure. A token counts for the fields on whose values it writes; what ends a number counts for that
number, keys and the punctuation between values for none. The told text is the object in both wire
forms, so both are read here alike. An answer that is no object has no fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edged.engine.frames import FieldScore


@dataclass(slots=True)
class _Tally:
    """What was chosen for one field."""

    log_p_sum: float = 0.0
    log_p_min: float = 0.0
    is_closed: bool = False

    def add(self, log_p: float) -> None:
        self.log_p_sum += log_p
        self.log_p_min = min(self.log_p_min, log_p)


class FieldScores:
    """Follows one answer.

    `told` is always compact JSON, cut anywhere; it is empty where a token ends inside a character.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        self._field: str | None = None
        self._key = ""
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def chosen(self, told: str, log_p: float) -> None:
        """Take a token in that the model chose."""
        for name in self._written(told):
            self._tallies[name].add(log_p)

    def forced(self, told: str) -> None:
        """Take a token in that the schema left no choice about."""
        self._written(told)

    def closed(self, told: str) -> None:
        """Take a token in that closes the answer at its cap."""
        for name in self._written(told):
            self._tallies[name].is_closed = True

    def scores(self) -> tuple[FieldScore, ...]:
        """Return the fields so far."""
        return tuple(
            FieldScore(name, tally.log_p_sum, tally.log_p_min, is_closed=tally.is_closed)
            for name, tally in self._tallies.items()
        )

    def _written(self, told: str) -> dict[str, None]:
        """Follow `told`; return the fields whose values it writes on, or ends."""
        names = dict.fromkeys([self._field] if self._field is not None else [])
        for character in told:
            if self._field is not None:
                names[self._field] = None
            self._follow(character)
        return names

    def _follow(self, character: str) -> None:
        if self._is_in_string:
            self._follow_string(character)
        elif character == '"':
            self._is_in_string, self._key = True, character
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1
            self._end_value()
        elif character == "," and self._depth == 1:
            self._field = None
        elif character == ":" and self._depth == 1:
            self._field = json.loads(self._key)
            self._tallies[self._field] = _Tally()

    def _follow_string(self, character: str) -> None:
        if self._field is None:
            self._key += character
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._is_in_string = False
            self._end_value()

    def _end_value(self) -> None:
        if self._depth <= 1:
            self._field = None
