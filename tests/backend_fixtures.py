"""A real engine process over each backend, and the rules that leave a backend out.

In: the parameter `engine` of a test.  Out: a daemon's end of that engine's socket, and schemas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edged.engine.protocol import PROTOCOL_VERSION
from tests.engine_fixtures import Daemon, EngineProcess, engine_process, write_config
from tests.npu_fixtures import stand_in
from tests.rkllm_fixtures import Rule, rkllm_config, say, stub_library
from tests.rknn_fixtures import FAKE, LABELS, rknn_config
from tests.tiny_gguf import ARCHITECTURES, write_tiny_gguf

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
