"""What a template takes as the value of a variable: how long it may be, and of which characters.

In:  a variable's table of the template file, a value.     Out: nothing, or a refusal.
Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edged.errors import Refusal

PRINTABLE = "printable"
# What people write between words and lines.
_LAYOUT = "\n\r\t"


def _characters(value: str) -> str:
    if value == PRINTABLE:
        return value
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"no character class: {error}") from error
    if not (value.startswith("[") and value.endswith("]")):
        raise ValueError(f'"{PRINTABLE}", or a character class such as "[A-Z0-9 -]"')
    return value


class Bounds(BaseModel):
    """Bounds of one variable.

    Attributes:
        chars_max: longest text.
        characters: `printable`, which leaves out control and invisible characters but for line
            ends and tabs; or a character class of Python's regular expressions.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    chars_max: int | None = Field(None, ge=1)
    characters: Annotated[str, AfterValidator(_characters)] | None = None

    def check(self, name: str, text: str) -> None:
        """Let a value pass.

        Raises:
            Refusal: `malformed`, with what the template takes.
        """
        if self.chars_max is not None and len(text) > self.chars_max:
            raise Refusal(
                "malformed", f"input.{name}: {len(text)} characters; at most {self.chars_max}"
            )
        place = next((at for at, one in enumerate(text) if not self._takes(one)), None)
        if place is not None:
            raise Refusal(
                "malformed",
                f"input.{name}: character {place + 1} is U+{ord(text[place]):04X}; allowed: "
                f"{self.characters}",
            )

    def _takes(self, one: str) -> bool:
        if self.characters is None:
            return True
        if self.characters == PRINTABLE:
            # Source: Unicode, general categories: C are control, format, private, unassigned.
            return one in _LAYOUT or not unicodedata.category(one).startswith("C")
        # One character at a time: no pattern can take long over it.
        return re.fullmatch(self.characters, one) is not None
