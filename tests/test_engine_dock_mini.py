"""The shipped model in a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from edged.engine.frames import Message, Prompt, Work
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


def example(template: Template) -> Work:
    return Work(template.name, template.prompt(template.example_input), template.schema)


def test_it_becomes_ready_after_its_known_answer(daemon: Daemon) -> None:
    ready = daemon.ready()
    assert (ready.name, ready.backend) == ("dock-mini", "llama")


def test_every_template_s_example_gets_a_valid_answer(daemon: Daemon) -> None:
    outcomes = daemon.ask(*[example(template) for template in TEMPLATES.values()])
    for outcome in outcomes:
        assert outcome.finish == "schema"
        schema = TEMPLATES[outcome.id].schema
        assert schema is not None
        jsonschema.validate(json.loads(outcome.text), json.loads(schema))
        assert outcome.forced_tokens > outcome.output_tokens / 3


def test_a_plain_prompt_goes_through_its_format(daemon: Daemon) -> None:
    prompt = Prompt(messages=(Message("user", "truck left dock 4"),))
    (outcome,) = daemon.ask(Work("plain", prompt, max_tokens=40))
    assert outcome.finish in ("stop", "length")
    assert "<|" not in outcome.text
