from __future__ import annotations

from random import Random

import pytest

from edged import turns
from edged.engine.backend import Guard, Run
from edged.engine.frames import Limits, Prompt, Work
from edged.engine.pace import Pace
from edged.engine.plan import Bounds, plan
from edged.engine.residents import AGE_S, ROOTS_MAX, Residents
from edged.engine.sequence import PromptTokens, Sequence
from edged.engine.sim import Sim, Timing

BOUNDS = Bounds(n_batch=256, chunk_tokens=256, step_s_max=10.0)
LIMITS = Limits(1000, 4, 60.0)


def sim(*, n_cells: int = 1000, n_sequences: int = 4 + ROOTS_MAX + 1) -> Sim:
    return Sim(n_cells=n_cells, n_batch=256, n_sequences=n_sequences, timing=Timing(0.0, 0.0))


def sequence(
    id: str,
    *,
    root: bytes = b"",
    own: bytes = b"own",
    cap: int = 5,
    priority: int = 5,
    arrived_s: float = 0.0,
) -> Sequence:
    return Sequence(
        work=Work(id, Prompt(), priority=priority),
        prompt=PromptTokens(tuple(root), tuple(own)),
        cap_tokens=cap,
        matcher=None,
        end_tokens=frozenset(),
        vocabulary=sim().vocabulary,
        generator=Random(1),
        seed=None,
        arrived_s=arrived_s,
    )


def step(residents: Residents, backend: Sim, limits: Limits = LIMITS) -> list[Run]:
    """Run one step without sampling; return what entered the KV cache."""
    residents.admit(limits)
    runs = residents.runs(plan(residents.offers(limits), BOUNDS, Pace(1e-6, 1e-6)))
    if runs:
        backend.decode(runs)
        residents.note(runs, 1)
    return runs


def running(residents: Residents) -> list[str]:
    return sorted(one.work.id for one in residents.running.values())


def filled(
    *sequences: Sequence, backend: Sim | None = None, limits: Limits = LIMITS
) -> tuple[Residents, Sim]:
    backend = backend or sim()
    residents = Residents(backend)
    for one in sequences:
        residents.add(one)
    residents.admit(limits)
    return residents, backend


def test_followers_wait_while_the_root_fills_then_branch_at_its_end() -> None:
    residents, backend = filled(*[sequence(id, root=b"the root") for id in "abc"])
    assert running(residents) == []
    assert [len(run.tokens) for run in step(residents, backend)] == [8]
    assert [run.start for run in step(residents, backend)] == [8, 8, 8]
    assert running(residents) == ["a", "b", "c"]


def test_whoever_has_no_root_does_not_wait_for_one() -> None:
    residents, backend = filled(sequence("a", root=b"the root"), sequence("b"))
    assert running(residents) == ["b"]
    assert len(step(residents, backend)) == 2


def test_a_sequence_enters_only_when_its_whole_answer_fits() -> None:
    backend = sim(n_cells=100)
    residents, _ = filled(
        sequence("a", own=b"x" * 40, cap=20), sequence("b", own=b"x" * 40, cap=20), backend=backend
    )
    assert running(residents) == ["a"]
    residents.leave(residents.running[0])
    residents.admit(LIMITS)
    assert running(residents) == ["b"]


def test_nobody_overtakes_the_one_that_waits_for_room() -> None:
    backend = sim(n_cells=100)
    big, small = sequence("big", own=b"x" * 60), sequence("small", own=b"x")
    residents, _ = filled(sequence("first", own=b"x" * 60), big, small, backend=backend)
    assert running(residents) == ["first"]


def test_who_waits_for_room_rises_by_a_priority_each_minute_that_newcomers_overtake_it() -> None:
    backend = sim(n_cells=100)
    big = sequence("big", own=b"x" * 60, arrived_s=0.0)
    first = [sequence(f"first {n}", own=b"x" * 20, priority=7) for n in range(3)]
    residents, _ = filled(*first, big, backend=backend)
    overtook_s = []
    for number in range(1, 20):
        now_s = number * 10.0
        residents.leave(min(residents.running.values(), key=lambda one: one.order))
        new = sequence(f"{number}", own=b"x" * 20, priority=7, arrived_s=now_s)
        residents.add(new)
        residents.admit(LIMITS)
        if big.kv is not None:
            break
        if new.kv is not None:
            overtook_s.append(now_s)
    assert big.kv is not None
    assert max(overtook_s) < 2 * AGE_S


def test_who_has_risen_and_is_over_the_limit_keeps_nobody_out() -> None:
    limits = Limits(1000, 1, 60.0)
    residents, _ = filled(sequence("first", priority=7), limits=limits)
    residents.add(sequence("low"))
    residents.add(sequence("urgent", priority=9, arrived_s=10 * AGE_S))
    residents.admit(limits)
    assert running(residents) == ["first", "urgent"]


def test_who_waits_rises_as_fast_in_the_engine_as_in_the_line() -> None:
    assert turns.AGE_S == AGE_S


