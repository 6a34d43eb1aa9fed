"""How a list of rows is written in a prompt.

In: `[variables.<name>.rows]` of a template file, and the list that a device gave.
Out: compact JSON, its rows in the order and with the columns that the model was made for.
Pure. Does not know: the payload around it, tokens, MQTT.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edged.errors import Refusal

Place = Annotated[int, Field(ge=0)]
Row = list[object]


class TableForm(BaseModel):
    """What code can do for a model that reads a table.

    Attributes:
        columns: places of a given row that are written, in this order. A place may stand twice: a
            small model follows what it has found forwards, not back.
        sort_by: place of the number that the rows are sorted by, least first; rows with equal
            numbers keep their order. Unset: as they came.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    columns: list[Place] = Field(min_length=1)
    sort_by: Place | None = None

    def written(self, name: str, given: object) -> str:
        """Return the rows of the variable `name` as compact JSON.

        Raises:
            Refusal: `malformed`, what was given is no list of rows that this form can be read from.
        """
        if not isinstance(given, list):
            raise Refusal("malformed", f"input.{name}: must be a list of rows, each a list itself")
        rows = [self._row(f"input.{name}[{at}]", row) for at, row in enumerate(given)]
        if self.sort_by is not None:
            place = self.sort_by
            rows.sort(key=lambda row: _number(name, row, place))
        chosen = [[row[place] for place in self.columns] for row in rows]
        return json.dumps(chosen, ensure_ascii=False, separators=(",", ":"))

    def _row(self, name: str, row: object) -> Row:
        wanted = 1 + max([*self.columns, self.sort_by or 0])
        if not isinstance(row, list) or len(row) < wanted:
            raise Refusal("malformed", f"{name}: must be a list of at least {wanted} values")
        return row


def _number(name: str, row: Row, place: int) -> float:
    value = row[place]
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = f"value {place} of each row must be a number, rows are sorted by it"
        raise Refusal("malformed", f"input.{name}: {what}; got {json.dumps(value)[:40]}")
    return value
