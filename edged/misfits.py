"""What pydantic has against data that others wrote, in words.

In:  a validation error.     Out: a line for each place that does not fit.
"""

from __future__ import annotations

from pydantic import ValidationError


def misfits(error: ValidationError) -> list[str]:
    """Return `key.key: why` for each place; the place of all of it is empty."""
    return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
