"""What an answer holds, the same over every backend: its text, its tokens, its end."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from edged.engine.frames import Prompt, Sampling, Work
from tests.backend_fixtures import EVENT, NUMBERS, ROOT, SUFFIX, not_over_rkllm, speaks
from tests.backend_fixtures import daemon as daemon
from tests.backend_fixtures import engine as engine
from tests.backend_fixtures import schema as schema
from tests.engine_fixtures import Daemon, work

pytestmark = pytest.mark.model
SCHEMAS: dict[str, dict[str, Any]] = {
    "event": EVENT,
    "numbers": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
    "nested": {"type": "object", "properties": {"list": {"type": "array", "items": EVENT}}},
    "choice": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^P[0-9]{4}$"}]},
    "reference": {"$ref": "#/$defs/yes", "$defs": {"yes": {"type": "boolean"}}},
    "constant": {"const": {"answer": [1, 2]}},
}


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
