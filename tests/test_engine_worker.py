"""The step loop in one process with the test: a clock that only moves with the steps."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.canary import Canary, check_canary
from edged.engine.frames import Cancel, Limits, Prompt, Work
from edged.engine.inbox import Attached, Detached
from edged.engine.outlet import Outlet
from edged.engine.worker import CANARY_IDLE_S
from edged.errors import EngineUnusable
from tests.engine_fixtures import Daemon, work
from tests.worker_fixtures import BOUNDS, TIMING, bench, stepping


def test_an_answer_sits_out_for_a_more_urgent_one_and_goes_on_where_it_was() -> None:
    low = work("low", "me", max_tokens=40, priority=1)
    with bench() as scene:
        scene.put(low)
        with stepping(scene):
            alone = scene.daemon.outcome("low")
    with bench() as scene:
        scene.put(low, work("high", "m", max_tokens=20, priority=9))
        with stepping(scene):
            high = scene.daemon.outcome("high")
            outcome = scene.daemon.outcome("low")
    assert outcome.text == alone.text
    tokens = sum(step.prefill_tokens + step.decode_tokens for step in scene.daemon.steps)
    assert tokens == sum(
        one.prompt_tokens + one.output_tokens - (one.finish == "length") for one in (high, outcome)
    )
    served = [set(step.shares) for step in scene.daemon.steps if "high" in step.shares]
    assert {"high"} in served
    assert {"high", "low"} in served


def test_others_pay_for_the_step_that_a_more_urgent_one_waited_for() -> None:
    text = {"type": "string", "minLength": 20, "maxLength": 20}
    crowd = [work(f"low{n}", "me", priority=1, schema=text) for n in range(6)]
    high = work("high", "m", priority=9, schema=text)
    came_s: list[float] = []
    with bench() as scene:

        def come() -> None:
            if not came_s and scene.clock() > 2.0:
                came_s.append(scene.clock() - BOUNDS.step_s_max)
                scene.inbox.put(scene.preparer.sequence(high, came_s[0]), came_s[0])

        scene.clock.on_step = come
        scene.put(*crowd)
        with stepping(scene):
            scene.daemon.outcome("high")
        steps = [step for step in scene.daemon.steps if "high" in step.shares]
    alone_s = sum(step.step_s * step.shares["high"] for step in steps)
    took_s = BOUNDS.step_s_max + sum(step.step_s for step in steps)
    most_s = max(1.2 * alone_s, alone_s + BOUNDS.step_s_max)
    assert took_s <= most_s + TIMING.decode_s


def test_no_step_takes_longer_than_its_bound() -> None:
    with bench() as scene:
        scene.put(*[work(f"w{n}", "x" * 200, max_tokens=8) for n in range(8)])
        with stepping(scene):
            for n in range(8):
                scene.daemon.outcome(f"w{n}")
        assert max(step.step_s for step in scene.daemon.steps) <= BOUNDS.step_s_max * 1.001


def test_the_shares_follow_the_weight_of_prefill_and_decode() -> None:
    with bench() as scene:
        scene.put(work("a", "x", max_tokens=1), work("b", "x" * 19, max_tokens=1))
        with stepping(scene):
            scene.daemon.outcome("a")
        shares = scene.daemon.steps[0].shares
        # BOS and one byte: one prefill token and one sampled; BOS and 19 bytes: 19 and one.
        assert shares == pytest.approx({"a": 0.11 / 0.40, "b": 0.29 / 0.40}, rel=0.01)


def test_an_expired_lease_stops_the_steps_and_a_frame_resumes_them() -> None:
    with bench() as scene:
        asked = work("a", "hi", schema={"type": "string", "minLength": 100, "maxLength": 100})
        scene.put(Limits(1024, 8, 2.0), asked)
        with stepping(scene):
            scene.daemon.until_silent(0.2)
            assert 2.0 <= scene.clock() <= 2.0 + BOUNDS.step_s_max
            scene.put(Limits(1024, 8, 1e9))
            assert scene.daemon.outcome("a").finish == "schema"


def test_work_that_took_long_to_prepare_shortens_no_lease() -> None:
    with bench() as scene:
        prepared = scene.preparer.sequence(work("a", "hi", max_tokens=3), 0.0)
        scene.clock.now_s = 10.0
        scene.put(Limits(1024, 8, 2.0))
        scene.inbox.put(prepared, 0.0)
        with stepping(scene):
            assert scene.daemon.outcome("a").finish in ("stop", "length")


def test_a_full_cache_parks_one_and_fails_nobody() -> None:
    with bench(n_cells=256) as scene:
        scene.backend.n_cells = 4096  # what the books reserve by
        scene.put(*[work(f"w{n}", f"{n}" * 60, max_tokens=60) for n in range(4)])
        alone = {}
        with stepping(scene):
            scene.clock.on_step = lambda: setattr(scene.backend, "n_cells", 160)
            for n in range(4):
                alone[n] = scene.daemon.outcome(f"w{n}")
        assert {outcome.finish for outcome in alone.values()} <= {"stop", "length"}


def test_parking_does_not_change_the_answer() -> None:
    texts = []
    for n_cells in (4096, 140):
        with bench() as scene:
            scene.clock.on_step = lambda scene=scene, n_cells=n_cells: setattr(  # type: ignore[misc]
                scene.backend, "n_cells", n_cells
            )
            scene.put(*[work(f"w{n}", f"{n}" * 60, max_tokens=30) for n in range(3)])
            with stepping(scene):
                texts.append([scene.daemon.outcome(f"w{n}").text for n in range(3)])
    assert texts[0] == texts[1]


def test_a_neighbour_never_changes_an_answer() -> None:
    with bench() as scene, stepping(scene):
        scene.put(work("alone", "the same", max_tokens=40))
        alone = scene.daemon.outcome("alone").text
        scene.put(*[work(f"w{n}", "n" * n, max_tokens=40) for n in range(1, 7)])
        scene.put(work("among", "the same", max_tokens=40))
        assert scene.daemon.outcome("among").text == alone


actions = st.lists(
    st.one_of(
        st.builds(
            work,
            st.just("named below"),
            st.text("ab ", min_size=1, max_size=80),
            root=st.sampled_from(["", "root one ", "another root "]),
            schema=st.sampled_from([None, {"type": "array", "items": {"type": "boolean"}}]),
            max_tokens=st.one_of(st.none(), st.integers(4, 60)),
            stream=st.booleans(),
            priority=st.integers(0, 9),
        ),
        st.integers(0, 30).map(str).map(Cancel),
        st.builds(Limits, st.sampled_from([1024, 120]), st.integers(1, 8), st.just(1e9)),
    ),
    max_size=40,
)


@given(script=actions, cells=st.sampled_from([4096, 400]))
def test_whatever_comes_each_request_ends_once_and_gives_its_cells_back(
    script: list[Work | Cancel | Limits], cells: int
) -> None:
    left = [
        replace(item, id=str(place)) if isinstance(item, Work) else item
        for place, item in enumerate(script)
    ]
    ids = {item.id for item in left if isinstance(item, Work)}
    with bench(n_cells=4096) as scene:
        turn = threading.Lock()

        def put_some(count: int) -> None:
            with turn:
                scene.put(*left[:count])
                del left[:count]

        def on_step() -> None:
            scene.backend.n_cells = cells
            put_some(2)

        scene.clock.on_step = on_step
        scene.put(work("first", max_tokens=30))
        with stepping(scene):
            scene.daemon.outcome("first")
            put_some(len(left))
            scene.put(Limits(1024, 8, 1e9))
            for id in ids:
                scene.daemon.outcome(id)
            scene.daemon.until_silent(0.02)
        ended = [outcome.id for step in scene.daemon.steps for outcome in step.outcomes]
        reported = {id for step in scene.daemon.steps for id in step.shares}
        assert sorted(ended) == sorted(ids | {"first"})
        assert reported <= set(ended)
        held = scene.worker.residents
        assert (held.running, held.waiting) == ({}, [])
        assert held.n_free_ids() + held.n_roots() == scene.backend.n_sequences


def test_a_new_daemon_is_told_nothing_of_the_old_one_s_work() -> None:
    with bench() as scene:
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        with ours, theirs:
            scene.put(work("old", schema={"const": 1}), work("running"), Cancel("running"))
            scene.inbox.put(Detached(), 0.0)
            scene.inbox.put(Attached(Outlet(ours)), 0.0)
            scene.put(work("new", max_tokens=3))
            with stepping(scene):
                daemon = Daemon(theirs)
                daemon.outcome("new")
            assert set(daemon.outcomes) == {"new"}


def test_work_that_comes_twice_is_answered_once() -> None:
    with bench() as scene:
        scene.put(work("a", max_tokens=5), work("a", max_tokens=5), work("b", max_tokens=40))
        with stepping(scene):
            scene.daemon.outcome("b")
        ended = [outcome.id for step in scene.daemon.steps for outcome in step.outcomes]
        assert sorted(ended) == ["a", "b"]


def test_the_canary_is_asked_again_after_fifteen_idle_minutes() -> None:
    asked: list[float] = []
    with bench(canary=lambda worker: asked.append(1.0)) as scene, stepping(scene):
        scene.put(work("a", max_tokens=2))
        scene.daemon.outcome("a")
        assert asked == []
        scene.clock.now_s += CANARY_IDLE_S + 1
        scene.put(work("b", max_tokens=2))
        scene.daemon.outcome("b")
        assert asked == [1.0]


def test_a_busy_npu_is_asked_its_canary_every_fifteen_minutes() -> None:
    asked: list[float] = []
    with bench(canary=lambda worker: asked.append(1.0)) as scene:
        scene.backend.npu_matmuls = 7
        with stepping(scene):
            for minutes in (10, 10, 10, 10):
                scene.clock.now_s += 60.0 * minutes
                id = f"at {scene.clock.now_s}"
                scene.put(work(id, max_tokens=2))
                scene.daemon.outcome(id)
    assert len(asked) == 2


def test_nothing_from_an_npu_is_a_failure_and_brings_the_canary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []
    with bench(canary=lambda worker: asked.append(1.0)) as scene:
        scene.backend.npu_matmuls = 7
        words = scene.backend.vocabulary
        monkeypatch.setattr(type(words), "is_end", lambda self, token: True)
        with stepping(scene):
            scene.put(work("a", max_tokens=2))
            outcome = scene.daemon.outcome("a")
            scene.put(work("b", max_tokens=2))
            scene.daemon.outcome("b")
    assert (outcome.finish, outcome.reason) == ("failed", "engine_failed")
    assert asked == [1.0]


def test_a_canary_with_the_wrong_answer_makes_the_engine_unusable() -> None:
    canary = Canary(Prompt(payload="x"), '{"enum": ["yes", "no"]}', '"maybe"')
    with bench() as scene, pytest.raises(EngineUnusable, match="instead of"):
        check_canary(scene.worker, scene.preparer, canary)


def test_a_canary_that_does_not_fit_names_the_setting() -> None:
    with bench() as scene, pytest.raises(EngineUnusable, match=r"model\.context_tokens"):
        check_canary(scene.worker, scene.preparer, Canary(Prompt(payload="x" * 2000)))


def test_a_canary_with_the_right_answer_is_silent() -> None:
    canary = Canary(Prompt(payload="x"), '{"const": "yes"}', '"yes"')
    with bench() as scene:
        check_canary(scene.worker, scene.preparer, canary)
        check_canary(scene.worker, scene.preparer, Canary(Prompt(payload="x")))


def test_an_idle_engine_takes_no_step() -> None:
    with bench() as scene:
        scene.put(work("a", max_tokens=2))
        with stepping(scene):
            scene.daemon.outcome("a")
            before_s = scene.clock()
            scene.daemon.until_silent(0.1)
            assert scene.clock() == before_s
