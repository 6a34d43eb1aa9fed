"""What waits for several things hears of a cancel, whatever happens at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from edged.all_of import all_of
from edged.errors import BrokerGone


@pytest.mark.parametrize("turns", range(6))
def test_a_cancel_is_heard_where_an_error_comes_with_it(turns: int) -> None:
    async def cancelled_beside_an_error() -> bool:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(all_of(_waits_for(gone), asyncio.Event().wait()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone.set_exception(BrokerGone("the connection has ended"))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled_beside_an_error())


def test_an_error_is_told_when_all_have_ended() -> None:
    ended: list[str] = []

    async def ends() -> None:
        await asyncio.sleep(0)
        ended.append("the other")

    async def fails() -> None:
        raise BrokerGone("the connection has ended")

    with pytest.raises(BrokerGone):
        asyncio.run(all_of(fails(), ends()))
    assert ended == ["the other"]


def test_nothing_to_wait_for_is_no_wait() -> None:
    asyncio.run(all_of())


async def _waits_for(future: asyncio.Future[None]) -> None:
    await future
