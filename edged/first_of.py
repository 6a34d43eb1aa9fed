"""Waits for the first of several things, or for all of them.

In:  coroutines.     Out: nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*news: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of these, and cancel the others; what one of them raises is not told."""
    waits = [asyncio.ensure_future(one) for one in news]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def all_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Wait until all of these have ended.

    Raises:
        Exception: as the first of them that failed.
    """
    # Else `gather` tells the first error at once, and alone: a cancel of the same moment is lost.
    for found in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
