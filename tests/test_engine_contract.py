"""What a daemon may count on, the same over every backend: the real process, its real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.engine.frames import Cancel, Hello, Limits, Measure, Measured, Prompt, Sampling, Work
from edged.engine.protocol import PROTOCOL_VERSION
from tests.engine_fixtures import Daemon, EngineProcess, engine_process, work, write_config
from tests.npu_fixtures import stand_in
from tests.rkllm_fixtures import Rule, rkllm_config, say, stub_library
from tests.rknn_fixtures import FAKE, LABELS, rknn_config
from tests.tiny_gguf import ARCHITECTURES, write_tiny_gguf

pytestmark = pytest.mark.model

ROOT = "Read the dock message below and answer with the event record, nothing else.\n<|input|>"
SUFFIX = "<|answer|>"
LONG = {"type": "string", "minLength": 800, "maxLength": 850}
NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 12, "maxItems": 12}
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["arrival", "departure", "damage"]},
        "dock": {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
        "note": {"type": "string", "maxLength": 20},
    },
    "required": ["event", "dock", "note"],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "event": EVENT,
    "numbers": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
    "nested": {"type": "object", "properties": {"list": {"type": "array", "items": EVENT}}},
    "choice": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^P[0-9]{4}$"}]},
    "reference": {"$ref": "#/$defs/yes", "$defs": {"yes": {"type": "boolean"}}},
    "constant": {"const": {"answer": [1, 2]}},
}


# What the stub of RKLLM's model writes: it is held to no schema, so it must be told each answer.
LETTERS = "".join("xyz"[place % 3] for place in range(820))
SCRIPT: tuple[Rule, ...] = (
    say('"minLength":800', f'["{LETTERS}"]'),
    say('"minLength": 800', f'"{LETTERS}"'),
    say('"minLength": 200', f'"{LETTERS[:205]}"'),
    say('"prefixItems"', '["arrival",7,"ok"]'),
    say('"list"', '{"list": [{"event": "damage", "dock": null, "note": ""}]}'),
    say('"event"', '{"dock": 7, "event": "arrival", "note": "ok"}'),
    say('"type": "number"', "[1.50, 2]"),
    say('"anyOf"', '"P0123"'),
    say('"$ref"', "true"),
    say('"const": {"answer"', '{"answer": [1, 2]}'),
    say('"minItems": 12', "[" + ", ".join(["123456"] * 12) + "]"),
)
# Backends that decode batches of tokens; `rkllm` is given a whole prompt and tells what it wrote.
BATCHING = ("sim", "sim, to the last protocol", *ARCHITECTURES, "npu stand-in")


def not_over_rkllm(because: str) -> pytest.MarkDecorator:
    """Leave RKLLM and the classifier out where the rule is void; they have tests of their own."""
    assert because
    return pytest.mark.parametrize("engine", BATCHING, indirect=True)


def speaks(because: str) -> pytest.MarkDecorator:
    """Leave the classifier out, which writes nothing of its own; test_rknn.py has its rules."""
    assert because
    return pytest.mark.parametrize("engine", [*BATCHING, "rkllm"], indirect=True)


@pytest.fixture(scope="module", params=[*BATCHING, "rkllm", "rknn"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    if request.param == "rkllm":
        config = rkllm_config(folder, stub_library(tmp_path_factory.getbasetemp()), SCRIPT)
    elif request.param == "rknn":
        config = rknn_config(folder)
    elif request.param.startswith("sim"):
        config = write_config(folder, engine={"backend": "sim"})
    elif request.param == "npu stand-in":
        tables: dict[str, dict[str, Any]] = {
            "model": {"path": str(write_tiny_gguf(folder / "tiny.gguf")), "threads": 1},
            "npu": {"library": str(stand_in(tmp_path_factory.getbasetemp()))},
            "rkllm": {"lock": str(folder / "npu.lock")},
        }
        config = write_config(folder, **tables)
    else:
        path = write_tiny_gguf(folder / "tiny.gguf", architecture=request.param)
        config = write_config(folder, model={"path": str(path), "threads": 1})
    with engine_process(config, folder, FAKE) as started:
        spoken = PROTOCOL_VERSION - ("last protocol" in request.param)
        yield replace(started, spoken=spoken)


@pytest.fixture
def schema(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A schema that the engine can answer."""
    is_classifier = request.node.callspec.params["engine"] == "rknn"
    return {"enum": list(LABELS)} if is_classifier else EVENT


@pytest.fixture
def daemon(engine: EngineProcess) -> Iterator[Daemon]:
    connected = Daemon.connect(engine)
    connected.ready()
    yield connected
    connected.close()


