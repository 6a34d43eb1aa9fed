"""What the simulation's observer checks can fail: daemons that break a promise are found out.

Method: a daemon with one fault of its own, in a seed; the observer names the promise.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Collection, Sequence
from contextlib import closing

import pytest

from edged import answers
from edged.contract import Reply
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Outcome
from edged.engine.patience import Patience, Restarts
from edged.errors import Refusal
from edged.intake import Intake
from edged.mqtt import Delivery, Session
from edged.spool.commits import Commits, Work
from edged.spool.disk import Sync
from edged.spool.queue import Spool
from edged.spool.rows import Row
from edged.spool.table import Table
from edged.spool.unfinished import Unfinished
from tests.simulation_fixtures import played
from tools.simulation.health import Health
from tools.simulation.seeds import run_seed
from tools.simulation.trouble import play
from tools.simulation.world import Cut, World, simulate

pytestmark = pytest.mark.model  # the whole daemon, with a simulated engine
MINUTES = 0.3


def violations(seed: int, *kinds: str) -> str:
    """Return what a seed violates; with `kinds` those are its faults."""
    if not kinds:
        return "\n".join(run_seed(seed, MINUTES).violations)
    found = simulate(seed, lambda world: play(world, 60 * MINUTES, kinds))
    return "\n".join(found.violations)


def test_a_board_that_starts_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(_: Dispatch) -> None:
        """Start nothing."""

    monkeypatch.setattr(Dispatch, "_start_picked", idle)
    assert "after all faults proof-0-0 is unanswered" in violations(1)


def test_prompts_that_wait_beside_an_idle_engine_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(_: Dispatch) -> None:
        """Start nothing."""

    monkeypatch.setattr(Dispatch, "_start_picked", idle)
    found = simulate(1, lambda world: play(world, 60.0, ["cut"]))
    assert "waits, and the engine has no work" in "\n".join(found.violations)


def test_a_refusal_while_the_engine_serves_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Refusal("engine_down", "so it is said")

    monkeypatch.setattr(Intake, "_candidate", refuse)
    assert "refused as engine_down: an engine serves since" in violations(1)


def test_a_prompt_that_expires_too_early_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Unfinished.overdue
    monkeypatch.setattr(Unfinished, "overdue", lambda rows, now_s: own(rows, now_s + 20))
    assert "s before its deadline" in violations(1)


def test_a_cancel_that_is_ignored_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(_: Dispatch, rows: Sequence[Row]) -> None:
        """Let them run."""

    monkeypatch.setattr(Dispatch, "cancel", ignore)
    assert "s after its cancel" in violations(1)


def test_an_answer_that_no_engine_told_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = answers._put_text

    def emptied(reply: Reply, outcome: Outcome, *, is_json: bool) -> None:
        own(reply, outcome, is_json=is_json)
        if not is_json:
            reply.text = ""

    monkeypatch.setattr(answers, "_put_text", emptied)
    assert "its text is not what an engine told" in violations(1)


def test_an_answer_that_does_not_fit_its_schema_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = answers._put_text

    def emptied(reply: Reply, outcome: Outcome, *, is_json: bool) -> None:
        own(reply, outcome, is_json=is_json)
        if is_json:
            reply.answer = {}

    monkeypatch.setattr(answers, "_put_text", emptied)
    assert "its answer does not fit its schema" in violations(1)


def test_a_prompt_that_ends_engine_after_engine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Spool.requeue

    async def uncounted(spool: Spool, serials: Collection[int], *, engine_died: bool) -> None:
        await own(spool, serials, engine_died=False)

    monkeypatch.setattr(Spool, "requeue", uncounted)
    assert "has ended 3 engines" in violations(3)


def test_a_lost_batch_that_is_left_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(dispatch: Dispatch, problem: str) -> None:
        dispatch._running.clear()

    monkeypatch.setattr(Dispatch, "_requeue", leave)
    found = simulate(4, lambda world: play(world, 120.0, ["engine-crash"]))
    assert "is called running, and no engine has it" in "\n".join(found.violations)


def test_what_ran_and_is_left_at_a_start_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(table: Table, *, deadlines_certain: bool) -> None:
        """Queue nothing again."""

    monkeypatch.setattr(Table, "recover", leave)
    found = simulate(4, lambda world: play(world, 60.0, ["crash"]))
    assert "is called running, and no engine has it" in "\n".join(found.violations)


def test_a_hang_that_is_found_out_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patience, "limit_s", 50.0)
    assert "an engine hung for" in violations(4, "engine-hang")


def test_engines_that_are_started_without_a_pause_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restarts, "are_spent", False)
    found = simulate(1, lambda world: play(world, 180.0, ["engine-crash", "engine-fails"]))
    assert "ends in a row" in "\n".join(found.violations)


def test_pubacks_in_another_order_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Session.acknowledge

    def reversed_(session: Session, deliveries: Sequence[Delivery]) -> None:
        own(session, list(reversed(deliveries)))

    monkeypatch.setattr(Session, "acknowledge", reversed_)
    assert "was acknowledged before what came before it" in violations(1)


def test_what_is_told_before_it_is_synced_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Commits.commit

    async def later(commits: Commits, work: Work[object], sync: Sync) -> object:
        return await own(commits, work, Sync.LATER)

    monkeypatch.setattr(Commits, "commit", later)
    found = violations(1)
    assert "was acknowledged, and a power cut would take it" in found
    assert "is told, and a power cut would take it" in found


def test_work_for_an_engine_that_was_told_to_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(client: EngineClient) -> None:
        client._stuck_pid = None

    monkeypatch.setattr(EngineClient, "_until_gone", forget)
    found = simulate(2, lambda world: play(world, 180.0, ["engine-held"]))
    assert "an engine that was told to end gets work" in "\n".join(found.violations)


def test_an_exception_that_nobody_handles_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("of the simulation")

    monkeypatch.setattr(Health, "reached", fail)
    assert "nobody handles LookupError('of the simulation')" in violations(1)


# Between a connection and the engine's first look at it lie as many turns of the event loop.
@pytest.mark.parametrize("turns", [2, 3])
def test_who_connects_to_an_engine_that_ends_is_cut_off(turns: int) -> None:
    async def play(world: World) -> None:
        assert world.engines is not None
        assert world.engines.current is not None
        with closing(socket.socket(socket.AF_UNIX)) as link:
            link.connect(str(world.engines.current._config.engine_socket))
            for _ in range(turns):
                await asyncio.sleep(0)
            world.engines.current.end()
            await world.passing(1.0)
            assert link.recv(1, socket.MSG_DONTWAIT) == b""

    played(play)


@pytest.mark.parametrize("turns", range(1, 20))
def test_a_daemon_that_is_cut_off_while_it_starts_leaves_nothing_open(turns: int) -> None:
    async def play(world: World) -> None:
        world.cut = Cut(turns=turns)
        world.begin()
        await world.has_died.wait()
        await world.bury()

    assert simulate(1, play).violations == ()
    gc.collect()  # warns of what is open, and a warning is an error
