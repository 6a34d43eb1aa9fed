"""Roots, parking and live limits over llama.cpp's own KV cache."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.engine.backend import KvFull, Run
from edged.engine.constraints import Constraints
from edged.engine.formats import RoleFormat
from edged.engine.frames import Limits, Outcome, Work
from edged.engine.inbox import Attached, Inbox
from edged.engine.llama import Llama, Shape
from edged.engine.outlet import Outlet
from edged.engine.pace import Pace
from edged.engine.plan import Bounds
from edged.engine.prepare import Preparer
from edged.engine.sampling import Row
from edged.engine.schema import Lengths
from edged.engine.worker import Worker
from tests.engine_fixtures import Daemon, work
from tests.naive_loop import plain_answer, slips_allowed
from tests.tiny_gguf import write_tiny_gguf

pytestmark = pytest.mark.model

CELLS = 256
LIMITS, NOTHING = Limits(CELLS, 8, 1e6), Limits(CELLS, 0, 1e6)
ROOT = "The dock message below; answer with the record and nothing else; add no comment. <|input|>"


class CountedLlama(Llama):
    """llama.cpp's backend; what is asked for happens right after its n-th decode."""

    n_decodes = 0

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape, lambda share: True)
        self.after: dict[int, Callable[[], None]] = {}

    def decode(self, runs: Sequence[Run]) -> list[Row]:
        rows = super().decode(runs)
        self.n_decodes += 1
        self.after.pop(self.n_decodes, lambda: None)()
        return rows


@dataclass
class Engine:
    """A worker in a thread, and a daemon's end to read what it reports."""

    llama: CountedLlama
    worker: Worker
    preparer: Preparer
    inbox: Inbox
    daemon: Daemon

    def put(self, *items: Work | Limits) -> None:
        """Send frames; all of them are there before the next step."""
        ready = [
            self.preparer.sequence(item, 0.0) if isinstance(item, Work) else item for item in items
        ]
        for item in [NOTHING, *ready, *([] if isinstance(items[-1], Limits) else [LIMITS])]:
            self.inbox.put(item, 0.0)

    def ask(self, *works: Work) -> list[Outcome]:
        self.put(*works)
        return [self.daemon.outcome(one.id) for one in works]

    def after(self, decodes: int, *items: Work | Limits) -> None:
        """Send frames as soon as so many decodes are done."""
        self.llama.after[decodes] = lambda: self.put(*items)

    @property
    def prefill_tokens(self) -> int:
        return sum(step.prefill_tokens for step in self.daemon.steps)


