"""`edged bench power --pauses` with a real engine process."""

from __future__ import annotations

import asyncio

import pytest

from edged.bench.pauses import PAUSES_S, TURNS, Paused, Spun, measured, table


def test_the_table_names_the_turns_that_edged_sets() -> None:
    pauses = tuple(Paused(length_s, 4, 0.001, 0.002) for length_s in PAUSES_S)
    lines = table([Spun(turns, 100.0, pauses) for turns in TURNS])
    assert [line.partition(" turns")[0] for line in lines[1:]] == [
        "0",
        "1,000",
        "10,000",
        "300,000",
    ]
    assert ["(edged)" in line for line in lines[1:]] == [False, True, False, False]


@pytest.mark.slow
@pytest.mark.model
def test_an_engine_that_waits_for_its_permit_uses_hardly_any_cpu_in_a_long_pause() -> None:
    found = asyncio.run(measured(1000, 2))
    longest = found.pauses[-1]
    assert (longest.pause_s, longest.pauses >= 2) == (0.5, True)
    assert longest.cpu_s < 0.05 * longest.pause_s
    assert found.tokens_cpu_s > 0