def test_idle_roots_leave_when_cells_run_short_the_oldest_first() -> None:
    backend = sim(n_cells=60)
    residents, _ = filled(backend=backend)
    for root in (b"a" * 20, b"b" * 20):
        one = sequence("x", root=root, own=b"y", cap=1)
        residents.add(one)
        while one.kv is None:
            step(residents, backend)
        residents.leave(one)
    third = sequence("z", own=b"x" * 30, cap=5)
    residents.add(third)
    residents.admit(LIMITS)
    assert third.kv is not None
    again = sequence("again", root=b"b" * 20, own=b"y", cap=1)
    residents.add(again)
    residents.admit(LIMITS)
    assert again.cached_tokens == 20


def test_a_root_in_use_stays() -> None:
    backend = sim(n_cells=60)
    user = sequence("user", root=b"r" * 20, own=b"y", cap=4)
    residents, _ = filled(user, backend=backend)
    while user.kv is None:
        step(residents, backend)
    waits = sequence("waits", own=b"x" * 38, cap=2)
    residents.add(waits)
    residents.admit(LIMITS)
    assert waits.kv is None


def test_a_full_cache_gives_up_idle_roots_before_it_parks_anyone() -> None:
    user = sequence("user", root=b"r" * 20)
    residents, backend = filled(user)
    while user.kv is None:
        step(residents, backend)
    residents.leave(user)
    one, two = sequence("one"), sequence("two", priority=1)
    residents.add(one)
    residents.add(two)
    residents.admit(LIMITS)
    assert residents.make_room()
    assert running(residents) == ["one", "two"]
    assert residents.make_room()
    assert running(residents) == ["one"]
    assert not residents.make_room()


def test_a_parked_sequence_keeps_its_tokens_and_resumes() -> None:
    one, two = sequence("one"), sequence("two", priority=1)
    residents, backend = filled(one, two)
    step(residents, backend)
    two.tokens.append(ord("!"))
    residents.make_room()
    assert (two.kv, two.n_past) == (None, 0)
    residents.leave(one)
    runs = step(residents, backend)
    assert [bytes(run.tokens) for run in runs] == [b"own!"]
    assert runs[0].is_sampled


def test_whoever_was_parked_waits_until_one_has_left() -> None:
    one, two = sequence("one"), sequence("two", priority=1)
    residents, backend = filled(one, two)
    step(residents, backend)
    residents.make_room()
    residents.admit(LIMITS)
    assert running(residents) == ["one"]
    residents.leave(one)
    residents.admit(LIMITS)
    assert running(residents) == ["two"]


def test_an_empty_cache_that_was_full_lets_the_next_one_in() -> None:
    one = sequence("one")
    residents, backend = filled(one, sequence("two", priority=1))
    step(residents, backend)
    residents.make_room()
    residents.leave(one)
    residents.add(sequence("three", priority=9))
    residents.admit(LIMITS)
    assert running(residents) == ["three", "two"]


def test_who_has_outgrown_a_smaller_context_sits_out_and_makes_room_for_others() -> None:
    long, short = sequence("long", own=b"x" * 90), sequence("short")
    residents, backend = filled(long)
    step(residents, backend)
    residents.add(short)
    smaller = Limits(50, 1, 60.0)
    assert [run.sequence for run in step(residents, backend, smaller)] == [short.kv]
    assert long.n_past == 90


def test_the_least_urgent_is_parked() -> None:
    low, high = sequence("low", priority=1), sequence("high", priority=9)
    residents, _ = filled(low, high)
    residents.make_room()
    assert running(residents) == ["high"]


def test_an_urgent_one_makes_others_sit_out_with_their_cells_kept() -> None:
    limits = Limits(1000, 1, 60.0)
    low, high = sequence("low", priority=1), sequence("high", priority=9)
    residents, backend = filled(low, limits=limits)
    step(residents, backend, limits)
    residents.add(high)
    assert {run.sequence for run in step(residents, backend, limits)} == {high.kv}
    assert low.n_past == 3


def test_with_no_sequence_allowed_nothing_is_offered() -> None:
    residents, backend = filled(sequence("a"), sequence("b", root=b"root"))
    assert step(residents, backend, Limits(1000, 0, 60.0)) == []


def test_more_roots_than_are_kept_do_without() -> None:
    sequences = [sequence(f"{n}", root=f"root {n}".encode()) for n in range(ROOTS_MAX + 2)]
    limits = Limits(1000, 64, 60.0)
    residents, _ = filled(*sequences, backend=sim(n_sequences=64), limits=limits)
    assert len(residents.running) == 2


@pytest.mark.parametrize(
    "run",
    [
        Run(0, 0, [1] * 20, False),
        Run(9, 0, [1], False),
        Run(0, 3, [1], False),
        Run(0, 0, [], False),
        Run(0, 0, [999], False),
        Run(0, 0, [-1], False),
    ],
)
def test_what_would_abort_the_process_is_refused_before_the_call(run: Run) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        Guard(n_batch=16, n_sequences=4, n_vocab=300).check([run])


def test_sharing_more_than_the_source_holds_is_refused() -> None:
    guard = Guard(n_batch=16, n_sequences=4, n_vocab=300)
    with pytest.raises(ValueError, match="sharing"):
        guard.note_share(0, 1, 5)
