"""An engine that ends, hangs or writes nonsense is noticed, and each prompt gets one outcome.

Method: the whole daemon in virtual time; what goes wrong with the engine is written out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.config import Config
from edged.dispatch import NOTE_S, Dispatch
from edged.engine.frames import Delta, Outcome, Step
from edged.engine.patience import HANG_S, HANG_S_UNKNOWN
from edged.engine.processes import KILL_S_MAX
from tests.simulation_fixtures import LONG, ask, played
from tools.simulation.devices import SCHEMA
from tools.simulation.engine import CRASHES, HANGS
from tools.simulation.observer import BOARD
from tools.simulation.wire import Message
from tools.simulation.world import STOP_S_MAX, World

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine
# The silence is looked at twice a second.
LOOK_S = 0.5
STEP_S_MAX = 0.5


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


def test_a_disk_that_stands_still_while_books_are_kept_costs_no_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured = World._config

    def roomy(world: World, folder: Path) -> Config:
        config = configured(world, folder)
        model = config.model.model_copy(update={"context_tokens": 8192})
        return config.model_copy(update={"model": model})

    monkeypatch.setattr(World, "_config", roomy)

    async def play(world: World) -> None:
        assert world.engines is not None
        engine, quick, keep_note = world.engines.current, world.loop.job, Dispatch.keep_note

        async def stalled(dispatch: Dispatch) -> None:
            world.loop.job = lambda run: max(quick(run), 8.0)
            await keep_note(dispatch)
            world.loop.job = quick

        assert engine is not None
        ask(world, "warm")
        await world.passing(2 * NOTE_S)  # so the books are due as soon as something runs
        monkeypatch.setattr(Dispatch, "keep_note", stalled)
        words = {"type": "string", "minLength": 4000, "maxLength": 4000}  # for 8 s
        asked = ask(world, "long", schema=words, max_tokens=6000)
        await world.passing(60.0)
        assert world.engines.current is engine
        assert (asked.event, asked.deaths) == ("done", 0)

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


def test_a_daemon_whose_engine_nothing_ends_ends_before_systemd_would_kill_it() -> None:
    async def play(world: World) -> None:
        engines = world.engines
        assert engines is not None
        assert engines.current is not None
        engines.cannot_end = True
        await world.passing(5.0)
        engines.current.hang()
        told_s = world.loop.time()
        await world.terminate()
        assert world.loop.time() - told_s < stop_s_max()

    played(play)


def stop_s_max() -> float:
    """Return after how many seconds systemd kills a daemon that it told to end."""
    unit = (Path(__file__).parent.parent / "systemd/edged.service").read_text()
    found = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_the_simulation_allows_what_systemd_does() -> None:
    assert stop_s_max() == STOP_S_MAX


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


def test_nonsense_in_the_place_of_an_answer_is_an_error() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        world.engines.current.garbles = 1
        asked = ask(world, "asked", schema=SCHEMA)
        await world.passing(5.0)
        assert asked.event == "error"

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


def test_a_cancel_outlives_its_deadline_while_the_disk_hears_of_the_engine_s_end() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        asked = ask(world, "asked", schema=LONG, ttl_s=10)
        late = ask(world, "late", schema=LONG, ttl_s=20)  # somebody looks who is overdue
        await world.passing(0.1)
        world.engines.current.hang()
        world.broker.publish(Message(f"{BOARD}/cancel/tester/asked", b""))
        await world.passing(1.0)
        world.stall_disk(30.0)
        world.engines.current.end()
        await world.passing(60.0)
        assert (asked.event, late.event) == ("cancelled", "expired")

    played(play)


def test_a_cancel_outlives_its_deadline_while_its_outcome_waits_for_a_full_disk() -> None:
    async def play(world: World) -> None:
        asked = ask(world, "asked", schema=LONG, ttl_s=6)
        ask(world, "late", schema=LONG, ttl_s=7)  # somebody looks who is overdue
        await world.passing(0.1)
        world.fill_disk(1, grows_nothing=True)
        world.broker.publish(Message(f"{BOARD}/cancel/tester/asked", b""))
        # Tried again every 5 s: the cancel's outcome after 15 s, one of the deadline after 12.
        await world.passing(11.0)
        assert not asked.outcomes
        world.free_disk()
        await world.passing(10.0)
        assert asked.event == "cancelled"

    played(play)


def test_what_is_cancelled_while_it_ends_its_last_engine_is_no_error() -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        asked = ask(world, "asked", f"pallet {HANGS}")
        await world.passing(HANG_S_UNKNOWN + 10.0)
        assert asked.deaths == 1
        world.broker.publish(Message(f"{BOARD}/cancel/tester/asked", b""))
        await world.passing(60.0)
        assert (asked.event, asked.deaths) == ("cancelled", 2)

    played(play)


@pytest.mark.parametrize(
    "step",
    [
        Step(0.1, 0.1, outcomes=(Outcome("x", "stop"),)),
        Step(0.1, 0.1, deltas=(Delta("", "text"),)),
        Step(0.1, 0.1, shares={"9" * 5000: 1.0}),
    ],
    ids=["outcome", "delta", "share"],
)
def test_an_engine_that_names_what_nobody_asked_is_lost_and_the_daemon_goes_on(step: Step) -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        world.engines.current._say(step)
        await world.passing(5.0)
        asked = ask(world, "asked")
        await world.passing(5.0)
        assert asked.event == "done"

    played(play)
