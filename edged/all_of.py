"""Waits for several things, and hears of a cancel meanwhile.

In:  coroutines.     Out: nothing, or what one of them raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def all_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Wait until all of these have ended.

    Raises:
        Exception: as the first of them that failed.
    """
    # Else `gather` tells the first error at once, and alone: a cancel of the same moment is lost.
    for found in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