def test_the_first_frame_is_hello_and_then_the_state(daemon: Daemon) -> None:
    assert isinstance(daemon.frames[0], Hello)


@speaks("a classifier answers a single enum alone")
@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_is_valid_by_its_schema(daemon: Daemon, name: str) -> None:
    (outcome,) = daemon.ask(work("a", schema=SCHEMAS[name]))
    assert outcome.finish == "schema"
    jsonschema.validate(json.loads(outcome.text), SCHEMAS[name])


@not_over_rkllm("one sequence at a time: nothing shares a batch")
def test_requests_of_different_kinds_share_the_batch(daemon: Daemon) -> None:
    every = [work(name, f"text {name}", schema=schema) for name, schema in SCHEMAS.items()]
    outcomes = daemon.ask(*every, work("free", max_tokens=12))
    assert {outcome.finish for outcome in outcomes[:-1]} == {"schema"}
    assert outcomes[-1].finish in ("stop", "length")
    assert any(len(step.shares) > 1 for step in daemon.steps)


@not_over_rkllm("an answer with a schema is told whole, once it is valid")
def test_the_deltas_join_to_the_text(daemon: Daemon) -> None:
    every = [work("a", schema=EVENT, stream=True), work("b", max_tokens=30, stream=True)]
    for outcome in daemon.ask(*every):
        parts = [delta.text for delta in daemon.deltas if delta.id == outcome.id]
        assert "".join(parts) == outcome.text
        assert len(parts) > 1 or not outcome.text


