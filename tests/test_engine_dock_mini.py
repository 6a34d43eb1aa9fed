"""The shipped model in a real engine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.engine.compact import wire_schema
from edged.engine.frames import Message, Outcome, Prompt, Wire, Work
from edged.templates import Template, load
from tests.engine_fixtures import Daemon, engine_process, write_config

pytestmark = pytest.mark.model

FOLDER = Path(__file__).parent.parent / "edged/models/dock-mini/templates"
TEMPLATES = load(FOLDER)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("engine")
    with engine_process(write_config(folder), folder) as engine:
        connected = Daemon.connect(engine)
        yield connected
        connected.close()


def example(template: Template, wire: Wire = "json", *, stream: bool = False) -> Work:
    prompt = template.prompt(template.example_input)
    return Work(template.name, prompt, template.schema, wire=wire, stream=stream)


def schema_of(template: Template) -> Any:
    assert template.schema is not None
    return json.loads(template.schema)


def test_it_becomes_ready_after_its_known_answer(daemon: Daemon) -> None:
    ready = daemon.ready()
    assert (ready.name, ready.backend) == ("dock-mini", "llama")


def test_every_template_s_example_gets_a_valid_answer(daemon: Daemon) -> None:
    outcomes = daemon.ask(*[example(template) for template in TEMPLATES.values()])
    for outcome in outcomes:
        assert outcome.finish == "schema"
        jsonschema.validate(json.loads(outcome.text), schema_of(TEMPLATES[outcome.id]))
        assert outcome.forced_tokens > outcome.output_tokens / 3


def test_a_plain_prompt_goes_through_its_format(daemon: Daemon) -> None:
    prompt = Prompt(messages=(Message("user", "truck left dock 4"),))
    (outcome,) = daemon.ask(Work("plain", prompt, max_tokens=40))
    assert outcome.finish in ("stop", "length")
    assert "<|" not in outcome.text


def alone(daemon: Daemon, work: Work) -> Outcome:
    """Return the outcome of work whose name other tests have used too."""
    daemon.outcomes.pop(work.id, None)
    daemon.deltas.clear()
    return daemon.ask(work)[0]


EACH_TEMPLATE = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())


@EACH_TEMPLATE
def test_a_compact_answer_is_valid_by_the_template_s_schema(
    daemon: Daemon, template: Template
) -> None:
    outcome = alone(daemon, example(template, "compact", stream=True))
    assert outcome.finish == "schema"
    jsonschema.validate(json.loads(outcome.text), schema_of(template))
    assert list(json.loads(outcome.text)) == list(schema_of(template)["properties"])
    assert "".join(delta.text for delta in daemon.deltas) == outcome.text


@EACH_TEMPLATE
def test_the_same_answer_has_fewer_tokens_in_the_compact_form(
    daemon: Daemon, template: Template
) -> None:
    known = json.loads(template.example_answer)
    only = {
        "type": "object",
        "properties": {name: {"const": value} for name, value in known.items()},
        "required": list(known),
        "additionalProperties": False,
    }
    asked = replace(example(template), schema=json.dumps(only))
    long, short = alone(daemon, asked), alone(daemon, replace(asked, wire="compact"))
    assert json.loads(long.text) == json.loads(short.text) == known
    assert long.text == short.text
    assert short.output_tokens < long.output_tokens


def test_both_forms_share_a_template_s_root(daemon: Daemon) -> None:
    template = TEMPLATES["dock-event"]
    long, short = (alone(daemon, example(template, wire)) for wire in ("json", "compact"))
    assert short.prompt_tokens == long.prompt_tokens
    assert short.cached_tokens == long.cached_tokens > 0


def test_the_array_s_own_bounds_are_those_of_the_compact_form(daemon: Daemon) -> None:
    schema = schema_of(TEMPLATES["dock-event"])
    prompt = TEMPLATES["dock-event"].prompt("x")
    assert daemon.measure(prompt, schema, "compact") == daemon.measure(prompt, wire_schema(schema))


@EACH_TEMPLATE
@pytest.mark.parametrize("wire", ["json", "compact"])
def test_every_field_of_an_answer_has_a_score_in_both_forms(
    daemon: Daemon, template: Template, wire: Wire
) -> None:
    outcome = alone(daemon, example(template, wire))
    assert [score.name for score in outcome.fields] == list(json.loads(outcome.text))
    assert all(score.log_p_sum <= score.log_p_min <= 0 for score in outcome.fields)
    assert outcome.confidence is not None
    lowest = min(score.log_p_min for score in outcome.fields)
    assert outcome.confidence == pytest.approx(math.exp(lowest), rel=1e-4)
