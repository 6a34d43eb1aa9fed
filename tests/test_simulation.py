"""The whole daemon in virtual time keeps its promises, whatever a seed has go wrong.

Method: `tools.simulation` draws devices and faults from a seed; an observer outside looks at the
broker's traffic, the engine's work and the spool's file at each event. A seed that fails is told
line by line with `tools/simulate --seeds N --trace`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edged.answers import Answers
from edged.contract import Outbound
from edged.engine.client import KILL_S_MAX
from edged.engine.patience import HANG_S, Patience
from edged.mqtt import Delivery, Session
from edged.outbox import WINDOW
from edged.spool.rows import Letter
from tools.simulation.devices import SCHEMA
from tools.simulation.engine import CRASHES, HANGS
from tools.simulation.meter import FAILURES, Failure
from tools.simulation.observer import BOARD, CORRELATION, Asked
from tools.simulation.seeds import BATCH, run_seed
from tools.simulation.wire import Message
from tools.simulation.world import Found, World, simulate

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine
ROOT = Path(__file__).parent.parent
MINUTES = 0.3
# A renewal of the lease looks at the silence, twice a second.
LOOK_S = 0.5
STEP_S_MAX = 0.5
# Takes 0.4 s, so that something can happen meanwhile.
LONG = {"type": "string", "minLength": 200, "maxLength": 200}


@pytest.mark.parametrize("seed", range(1, 25))
def test_a_seed_keeps_the_promises(seed: int) -> None:
    assert run_seed(seed, MINUTES).violations == ()


# What each of them found: an idle board that refused prompts for ever once its disk had been full;
# an engine that was killed for its silence while answers waited for the disk; prompts that did not
# start, nor expire, while their PUBACK waited for a silent link; a start that outlasted the
# deadline on a full disk; a timer so short that its end was its begin. At 2172 the observer was
# wrong: what a hung engine had until now had not waited.
@pytest.mark.parametrize("seed", [9, 32, 402, 1023, 1098, 2172])
def test_a_seed_that_found_a_fault_keeps_the_promises(seed: int) -> None:
    assert run_seed(seed, 3.0).violations == ()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1200, 20))
def test_many_seeds_keep_the_promises(first: int) -> None:
    found = {seed: run_seed(seed, 3.0).violations for seed in range(first, first + 20)}
    assert {seed: violations for seed, violations in found.items() if violations} == {}


def test_a_seed_replays_exactly() -> None:
    assert run_seed(3, MINUTES) == run_seed(3, MINUTES)


def test_another_seed_is_another_story() -> None:
    assert run_seed(3, MINUTES).digest != run_seed(4, MINUTES).digest


def test_a_seed_replays_exactly_in_another_process() -> None:
    traces = {told_by_a_process("5", "--trace", hash_seed=seed) for seed in ("1", "2")}
    assert len(traces) == 1


def test_no_batch_of_seeds_begins_after_the_minutes() -> None:
    told = told_by_a_process("101..9999", "--minutes", "0", "--jobs", "1")
    assert f"{BATCH} of 9899 seeds of {MINUTES:g} minutes, 0 failed, " in told


def told_by_a_process(seeds: str, *options: str, hash_seed: str = "0") -> str:
    """Return what a fresh process prints of seeds, but for how long they took."""
    command = [sys.executable, "-m", "tools.simulation.seeds", "--seeds", seeds]
    done = subprocess.run(
        [*command, "--virtual-minutes", str(MINUTES), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"\d+ s$", "", done.stdout, flags=re.MULTILINE)


# What goes wrong in the tests below is written out, not drawn.


def played(play: Callable[[World], Awaitable[None]], *, is_metered: bool = False) -> Found:
    """Play on a board whose broker and engine are there; return what it showed."""

    async def whole(world: World) -> None:
        world.is_metered = is_metered
        await world.network.open()
        world.begin()
        await world.passing(5.0)
        await play(world)
        await world.terminate()
        await world.bury()
        world.network.close()

    found = simulate(1, whole)
    assert found.violations == ()
    return found


def ask(
    world: World, id: str, text: str = "hello", client: str = "tester", **keys: object
) -> Asked:
    """Publish a prompt; return the books on it."""
    asked = world.observer.asked[id.encode()] = Asked(text)
    body = json.dumps({"prompt": text, **keys}).encode()
    topic = f"{BOARD}/req/{client}/{id}"
    world.broker.publish(Message(topic, body, fields=((CORRELATION, id.encode()),)))
    return asked


def test_a_prompt_that_ends_the_engine_is_an_error_and_its_neighbours_are_answered() -> None:
    async def play(world: World) -> None:
        deadly = ask(world, "deadly", f"pallet {CRASHES}")
        others = [ask(world, f"p-{number}") for number in range(12)]
        await world.passing(60.0)
        assert deadly.event == "error"
        assert deadly.deaths == 2
        assert {other.event for other in others} == {"done"}

    played(play)


def test_a_prompt_that_hangs_the_engine_is_an_error_and_its_neighbours_are_answered() -> None:
    async def play(world: World) -> None:
        deadly = ask(world, "deadly", f"pallet {HANGS}")
        others = [ask(world, f"p-{number}") for number in range(12)]
        await world.passing(120.0)
        assert deadly.event == "error"
        assert {other.event for other in others} == {"done"}

    played(play)


def test_a_hang_is_noticed_and_ended_soon_after_the_longest_step() -> None:
    async def play(world: World) -> None:
        ask(world, "warm")
        await world.passing(5.0)
        assert world.engines is not None
        engine = world.engines.current
        assert engine is not None
        ask(world, "long", schema=LONG)
        await world.passing(0.1)
        engine.hang()
        began_s = world.loop.time()
        await engine.has_ended.wait()
        assert world.loop.time() - began_s <= HANG_S + STEP_S_MAX + 2 * LOOK_S

    played(play)


def test_an_engine_that_nothing_ends_is_not_replaced_and_prompts_are_refused_meanwhile() -> None:
    async def play(world: World) -> None:
        engines = world.engines
        assert engines is not None
        assert engines.current is not None
        engines.cannot_end = True
        ask(world, "warm")
        await world.passing(5.0)
        taken = ask(world, "taken", schema=LONG, ttl_s=600)
        late = ask(world, "late", schema=LONG, ttl_s=30)
        await world.passing(0.1)
        engines.current.hang()
        await world.passing(HANG_S + 2 * KILL_S_MAX)
        assert engines.started == 1
        refused = ask(world, "refused")
        await world.passing(60.0)
        assert (refused.refusals, late.event, taken.event) == (1, "expired", "")
        assert engines.started == 1
        engines.cannot_end = False
        engines.kill(0)
        await world.passing(60.0)
        assert taken.event == "done"
        assert engines.started == 2

    played(play)


def test_a_failed_canary_is_a_lost_engine() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        taken = ask(world, "taken", schema=LONG)
        await world.passing(0.1)
        world.engines.current.fail_canary()
        await world.passing(30.0)
        assert taken.event == "done"
        assert world.engines.started == 2

    played(play)


def test_engines_that_keep_ending_let_prompts_be_refused_and_the_taken_ones_wait() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        taken = ask(world, "taken", schema=LONG, ttl_s=600)
        await world.passing(0.1)
        world.engines.keeps_failing = True
        world.engines.current.end()
        await world.passing(60.0)
        refused = ask(world, "refused")
        await world.passing(5.0)
        assert (refused.refusals, taken.event) == (1, "")
        world.engines.keeps_failing = False
        await world.passing(60.0)
        assert taken.event == "done"

    played(play)


def test_an_outcome_waits_for_no_puback_of_another_one() -> None:
    async def play(world: World) -> None:
        world.broker.withholds = lambda message: message.field(CORRELATION) == b"first"
        first = ask(world, "first")
        await world.passing(5.0)
        second = ask(world, "second")
        await world.passing(5.0)
        assert (first.event, second.event) == ("done", "done")
        world.broker.withholds = lambda message: False
        world.network.cut()
        await world.passing(30.0)
        assert world.observer.unfinished == 0

    played(play)


def test_more_outcomes_than_may_be_under_way_at_once_are_all_told() -> None:
    async def play(world: World) -> None:
        world.broker.withholds = lambda message: True
        asked = [ask(world, f"{number}") for number in range(3 * WINDOW)]
        await world.passing(60.0)
        world.broker.withholds = lambda message: False
        world.network.cut()
        await world.passing(30.0)
        assert {one.event for one in asked} == {"done"}
        assert world.observer.unfinished == 0

    played(play)


def test_an_outcome_that_nothing_is_before_is_told_without_a_look_into_the_spool() -> None:
    async def play(world: World) -> None:
        ask(world, "first")
        await world.passing(5.0)

        def lasting_a_second(run: Callable[[], object]) -> float:
            run()
            return 1.0

        world.loop.job = lasting_a_second
        second = ask(world, "second")
        await world.passing(3.9)  # accepted, started, settled
        assert second.event == "done"

    played(play)


def test_nonsense_in_the_place_of_an_answer_is_an_error() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        world.engines.current.garbles = 1
        asked = ask(world, "asked", schema=SCHEMA)
        await world.passing(5.0)
        assert asked.event == "error"

    played(play)


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


def test_a_prompt_that_is_cancelled_while_it_starts_is_not_computed() -> None:
    async def play(world: World) -> None:
        for number in range(25):
            asked = ask(world, f"p-{number}")
            await world.passing(number * 0.002)
            topic = f"{BOARD}/cancel/tester/p-{number}"
            world.broker.publish(Message(topic, b""))
            await world.passing(2.0)
            assert asked.event in ("cancelled", "done")

    played(play)


def test_a_cancel_outlives_the_engine_that_was_to_obey_it() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        asked = ask(world, "asked", schema=LONG)
        await world.passing(0.1)
        world.engines.current.hang()
        world.broker.publish(Message(f"{BOARD}/cancel/tester/asked", b""))
        await world.passing(60.0)
        assert (asked.event, asked.deaths) == ("cancelled", 1)

    played(play)


# An observer that sees nothing proves nothing: daemons that break a promise are found out.


def test_an_acknowledgement_before_the_commit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Session.deliveries

    async def hasty(session: Session) -> list[Delivery]:
        taken = await own(session)
        session.acknowledge(taken)
        return taken

    monkeypatch.setattr(Session, "deliveries", hasty)
    assert "is not in the spool and has no refusal" in violations(3)


def test_a_second_outcome_of_one_prompt_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Answers.letter
    count = iter(range(1_000_000))

    def changing(answers: Answers, letter: Letter, expiry_s: float) -> Outbound:
        message = own(answers, letter, expiry_s)
        body = json.loads(message.payload) | {"attempt": next(count)}
        return Outbound(message.topic, json.dumps(body).encode(), correlation=message.correlation)

    monkeypatch.setattr(Answers, "letter", changing)
    assert "an outcome was published that is not in the spool" in violations(3)


def test_a_healthy_engine_that_is_killed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patience, "limit_s", 0.0)
    assert "a healthy engine was killed" in violations(3)


def test_a_prompt_that_is_never_answered_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(*_: object) -> None:
        """Send no outcome of anything."""
        await asyncio.Event().wait()

    monkeypatch.setattr("edged.outbox.Outbox.run", forgetful)
    assert "rows have no delivered outcome" in violations(3)


def violations(seed: int) -> str:
    return "\n".join(run_seed(seed, MINUTES).violations)
