"""Batch, shared roots and forced tokens against the plainest loop there is: the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.engine.backend import KvFull, Run
from edged.engine.constraints import Constraints
from edged.engine.frames import Cancel, Limits, Message, Prompt, Work
from edged.engine.llama import Llama, Shape
from edged.engine.schema import Lengths
from tests.engine_fixtures import Daemon, engine_process, work, write_config
from tests.naive_loop import SLIPS_SHARE, plain_answer, slips_allowed
from tests.tiny_gguf import ARCHITECTURES, write_tiny_gguf

pytestmark = pytest.mark.model

ROOTS = (
    "Read the dock message and answer with the record.\n<|input|>",
    "Read the label.<|input|>",
    "",
)
SCHEMAS: tuple[dict[str, Any] | None, ...] = (
    None,
    {
        "type": "object",
        "properties": {
            "event": {"enum": ["arrival", "departure", "damage", "temperature_alarm"]},
            "dock": {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
            "needs_human": {"type": "boolean"},
        },
        "required": ["event", "dock", "needs_human"],
    },
    {"type": "array", "items": {"enum": ["on", "off", "open"]}, "minItems": 3, "maxItems": 5},
)
LONG = {"type": "string", "minLength": 800, "maxLength": 850}
ASKED = [
    work(
        f"{place}-{number}-{kind}",
        f"pallet {number * 37} at door {number}",
        root=root,
        suffix="<|answer|>",
        schema=schema,
        max_tokens=20 if schema is None else None,
    )
    for place, root in enumerate(ROOTS)
    for kind, schema in enumerate(SCHEMAS)
    for number in range(4)
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_tiny_gguf(folder / f"{request.param}.gguf", architecture=request.param, seed=3)


@pytest.fixture(scope="module")
def llama(path: Path) -> Iterator[Llama]:
    shape = Shape(n_cells=1024, n_batch=512, n_sequences=4, n_threads=1)
    loaded = Llama(path, shape, lambda share: True)
    yield loaded
    loaded.close()


def test_batch_roots_and_forced_tokens_change_no_answer(
    path: Path, llama: Llama, tmp_path: Path
) -> None:
    expected = {asked.id: plain_answer(llama, asked) for asked in ASKED}
    config = write_config(tmp_path, model={"path": str(path), "threads": 1})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        outcomes = daemon.ask(*ASKED)
        daemon.close()
    slips = 0
    for outcome in outcomes:
        text, is_whole = expected[outcome.id]
        is_same = outcome.text.rstrip("\ufffd") == text
        slips += not (is_same if is_whole else outcome.text.startswith(text))
    assert slips <= slips_allowed(path, len(ASKED))
    assert sum(is_whole for _, is_whole in expected.values()) > len(ASKED) / 12
    assert sum(outcome.cached_tokens for outcome in outcomes) > 0
    assert sum(outcome.forced_tokens for outcome in outcomes) > 0
    assert max(len(step.shares) for step in daemon.steps) > 8


def test_cancel_leaves_its_neighbour_s_answer_as_it_was(
    path: Path, llama: Llama, tmp_path: Path
) -> None:
    neighbour = next(asked for asked in ASKED if asked.schema)
    expected, _ = plain_answer(llama, neighbour)
    config = write_config(tmp_path, model={"path": str(path), "threads": 1})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        daemon.send(Limits(1024, 8, 60.0), work("long", schema=LONG, stream=True))
        daemon.until_true(lambda: any(delta.id == "long" for delta in daemon.deltas))
        daemon.send(neighbour, Cancel("long"))
        cancelled, near = daemon.outcome("long"), daemon.outcome(neighbour.id)
        daemon.close()
    assert cancelled.finish == "cancelled"
    assert near.text.startswith(expected) or path.stem in SLIPS_SHARE


def test_a_row_is_the_same_alone_and_through_a_shared_root(llama: Llama) -> None:
    root, own = llama.vocabulary.tokenise("the template", special=True), [7, 8, 9]
    for sequence in range(4):
        llama.drop(sequence)
    (alone,) = llama.decode([Run(0, 0, [*root, *own], True)])
    alone = alone.copy()
    llama.decode([Run(1, 0, root, False)])
    llama.share(1, 2, len(root))
    (shared,) = llama.decode([Run(2, len(root), own, True)])
    np.testing.assert_allclose(shared, alone, atol=0.05)


def test_cells_of_a_dropped_root_stay_with_those_who_share_them(llama: Llama) -> None:
    for sequence in range(4):
        llama.drop(sequence)
    llama.decode([Run(0, 0, [1, 2, 3, 4], False)])
    llama.share(0, 1, 4)
    llama.share(0, 2, 4)
    (before,) = llama.decode([Run(1, 4, [5], True)])
    before = before.copy()
    llama.drop(0)
    (after,) = llama.decode([Run(2, 4, [5], True)])
    np.testing.assert_allclose(after, before, atol=0.01)


def test_a_cache_without_room_is_an_exception_and_the_rest_goes_on(llama: Llama) -> None:
    for sequence in range(4):
        llama.drop(sequence)
    llama.decode([Run(0, 0, [1] * 512, False)])
    llama.decode([Run(1, 0, [1] * 500, False)])
    with pytest.raises(KvFull):
        llama.decode([Run(2, 0, [1] * 100, True)])
    llama.drop(1)
    assert len(llama.decode([Run(2, 0, [1] * 100, True)])) == 1


def test_a_conversation_goes_through_the_file_s_own_chat_template(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ '<|input|>' if m.role == 'user' else '<|answer|>' }}"
        "{{ m.content }}{{ eos_token }}{% endfor %}<|answer|>"
    )
    path = write_tiny_gguf(tmp_path / "chat.gguf", chat_template=template)
    config = write_config(tmp_path, model={"path": str(path), "threads": 1})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        talk = (Message("user", "XY<|end|>"), Message("assistant", "Z"))
        measured = daemon.measure(Prompt(messages=talk))
        (outcome,) = daemon.ask(Work("a", Prompt(messages=talk), max_tokens=5))
        daemon.close()
    # BOS, <|input|>, 2 + 7 bytes, <|end|>, <|answer|>, 1 byte, <|end|>, <|answer|>
    assert measured.prompt_tokens == outcome.prompt_tokens == 16
    assert outcome.finish in ("length", "stop")


def test_the_vocabulary_reads_special_tokens_only_where_asked(llama: Llama) -> None:
    words = llama.vocabulary
    (answer,) = words.tokenise("<|answer|>", special=True)
    assert words.piece(answer) == b""
    plain = words.tokenise("<|answer|>", special=False)
    assert b"".join(map(words.piece, plain)) == b"<|answer|>"
    assert words.bos_text == "<|bos|>"


def test_the_schema_s_text_survives_tokens_of_several_bytes(llama: Llama) -> None:
    words = llama.vocabulary
    constraints = Constraints(words.guidance, words.n_tokens, Lengths())
    value = {"theater": ['":', "null"]}
    matcher = constraints.constraint(json.dumps({"const": value})).matcher()
    forced = matcher.ahead()
    assert json.loads(b"".join(map(words.piece, forced))) == value
    assert len(forced) < len(json.dumps(value, separators=(",", ":")))
