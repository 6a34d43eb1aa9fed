"""A meter that fails costs no answer, clients that ask all the time get the same joules, and a
budget that lets few share the batch starves nobody.

Method: the whole daemon in virtual time; what the meter and the clients do is written out.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.turns import AGE_S
from tests.simulation_fixtures import LONG, ask, played
from tools.simulation.meter import FAILURES, Failure
from tools.simulation.observer import BOARD, Asked
from tools.simulation.world import World

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine


@pytest.mark.parametrize("failure", FAILURES)
def test_a_meter_that_fails_is_not_believed_and_prompts_are_answered(failure: Failure) -> None:
    async def play(world: World) -> None:
        async def answered(id: str) -> None:
            asked = ask(world, id, schema=LONG)
            await world.passing(20.0)
            assert asked.event == "done"

        await answered("before")
        assert power_of(world)["meter_fault"] is None
        world.meter.failure = failure
        for number in range(4):
            await answered(f"p-{number}")
        assert power_of(world)["meter_fault"] is not None
        world.meter.failure = None
        await answered("after")
        await answered("and-told")
        assert power_of(world)["meter_fault"] is None

    played(play, is_metered=True)


def power_of(world: World) -> dict[str, Any]:
    """Return what the board last said of its power."""
    state = json.loads(world.broker.retained[f"{BOARD}/state"].message.payload)
    found: dict[str, Any] = state["power"]
    return found


@pytest.mark.parametrize(
    "cheap",
    [
        pytest.param({"type": "string", "minLength": 50, "maxLength": 50}, id="shorter"),
        pytest.param({"type": "string", "maxLength": 200}, id="shorter than forecast"),
    ],
)
def test_clients_that_ask_all_the_time_get_the_same_joules(cheap: dict[str, object]) -> None:
    schemas = {"dear": LONG, "cheap": cheap}

    async def play(world: World) -> None:
        asked = {
            client: [ask(world, f"{client}-{n}", client=client, schema=schema) for n in range(130)]
            for client, schema in schemas.items()
        }
        while sum(len(one.outcomes) for own in asked.values() for one in own) < 120:
            await world.passing(0.1)
        joules = {client: list(map(joules_of, own)) for client, own in asked.items()}
        dearest_j = max(joules["dear"])
        assert dearest_j > 3 * max(joules["cheap"])
        assert all(0.0 in own for own in joules.values()), "both still ask"
        # Four run at a time, and what the first ten or so take is not known before they end.
        assert abs(sum(joules["dear"]) - sum(joules["cheap"])) <= 12 * dearest_j

    played(play)


def joules_of(asked: Asked) -> float:
    """Return the joules that a prompt's outcome tells; 0 without one."""
    return sum(float(json.loads(body)["energy"]["j"]) for body in asked.outcomes)


def test_a_prompt_that_the_budget_makes_sit_out_has_risen_before_its_deadline() -> None:
    async def play(world: World) -> None:
        for number in range(6):  # what an answer takes is learned
            ask(world, f"warm-{number}", schema=LONG)
        await world.passing(40.0)
        patient = ask(world, "patient", schema=LONG, priority=5, ttl_s=300)
        await world.passing(0.3)
        urgent: list[Asked] = []
        fewest, began_s = 99, world.loop.time()
        while not patient.event:
            if sum(not one.event for one in urgent) < 2:
                name = f"urgent-{len(urgent)}"
                urgent.append(ask(world, name, client="b", schema=LONG, priority=7, ttl_s=14))
            await world.passing(0.1)
            fewest = min(fewest, sequences_of(world))
        assert fewest == 2, "the budget lets no more share the batch"
        assert patient.event == "done"
        assert world.loop.time() - began_s > 2 * AGE_S, "until then it sat out"
        assert {one.event for one in urgent} == {"done", ""}

    played(play, is_metered=True)


def sequences_of(world: World) -> int:
    """Return how many share the batch, as the board last said."""
    state = json.loads(world.broker.retained[f"{BOARD}/state"].message.payload)
    found: int = state["limits"]["sequences"]
    return found