@pytest.fixture(scope="module", params=["llama", "gemma3", "gemma4"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_tiny_gguf(folder / f"{request.param}.gguf", architecture=request.param, seed=1)


@contextmanager
def running(
    path: Path, *, n_cells: int = CELLS, promised_cells: int | None = None
) -> Iterator[Engine]:
    """Run a worker for the block; `promised_cells` is what the books believe to be there."""
    llama = CountedLlama(path, Shape(n_cells, 128, 25, 1))
    llama.n_cells = promised_cells or llama.n_cells
    words = llama.vocabulary
    constraints = Constraints(words.guidance, words.n_tokens, Lengths())
    preparer = Preparer(words, RoleFormat({"user": "{content}"}, ""), constraints, CELLS, 64)
    bounds, pace = Bounds(128, 128, 10.0), Pace(1e-5, 1e-4)
    worker = Worker(llama, bounds, LIMITS, pace, canary=lambda worker: None, clock=lambda: 0.0)
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    inbox = Inbox()
    inbox.put(Attached(Outlet(ours)), 0.0)
    inbox.put(LIMITS, 0.0)
    thread = threading.Thread(target=worker.run, args=(inbox,))
    thread.start()
    try:
        yield Engine(llama, worker, preparer, inbox, Daemon(theirs))
    finally:
        inbox.close()
        thread.join()
        ours.close()
        theirs.close()
        llama.close()


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    with running(path) as started:
        yield started


def assert_as_alone(path: Path, works: list[Work], outcomes: list[Outcome]) -> None:
    """Compare with a loop of one sequence, each answer up to its first near tie."""
    llama = Llama(path, Shape(512, 256, 1, 1), lambda share: True)
    expected = [plain_answer(llama, one)[0] for one in works]
    llama.close()
    pairs = list(zip(expected, outcomes, strict=True))
    slips = sum(not outcome.text.startswith(text) for text, outcome in pairs)
    assert slips <= slips_allowed(path, len(works))
    assert sum(map(len, expected)) > 0.05 * sum(len(outcome.text) for outcome in outcomes)


def long(id: str, words: int, *, root: str = "") -> Work:
    """A request for a list of so many words, of about ten tokens of which the model chooses one."""
    items = {"enum": ["arrivalxxx", "departurex", "breakagexx"]}
    schema = {"type": "array", "items": items, "minItems": words, "maxItems": words}
    return work(id, f"message {id}", root=root, schema=schema)


def test_eight_requests_hold_their_root_once(engine: Engine) -> None:
    words = engine.llama.vocabulary
    root_tokens = len(words.tokenise(ROOT, special=True)) + 1
    every = [work(f"{n}", f"{n}", root=ROOT, max_tokens=14) for n in range(8)]
    outcomes = engine.ask(*every)
    own_tokens = outcomes[0].prompt_tokens - root_tokens
    # Eight whole prompts would need three times what is there; one root and eight ends just fit.
    assert 8 * outcomes[0].prompt_tokens > 2 * CELLS
    assert root_tokens + 8 * (own_tokens + 14) <= CELLS
    assert max(len(step.shares) for step in engine.daemon.steps) == 8
    assert engine.prefill_tokens == root_tokens + 8 * own_tokens
    assert sorted(outcome.cached_tokens for outcome in outcomes) == [0, *[root_tokens] * 7]


def test_a_shared_root_takes_its_cells_once_to_the_last_cell(path: Path) -> None:
    llama = Llama(path, Shape(CELLS, 128, 9, 1), lambda share: True)
    llama.decode([Run(8, 0, [1] * 120, False)])
    for sequence in range(8):
        llama.share(8, sequence, 120)
    llama.decode([Run(sequence, 120, [2] * 16, False) for sequence in range(8)])
    llama.decode([Run(sequence, 136, [2], False) for sequence in range(8)])
    with pytest.raises(KvFull):
        llama.decode([Run(0, 137, [2], True)])
    llama.drop(7)
    assert len(llama.decode([Run(0, 137, [2] * 17, True)])) == 1
    llama.close()


def test_templates_that_do_not_fit_together_take_turns_and_answer_right(path: Path) -> None:
    every = [long(f"{n}", 3, root=f"template {n % 4}: {ROOT}") for n in range(8)]
    with running(path) as engine:
        outcomes = [engine.ask(one)[0] for one in every]
        assert engine.worker.residents.n_roots() < 4
    assert_as_alone(path, every, outcomes)


def test_who_is_parked_resumes_with_the_answer_it_would_have_given(path: Path) -> None:
    every = [long("first", 9), long("second", 9), long("last", 9)]
    with running(path, promised_cells=1024) as engine:
        outcomes = engine.ask(*every)
        prompts = sum(outcome.prompt_tokens for outcome in outcomes)
        assert engine.prefill_tokens > prompts + 60
        assert list(engine.daemon.outcomes)[-1] == "last"
    assert [outcome.finish for outcome in outcomes] == ["schema"] * 3
    assert_as_alone(path, every, outcomes)


def test_a_parked_one_says_what_it_had_to_compute_itself(path: Path) -> None:
    last = long("end", 10, root=ROOT)
    with running(path, promised_cells=1024) as engine:
        engine.ask(work("first", "m", root=ROOT, max_tokens=2))
        (found,) = engine.ask(work("second", "m", root=ROOT, max_tokens=2))
        kept, parked = engine.ask(long("top", 18), last)
        (again,) = engine.ask(work("again", "m", root=ROOT, max_tokens=2))
    assert kept.finish == parked.finish == "schema"
    # It found the root there, was parked, lost the root and computed it when it resumed.
    assert parked.cached_tokens == 0
    assert again.cached_tokens == found.cached_tokens > 0


def test_a_parked_one_that_finds_its_root_again_says_so(path: Path) -> None:
    last = long("end", 10, root=ROOT)
    with running(path, promised_cells=1024) as engine:
        engine.ask(work("first", "m", root=ROOT, max_tokens=2))
        kept, parked = engine.ask(long("top", 12), last)
        prompts = parked.prompt_tokens + kept.prompt_tokens
        assert engine.prefill_tokens > prompts + 10
    assert parked.cached_tokens > 0


def test_fewer_sequences_make_the_last_sit_out_with_their_cells_kept(path: Path) -> None:
    every = [long(f"{n}", 5) for n in range(3)]
    with running(path) as engine:
        engine.after(3, Limits(CELLS, 1, 1e6))
        engine.put(*every)
        first = engine.daemon.outcome("0")
        assert {tuple(step.shares) for step in engine.daemon.steps[3:]} == {("0",)}
        engine.put(LIMITS)
        outcomes = [first, engine.daemon.outcome("1"), engine.daemon.outcome("2")]
        assert engine.prefill_tokens == sum(outcome.prompt_tokens for outcome in outcomes)
    assert_as_alone(path, every, outcomes)


def test_a_smaller_context_makes_the_longer_sit_out_with_their_cells_kept(path: Path) -> None:
    tall, short = long("tall", 12), long("short", 2)
    with running(path) as engine:
        engine.after(9, short, Limits(100, 8, 1e6))
        engine.put(tall)
        after = engine.daemon.outcome("short")
        assert {tuple(step.shares) for step in engine.daemon.steps[9:]} == {("short",)}
        assert "tall" not in engine.daemon.outcomes
        engine.put(LIMITS)
        outcomes = [engine.daemon.outcome("tall"), after]
        assert engine.prefill_tokens == sum(outcome.prompt_tokens for outcome in outcomes)
    assert_as_alone(path, [tall, short], outcomes)
