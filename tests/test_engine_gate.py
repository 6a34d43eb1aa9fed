"""Steps wait for the daemon where it paces them, and for nobody where it does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.engine.frames import Go, Limits, Wish
from edged.engine.gate import NOTHING, Gate
from edged.engine.worker import Worker
from tests.engine_fixtures import work
from tests.worker_fixtures import bench, stepping

PACED = Limits(1024, 8, 1e9, is_paced=True)
FREE = Limits(1024, 8, 1e9)
SIZES = st.lists(st.integers(1, 64), min_size=1, max_size=8)


def batch(*sizes: int) -> Wish:
    return Wish(sum(sizes), len(sizes))


@given(SIZES)
def test_without_pacing_every_batch_may_run(sizes: list[int]) -> None:
    told: list[Wish] = []
    assert Gate().opens(batch(*sizes), FREE, told.append)
    assert told == []


@given(SIZES)
def test_a_batch_is_wished_for_once_and_runs_with_its_permit(sizes: list[int]) -> None:
    gate, told = Gate(), list[Wish]()
    for _ in range(3):
        assert not gate.opens(batch(*sizes), PACED, told.append)
    assert told == [batch(*sizes)]
    gate.take(Go(sum(sizes), len(sizes), 1))
    assert gate.opens(batch(*sizes), PACED, told.append)
    assert not gate.opens(batch(*sizes), PACED, told.append)


def test_a_permit_of_several_steps_is_used_up() -> None:
    gate, told = Gate(), list[Wish]()
    gate.take(Go(4, 4, 3))
    opened = [gate.opens(batch(1, 1, 1, 1), PACED, told.append) for _ in range(5)]
    assert opened == [True, True, True, False, False]


def test_a_batch_that_has_grown_is_asked_for_again() -> None:
    gate, told = Gate(), list[Wish]()
    gate.take(Go(4, 1, 1))
    assert not gate.opens(batch(5), PACED, told.append)
    assert told == [Wish(5, 1)]


def test_a_permit_that_nothing_needs_is_given_back_once() -> None:
    gate, told = Gate(), list[Wish]()
    gate.take(Go(4, 4, 3))
    gate.rest(told.append)
    gate.rest(told.append)
    assert told == [NOTHING]
    assert not gate.opens(batch(1), PACED, told.append)


def test_a_gate_that_never_asked_has_nothing_to_give_back() -> None:
    told: list[Wish] = []
    Gate().rest(told.append)
    assert told == []


def test_a_paced_engine_runs_one_step_for_each_permit() -> None:
    permits = 0
    with bench() as scene:
        scene.put(PACED, work("a", "x" * 100, max_tokens=3))
        with stepping(scene):
            while "a" not in scene.daemon.outcomes:
                frame = scene.daemon.receive()
                if isinstance(frame, Wish) and frame != NOTHING:
                    permits += 1
                    scene.put(Go(frame.tokens, frame.sequences, 1))
    assert len(scene.daemon.steps) == permits


def test_a_chunk_is_no_larger_than_the_daemon_allows() -> None:
    with bench() as scene:
        scene.put(Limits(1024, 8, 1e9, chunk_tokens=16), work("a", "x" * 200, max_tokens=1))
        with stepping(scene):
            scene.daemon.outcome("a")
    assert max(step.prefill_tokens for step in scene.daemon.steps) == 16


def test_the_canary_asks_for_no_permit() -> None:
    asked: list[str] = []

    def canary(worker: Worker) -> None:
        asked.append("asked")

    with bench(canary=canary) as scene:
        scene.clock.now_s = 1e6
        scene.put(PACED, work("a", "x", max_tokens=1))
        with stepping(scene):
            wish = scene.daemon.until(Wish)
            scene.put(Go(wish.tokens, wish.sequences, 1))
            scene.daemon.outcome("a")
    assert asked == ["asked"]
