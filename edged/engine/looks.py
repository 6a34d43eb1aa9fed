"""What looks like a special token, in text that a device wrote.

In:  text.     Out: whether, and where. Pure.
"""

from __future__ import annotations

import re

# `<|im_end|>`, `<start_of_turn>`, `</s>`, `[INST]`: what vocabularies call their special tokens.
SPECIAL = re.compile(r"([<\[])(?=[|\uff5c]|/?[A-Za-z_][\w.\-]*[|\uff5c]?[>\]])")


def looks_special(text: str) -> bool:
    """Return whether a text begins as special tokens do."""
    return SPECIAL.match(text) is not None
