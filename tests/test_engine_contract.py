"""What a daemon may count on, the same over every backend: the real process, its real socket."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.engine.frames import Cancel, Hello, Limits, Measure, Measured, Prompt, Work
from tests.backend_fixtures import EVENT, LONG, NUMBERS, ROOT, SUFFIX, not_over_rkllm, speaks
from tests.backend_fixtures import daemon as daemon
from tests.backend_fixtures import engine as engine
from tests.backend_fixtures import schema as schema
from tests.engine_fixtures import Daemon, EngineProcess, work

pytestmark = pytest.mark.model


def test_the_first_frame_is_hello_and_then_the_state(daemon: Daemon) -> None:
    assert isinstance(daemon.frames[0], Hello)


def test_the_shares_of_every_step_sum_to_one(daemon: Daemon, schema: dict[str, Any]) -> None:
    daemon.ask(*[work(f"w{n}", schema=schema) for n in range(4)])
    sums = [sum(step.shares.values()) for step in daemon.steps if step.shares]
    assert sums == pytest.approx([1.0] * len(sums))


@not_over_rkllm("it has no neighbour, and no deltas before it is valid")
def test_cancel_ends_one_and_its_neighbour_is_answered(daemon: Daemon) -> None:
    daemon.send(Limits(100_000, 64, 60.0), work("long", schema=LONG, stream=True))
    daemon.until_true(lambda: any(delta.id == "long" for delta in daemon.deltas))
    daemon.send(work("near", "neighbour", schema=EVENT), Cancel("long"))
    cancelled, near = daemon.outcome("long"), daemon.outcome("near")
    assert cancelled.finish == "cancelled"
    assert 0 < cancelled.output_tokens < 800
    jsonschema.validate(json.loads(near.text), EVENT)


@not_over_rkllm("nothing is told of an answer that is not valid yet")
def test_a_compact_answer_that_is_cancelled_is_the_beginning_of_an_object(daemon: Daemon) -> None:
    schema = {"type": "object", "properties": {"note": LONG}, "required": ["note"]}
    asked = work("long", schema=schema, wire="compact", stream=True)
    daemon.send(Limits(100_000, 64, 60.0), asked)
    daemon.until_true(lambda: len(daemon.deltas) > 3)
    daemon.send(Cancel("long"))
    outcome = daemon.outcome("long")
    assert outcome.finish == "cancelled"
    assert outcome.text.startswith('{"note":"')
    assert "".join(delta.text for delta in daemon.deltas) == outcome.text


@speaks("a classifier has no long answer")
def test_cancelling_what_waits_or_has_ended_is_harmless(daemon: Daemon) -> None:
    daemon.send(Limits(100_000, 1, 60.0), work("long", schema=LONG), work("waits"))
    daemon.send(Cancel("waits"), Cancel("nobody"), Cancel("long"), Cancel("long"))
    assert daemon.outcome("waits").finish == "cancelled"
    assert daemon.outcome("long").finish == "cancelled"
    assert daemon.ask(work("next", schema=EVENT))[0].finish == "schema"


@not_over_rkllm("one sequence at a time: nothing shares a batch")
def test_the_sequence_limit_acts_on_running_sequences_at_once(daemon: Daemon) -> None:
    long = [work(f"w{n}", f"{n}", schema=LONG) for n in range(3)]
    daemon.send(Limits(100_000, 3, 60.0), *long)
    daemon.until_true(lambda: any(len(step.shares) == 3 for step in daemon.steps))
    daemon.send(Limits(100_000, 1, 60.0))
    daemon.until_true(lambda: len(daemon.steps[-1].shares) == 1)
    seen = len(daemon.steps)
    daemon.until_true(lambda: len(daemon.steps) >= seen + 20)
    assert {tuple(step.shares) for step in daemon.steps[seen:]} == {("w0",)}
    daemon.send(Limits(100_000, 3, 60.0))
    daemon.until_true(lambda: len(daemon.steps[-1].shares) == 3)
    daemon.send(*[Cancel(one.id) for one in long])


@speaks("a classifier writes no text")
def test_a_prompt_over_the_granted_context_waits_for_more(daemon: Daemon) -> None:
    big = work("big", "x" * 300, max_tokens=20)
    daemon.send(Limits(128, 8, 60.0), big)
    assert daemon.ask(work("small", max_tokens=2), limits=Limits(128, 8, 60.0))[0].finish
    assert "big" not in daemon.outcomes
    daemon.send(Limits(1024, 8, 60.0))
    outcome = daemon.outcome("big")
    assert outcome.finish in ("stop", "length")
    assert outcome.context_tokens == 1024


@speaks("a classifier has no long answer")
def test_an_expired_lease_starts_no_step_until_the_next_frame(daemon: Daemon) -> None:
    text = {"type": "string", "minLength": 200, "maxLength": 210}
    daemon.send(Limits(100_000, 8, 0.02), work("long", schema=text))
    daemon.until_silent(0.1)
    assert "long" not in daemon.outcomes
    daemon.send(Limits(100_000, 8, 60.0))
    assert daemon.outcome("long").finish == "schema"


@not_over_rkllm("the runtime cannot lay an answer aside; the more urgent is next")
def test_the_more_urgent_is_answered_first(daemon: Daemon) -> None:
    low = [work(f"low{n}", schema=LONG, priority=1) for n in range(2)]
    daemon.send(Limits(100_000, 1, 60.0), *low, work("high", max_tokens=4, priority=9))
    assert daemon.outcome("high").finish in ("stop", "length")
    assert not {"low0", "low1"} & set(daemon.outcomes)
    daemon.send(*[Cancel(one.id) for one in low])


@speaks("a classifier has no long answer")
def test_measure_is_answered_while_a_long_answer_is_made(daemon: Daemon) -> None:
    daemon.send(Limits(100_000, 8, 60.0), work("long", schema=LONG))
    daemon.until_true(lambda: bool(daemon.steps))
    assert daemon.measure(Prompt(payload="abc"), EVENT).reason is None
    assert "long" not in daemon.outcomes
    daemon.send(Cancel("long"))


@speaks("a classifier refuses other things")
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Measure("m", Prompt(payload="a"), '{"foo": 1}'), "bad_schema"),
        (Measure("m", Prompt(payload="a" * 5000)), "too_long"),
    ],
)
def test_measure_tells_what_would_be_refused(daemon: Daemon, frame: Measure, reason: str) -> None:
    daemon.send(frame)
    measured = daemon.until(Measured)
    assert measured.reason == reason
    assert measured.detail
    assert (measured.prompt_tokens > 0) == (reason == "too_long")


@speaks("a classifier refuses other things")
@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (work("a", schema={"foo": 1}), "bad_schema"),
        (work("a", "a" * 5000), "too_long"),
        (work("a", max_tokens=5000), "too_long"),
        (replace(work("a", schema=NUMBERS, max_tokens=25), on_cap="error"), "cap"),
    ],
)
def test_what_cannot_be_answered_fails_with_its_reason(
    daemon: Daemon, asked: Work, reason: str
) -> None:
    (outcome,) = daemon.ask(asked)
    assert (outcome.finish, outcome.reason) == ("failed", reason)
    assert outcome.detail


@not_over_rkllm("how many tokens the shortest answer needs is not known without a tokenizer")
def test_a_cap_or_a_context_below_the_shortest_answer_is_refused(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", schema=EVENT, max_tokens=2))
    assert (outcome.finish, outcome.reason) == ("failed", "malformed")
    measured = daemon.measure(Prompt(payload="a"), {"type": "string", "minLength": 9000})
    assert (measured.reason, measured.prompt_tokens) == ("bad_schema", 0)


def test_many_more_requests_than_sequences_all_end(daemon: Daemon, schema: dict[str, Any]) -> None:
    every = [work(f"w{n}", f"message {n}", root=ROOT, schema=schema) for n in range(40)]
    assert {outcome.finish for outcome in daemon.ask(*every)} == {"schema"}


@speaks("a classifier writes no text")
def test_more_roots_than_there_is_room_for_all_get_answers(daemon: Daemon) -> None:
    every = [
        work(f"w{n}", "hi", root=f"template {n}: {'word ' * 9}", max_tokens=4) for n in range(40)
    ]
    assert {outcome.finish for outcome in daemon.ask(*every)} <= {"stop", "length"}


@not_over_rkllm("no root stays in its KV cache")
def test_when_the_daemon_goes_its_work_ends_and_model_and_roots_stay(engine: EngineProcess) -> None:
    first = Daemon.connect(engine)
    first.ready()
    first.ask(work("warm", root=f"{ROOT} stays", suffix=SUFFIX, max_tokens=2))
    first.send(work("long", schema=LONG))
    first.receive()
    first.close()
    second = Daemon.connect(engine)
    second.ready()
    (outcome,) = second.ask(work("next", root=f"{ROOT} stays", suffix=SUFFIX, max_tokens=2))
    assert outcome.cached_tokens > 0
    assert set(second.outcomes) == {"next"}
    assert {id for step in second.steps for id in step.shares} == {"next"}
    assert [frame.pid for frame in second.frames if isinstance(frame, Hello)] == [
        engine.process.pid
    ]
    second.close()


@speaks("a classifier has no long answer")
def test_a_new_daemon_takes_the_old_one_s_place(engine: EngineProcess, daemon: Daemon) -> None:
    daemon.send(Limits(100_000, 8, 60.0), work("old", schema=LONG))
    second = Daemon.connect(engine)
    second.ready()
    assert second.ask(work("new", schema=EVENT))[0].finish == "schema"
    with pytest.raises(AssertionError, match="closed the socket"):
        daemon.until_true(lambda: False)
    second.close()


@pytest.mark.parametrize(
    "junk", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x03abc"]
)
def test_a_daemon_that_speaks_nonsense_is_disconnected_and_the_engine_lives(
    engine: EngineProcess, daemon: Daemon, junk: bytes
) -> None:
    daemon.connection.sendall(junk)
    with pytest.raises(AssertionError, match="closed the socket"):
        daemon.receive()
    assert engine.process.poll() is None


def test_another_protocol_version_is_disconnected(daemon: Daemon) -> None:
    daemon.send(Hello(99, 1))
    with pytest.raises(AssertionError, match="closed the socket"):
        daemon.receive()


def test_a_socket_of_the_engine_is_for_its_user_alone(engine: EngineProcess) -> None:
    assert Path(engine.socket_path).stat().st_mode & 0o777 == 0o600
