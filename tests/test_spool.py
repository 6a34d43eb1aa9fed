"""An accepted prompt is durable, one of its name, and has one outcome."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.contract import Destination
from edged.engine.frames import Message, Prompt, Sampling
from edged.spool.queue import Spool
from edged.spool.rows import (
    Answered,
    Conflict,
    Fresh,
    Job,
    Known,
    Row,
    Settlement,
    State,
)
from tests.memory import MEMORY
from tests.memory import tmp_path as tmp_path
from tests.prompt_fixtures import DONE, candidate
from tests.spool_fixtures import LIMITS, accept, fresh, in_spool, opened, superseded

SHARES = st.lists(st.integers(1, 5), unique=True)
T = TypeVar("T")


def test_an_accepted_prompt_is_there_after_reopening(tmp_path: Path) -> None:
    job = Job(
        prompt=Prompt(messages=(Message("user", "Größe?"), Message("assistant", "\0"))),
        schema='{"const":"é"}',
        max_tokens=9,
        sampling=Sampling(temperature=0.5, seed=7, stop=("a", "b")),
        template=("note", "sha256:0"),
        wire="compact",
    )
    asked = candidate(
        job=job,
        destination=Destination("plc/1", b"\0c"),
        priority=7,
        receipt=True,
        stream=True,
        replace="k",
    )
    before: list[Row] = []

    async def first(spool: Spool) -> None:
        before.extend(await fresh(spool, asked))

    async def second(spool: Spool) -> None:
        assert list(spool.rows.values()) == before
        assert await spool.start([before[0].serial]) == {before[0].serial: job}

    in_spool(tmp_path, first)
    in_spool(tmp_path, second)
    assert before[0].destination == asked.destination
    assert before[0].deadline_s == before[0].accepted_s + 300


def test_the_same_prompt_again_is_known(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        (verdict,) = await accept(spool, candidate())
        assert verdict == Known(row)
        await spool.start([row.serial])
        (verdict,) = await accept(spool, candidate())
        assert isinstance(verdict, Known)
        assert verdict.row.state is State.RUNNING

    in_spool(tmp_path, scenario)


def test_the_same_prompt_in_one_group_is_one_row(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        first, second = await accept(spool, candidate(), candidate())
        assert isinstance(first, Fresh)
        assert second == Known(first.row)
        assert len(spool.rows) == 1

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize("delivered", [False, True])
def test_the_same_prompt_after_its_outcome_gets_it_verbatim_at_the_new_place(
    tmp_path: Path, delivered: bool
) -> None:
    again = candidate(destination=Destination("plc/2", b"new"))

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await spool.settle({row.serial: DONE})
        if delivered:
            await spool.delivered({row.serial: True})
        (verdict,) = await accept(spool, again)
        assert isinstance(verdict, Answered)
        assert verdict.letter.settlement == DONE
        assert verdict.letter.destination == again.destination

    in_spool(tmp_path, scenario)


def test_a_known_prompt_is_answered_where_its_newest_copy_wants_it(tmp_path: Path) -> None:
    again = candidate(destination=Destination("plc/2", b"new"))

    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate())
        await accept(spool, again)
        assert spool.rows[row.serial].destination == again.destination
        await spool.settle({row.serial: DONE})
        (letter,) = await spool.letters(0, 9)
        assert letter.destination == again.destination

    in_spool(tmp_path, scenario)


@pytest.mark.parametrize("settled", [False, True])
def test_another_prompt_under_a_known_id_is_a_conflict(tmp_path: Path, settled: bool) -> None:
    async def scenario(spool: Spool) -> None:
        (row,) = await fresh(spool, candidate(text="hi"))
        if settled:
            await spool.settle({row.serial: DONE})
        assert await accept(spool, candidate(text="ho")) == [Conflict("p1")]

    in_spool(tmp_path, scenario)


def test_ids_belong_to_their_client(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        rows = await fresh(spool, candidate(text="hi"), candidate(text="ho", client="c2"))
        assert [(row.client, row.id) for row in rows] == [("c1", "p1"), ("c2", "p1")]

    in_spool(tmp_path, scenario)


def test_replace_supersedes_the_queued_prompt_of_the_same_client_and_key(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        old, *others = await fresh(
            spool,
            candidate("p1", replace="k"),
            candidate("p2", replace="other"),
            candidate("p3"),
            candidate("p4", replace="k", client="c2"),
        )
        (verdict,) = await accept(spool, candidate("p5", replace="k"))
        assert isinstance(verdict, Fresh)
        assert verdict.superseded == (old,)
        assert set(spool.rows) == {row.serial for row in (*others, verdict.row)}
        (letter,) = await spool.letters(0, 9)
        assert (letter.serial, letter.settlement) == (old.serial, superseded(old))

    in_spool(tmp_path, scenario)


def test_replace_leaves_a_running_prompt_alone(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        (old,) = await fresh(spool, candidate("p1", replace="k"))
        await spool.start([old.serial])
        (verdict,) = await accept(spool, candidate("p2", replace="k"))
        assert isinstance(verdict, Fresh)
        assert verdict.superseded == ()
        assert old.serial in spool.rows

    in_spool(tmp_path, scenario)


def test_of_two_with_one_key_in_one_group_the_later_stays(tmp_path: Path) -> None:
    async def scenario(spool: Spool) -> None:
        verdicts = await accept(spool, candidate("p1", replace="k"), candidate("p2", replace="k"))
        assert [type(verdict) for verdict in verdicts] == [Fresh, Fresh]
        assert [row.id for row in spool.rows.values()] == ["p2"]
        assert [letter.settlement.event for letter in await spool.letters(0, 9)] == ["superseded"]

    in_spool(tmp_path, scenario)


def test_superseding_and_accepting_are_one_transaction(tmp_path: Path) -> None:
    def refuse(row: Row) -> Settlement:
        raise RuntimeError(f"no words for {row.id}")

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMITS, refuse)
        await spool.open()
        await accept(spool, candidate("p1", replace="k"))
        with pytest.raises(RuntimeError):
            await accept(spool, candidate("p0"), candidate("p2", replace="k"))
        await spool.close()
        async with opened(tmp_path) as again:
            assert [row.id for row in again.rows.values()] == ["p1"]

    asyncio.run(scenario())


COMMITTER = """
import asyncio, sys
from pathlib import Path
from tests.prompt_fixtures import candidate
from edged import config
from edged.spool.rows import Settlement
from edged.spool.queue import Spool