@not_over_rkllm("the runtime has no tokenizer to count with")
def test_a_compact_answer_is_reported_as_the_object_and_counted_as_written(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", schema=EVENT, wire="compact", stream=True))
    assert outcome.finish == "schema"
    jsonschema.validate(json.loads(outcome.text), EVENT)
    assert list(json.loads(outcome.text)) == list(EVENT["properties"])
    assert "".join(delta.text for delta in daemon.deltas) == outcome.text
    short = daemon.measure(Prompt(payload="pallet 7 at door 3"), EVENT, "compact")
    long = daemon.measure(Prompt(payload="pallet 7 at door 3"), EVENT)
    assert short.answer_tokens_max is not None
    assert short.answer_tokens_min <= outcome.output_tokens <= short.answer_tokens_max
    assert short.answer_tokens_min < long.answer_tokens_min
    assert short.prompt_tokens == long.prompt_tokens == outcome.prompt_tokens


def test_a_compact_answer_of_a_schema_without_fixed_keys_is_refused(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", schema=SCHEMAS["nested"], wire="compact"))
    assert (outcome.finish, outcome.reason) == ("failed", "bad_schema")
    assert "required" in outcome.detail
    measured = daemon.measure(Prompt(payload="x"), SCHEMAS["nested"], "compact")
    assert (measured.reason, measured.detail) == ("bad_schema", outcome.detail)


def test_without_stream_there_are_no_deltas(daemon: Daemon, schema: dict[str, Any]) -> None:
    daemon.ask(work("a", schema=schema))
    assert daemon.deltas == []


@not_over_rkllm("no tokenizer, no forced tokens, no probabilities")
def test_the_tokens_of_an_answer_are_accounted_for(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", schema=EVENT))
    measured = daemon.measure(Prompt(payload="pallet 7 at door 3"), EVENT)
    assert outcome.prompt_tokens == measured.prompt_tokens
    assert measured.answer_tokens_max is not None
    assert measured.answer_tokens_min <= outcome.output_tokens <= measured.answer_tokens_max
    assert 0 < outcome.forced_tokens < outcome.output_tokens
    assert sum(step.prefill_tokens for step in daemon.steps) == outcome.prompt_tokens
    assert outcome.confidence is not None
    assert 0 < outcome.confidence <= 1
    assert outcome.ttft_s is not None
    assert 0 < outcome.ttft_s <= outcome.total_s


def test_the_shares_of_every_step_sum_to_one(daemon: Daemon, schema: dict[str, Any]) -> None:
    daemon.ask(*[work(f"w{n}", schema=schema) for n in range(4)])
    sums = [sum(step.shares.values()) for step in daemon.steps if step.shares]
    assert sums == pytest.approx([1.0] * len(sums))


@not_over_rkllm("no token is forced: the model writes the constant too")
def test_a_constant_costs_no_step_at_all(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", schema={"const": "dock"}))
    assert (outcome.text, outcome.finish) == ('"dock"', "schema")
    assert outcome.forced_tokens == outcome.output_tokens > 0
    assert sum(step.prefill_tokens + step.decode_tokens for step in daemon.steps) == 0


@not_over_rkllm("roots are shared through files that are loaded at start only")
def test_a_cold_burst_prefills_its_root_once(daemon: Daemon) -> None:
    root = f"{ROOT} cold burst"
    whole = [daemon.measure(Prompt(root, f"n {n}", SUFFIX)).prompt_tokens for n in range(8)]
    outcomes = daemon.ask(
        *[work(f"w{n}", f"n {n}", root=root, suffix=SUFFIX, max_tokens=3) for n in range(8)]
    )
    cached = sorted({outcome.cached_tokens for outcome in outcomes})
    assert len(cached) == 2
    assert cached[0] == 0
    assert [outcome.cached_tokens for outcome in outcomes].count(0) == 1
    prefilled = sum(step.prefill_tokens for step in daemon.steps)
    assert prefilled == sum(whole) - 7 * cached[1]


@not_over_rkllm("roots are shared through files that are loaded at start only")
def test_a_warm_root_is_not_prefilled_again(daemon: Daemon) -> None:
    first, second = (work(id, root=f"{ROOT} warm", suffix=SUFFIX, max_tokens=2) for id in "ab")
    daemon.ask(first)
    (outcome,) = daemon.ask(second)
    assert outcome.cached_tokens > 0
    last = [step for step in daemon.steps if "b" in step.shares]
    assert (
        sum(step.prefill_tokens for step in last) == outcome.prompt_tokens - outcome.cached_tokens
    )


@speaks("a classifier writes no text")
def test_a_shared_root_gives_the_same_answer_as_a_whole_prompt(daemon: Daemon) -> None:
    shared = work("a", root=ROOT, suffix=SUFFIX, max_tokens=24)
    (first,) = daemon.ask(shared)
    (again,) = daemon.ask(work("b", root=ROOT, suffix=SUFFIX, max_tokens=24))
    assert first.text == again.text


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


@not_over_rkllm("no model is held to a schema: what is not whole is an error")
def test_an_answer_with_a_schema_is_closed_at_its_cap(daemon: Daemon) -> None:
    least = daemon.measure(Prompt(payload="a"), NUMBERS).answer_tokens_min
    every = [work(str(n), schema=NUMBERS, max_tokens=least + n, stream=True) for n in range(12)]
    for outcome in daemon.ask(*every):
        assert outcome.finish in ("schema", "length")
        assert outcome.output_tokens <= least + int(outcome.id)
        jsonschema.validate(json.loads(outcome.text), NUMBERS)
        parts = [delta.text for delta in daemon.deltas if delta.id == outcome.id]
        assert "".join(parts) == outcome.text
    assert daemon.outcomes["0"].finish == "length"
    assert daemon.outcomes["0"].filled[-1] == "[11]"


@speaks("a classifier writes no text")
def test_free_text_ends_at_its_cap(daemon: Daemon) -> None:
    (outcome,) = daemon.ask(work("a", "seven", max_tokens=1))
    assert outcome.finish in ("length", "stop")
    assert outcome.output_tokens <= 1


@speaks("a classifier writes no text")
def test_a_stop_string_ends_the_answer_before_it(daemon: Daemon) -> None:
    (whole,) = daemon.ask(work("a", max_tokens=40))
    middle = whole.text[len(whole.text) // 2 :][:2]
    asked = work("b", max_tokens=40, sampling=Sampling(stop=(middle,)), stream=True)
    (outcome,) = daemon.ask(asked)
    assert outcome.finish == "stop"
    assert outcome.text == whole.text.split(middle)[0]
    assert "".join(delta.text for delta in daemon.deltas) == outcome.text


@not_over_rkllm("the runtime has no seed")
def test_any_integer_is_a_seed(daemon: Daemon) -> None:
    hot = [Sampling(temperature=1.0, seed=seed) for seed in (-1, 0, 2**70)]
    outcomes = daemon.ask(
        *[work(str(sampling.seed), max_tokens=3, sampling=sampling) for sampling in hot]
    )
    assert [outcome.seed for outcome in outcomes] == [-1, 0, 2**70]


@not_over_rkllm("the runtime has no seed")
def test_a_drawn_seed_is_reported_and_repeats_the_answer(daemon: Daemon) -> None:
    def hot(id: str, seed: int | None) -> Work:
        return work(id, max_tokens=30, sampling=Sampling(temperature=1.5, seed=seed))

    (drawn,) = daemon.ask(hot("a", None))
    assert drawn.seed is not None
    (again,) = daemon.ask(hot("b", drawn.seed))
    assert (again.text, again.seed) == (drawn.text, drawn.seed)


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
