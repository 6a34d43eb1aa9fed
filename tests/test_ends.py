"""Prompts that end before they start: written in groups, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from edged.ends import GROUP_MAX, End, Ends
from tests.prompt_fixtures import row


def played(scenario: Callable[[Ends, list[list[End]]], Awaitable[None]]) -> list[list[End]]:
    """Play on a disk that takes every group; return the groups."""
    groups: list[list[End]] = []

    async def settle(ends: Collection[End]) -> None:
        await asyncio.sleep(0)
        groups.append(list(ends))

    async def whole() -> None:
        ends = Ends(settle)
        running = asyncio.create_task(ends.run())
        await scenario(ends, groups)
        running.cancel()

    asyncio.run(whole())
    return groups


def test_what_ends_together_is_written_in_groups() -> None:
    serials = range(1, 3 * GROUP_MAX)

    async def scenario(ends: Ends, _: list[list[End]]) -> None:
        for serial in serials:
            ends.put(row(serial), "expired")
        await ends.written(serials)

    groups = played(scenario)
    assert [len(group) for group in groups] == [GROUP_MAX, GROUP_MAX, GROUP_MAX - 1]
    assert [end.row.serial for group in groups for end in group] == list(serials)


def test_the_first_event_of_a_prompt_stays() -> None:
    async def scenario(ends: Ends, _: list[list[End]]) -> None:
        ends.put(row(1), "cancelled")
        ends.put(row(1), "expired")
        await ends.written([1])

    assert played(scenario) == [[End(row(1), "cancelled")]]


def test_who_waits_for_some_waits_for_no_others() -> None:
    async def scenario(ends: Ends, groups: list[list[End]]) -> None:
        for serial in range(GROUP_MAX + 1):
            ends.put(row(serial), "cancelled")
        assert 0 in ends
        await ends.written([0])
        assert 0 not in ends
        assert GROUP_MAX in ends
        assert len(groups) == 1
        await ends.written([GROUP_MAX])

    assert len(played(scenario)) == 2