async def main():
    spool = Spool(Path(sys.argv[1]), config.Spool(), lambda row: Settlement("x", 1, b""))
    await spool.open()
    for group in range(100_000):
        await spool.accept([candidate(f"p{group}-{n}") for n in range(3)])
        print(group, flush=True)

asyncio.run(main())
"""


def test_sigkill_loses_no_acknowledged_prompt(tmp_path: Path) -> None:
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", COMMITTER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{here}:{here.parent}"},
    )
    assert process.stdout is not None
    with process, process.stdout as lines:
        acknowledged = [int(next(lines)) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in lines]

    async def scenario(spool: Spool) -> None:
        kept = {row.id for row in spool.rows.values()}
        promised = {f"p{group}-{n}" for group in acknowledged for n in range(3)}
        assert promised <= kept
        assert len(kept) % 3 == 0, "a group is committed whole or not at all"

    in_spool(tmp_path, scenario)


class SpoolMachine(RuleBasedStateMachine):
    """Whatever the daemon does in whatever order, a prompt has one row and keeps its outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.loop = asyncio.new_event_loop()
        self.texts: dict[str, str] = {}
        self.rows: dict[int, Row] = {}
        self.outcomes: dict[str, Settlement] = {}
        self.open()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def open(self) -> None:
        self.spool = Spool(Path(self.folder.name), LIMITS, superseded)
        self.do(self.spool.open())

    @rule(id=st.sampled_from("abcd"), text=st.sampled_from("xy"), key=st.sampled_from([None, "k"]))
    def accept(self, id: str, text: str, key: str | None) -> None:
        (verdict,) = self.do(self.spool.accept([candidate(id, text, replace=key)]))
        if id not in self.texts:
            assert isinstance(verdict, Fresh)
            self.texts[id] = text
            for old in verdict.superseded:
                assert self.rows.pop(old.serial) == old
                assert (old.replace, old.state) == (key, State.QUEUED)
                self.outcomes[old.id] = superseded(old)
            self.rows[verdict.row.serial] = verdict.row
        elif text != self.texts[id]:
            assert verdict == Conflict(id)
        else:
            assert isinstance(verdict, Answered if id in self.outcomes else Known)

    @rule(share=SHARES)
    def start(self, share: list[int]) -> None:
        serials = [serial for serial in self.rows if serial in share]
        queued = [serial for serial in serials if self.rows[serial].state is State.QUEUED]
        assert list(self.do(self.spool.start(serials))) == queued
        self.change(queued, state=State.RUNNING)

    @rule(share=SHARES, event=st.sampled_from(["done", "expired"]))
    def settle(self, share: list[int], event: str) -> None:
        outcome = Settlement(event, 200, event.encode())
        self.do(self.spool.settle(dict.fromkeys(share, outcome)))
        for serial in share:
            if serial in self.rows:
                self.outcomes[self.rows.pop(serial).id] = outcome

    @rule(share=SHARES, engine_died=st.booleans())
    def requeue(self, share: list[int], engine_died: bool) -> None:
        ran = [serial for serial in self.running() if serial in share]
        self.do(self.spool.requeue(ran, engine_died=engine_died))
        for serial in ran:
            attempts = self.rows[serial].attempts + int(engine_died)
            self.change([serial], state=State.QUEUED, attempts=attempts)

    @rule(share=SHARES)
    def deliver(self, share: list[int]) -> None:
        self.do(self.spool.delivered(dict.fromkeys(share, True)))

    @rule()
    def reopen(self) -> None:
        self.do(self.spool.close())
        self.open()
        for serial in self.running():
            restarts = self.rows[serial].restarts + 1
            self.change([serial], state=State.QUEUED, restarts=restarts)

    @invariant()
    def the_unfinished_are_as_they_should_be(self) -> None:
        assert dict(self.spool.rows) == self.rows

    @invariant()
    def every_prompt_has_one_row_or_its_first_outcome(self) -> None:
        for id in self.texts:
            letter = self.do(self.spool.settled("c1", id))
            assert (letter is None) == (self.spool.rows.find("c1", id) is not None)
            assert (None if letter is None else letter.settlement) == self.outcomes.get(id)

    def running(self) -> list[int]:
        return [serial for serial, row in self.rows.items() if row.state is State.RUNNING]

    def change(self, serials: list[int], **more: Any) -> None:
        for serial in serials:
            self.rows[serial] = replace(self.rows[serial], **more)

    def teardown(self) -> None:
        self.do(self.spool.close())
        self.loop.close()
        self.folder.cleanup()


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(stateful_step_count=15)
