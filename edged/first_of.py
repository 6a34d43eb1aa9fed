"""Waits for the first of several things.

In:  coroutines.     Out: nothing; the others are cancelled. What one of them raises is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*news: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of these."""
    waits = [asyncio.ensure_future(one) for one in news]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
