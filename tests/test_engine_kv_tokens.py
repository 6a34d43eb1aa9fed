"""The KV cache is of a size of its own: whoever needs few cells shares it with many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.config import Config, parse
from edged.engine.frames import Limits, Outcome, Step, Work
from edged.errors import ConfigError
from tests.engine_fixtures import Daemon, engine_process, work, write_config
from tests.tiny_gguf import write_tiny_gguf

CONTEXT = 256


@pytest.mark.parametrize(
    ("model", "engine", "kv_tokens"),
    [
        ({}, {}, 8 * 1024),
        ({"context_tokens": 4096}, {}, 8 * 4096),
        ({"context_tokens": 512, "sequences": 3}, {}, 3 * 512),
        ({"sequences": 64}, {"kv_tokens": 1024}, 1024),
    ],
)
def test_the_cache_has_eight_whole_contexts_unless_it_is_said(
    model: dict[str, Any], engine: dict[str, Any], kv_tokens: int
) -> None:
    assert parse({"model": model, "engine": engine}, "test").kv_tokens == kv_tokens


def test_a_cache_under_one_context_is_refused_with_both_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"engine": {"kv_tokens": 512}}, "edged.toml")
    assert str(caught.value).startswith("edged.toml: engine.kv_tokens = 512")
    assert "model.context_tokens = 1024" in str(caught.value)


def test_the_shipped_cache_is_no_larger_than_eight_contexts() -> None:
    assert Config().kv_tokens == 8192
    assert Config().model.sequences == 32


def answered(folder: Path, *works: Work, kv_tokens: int) -> tuple[list[Outcome], list[Step]]:
    """Ask all at once of an engine whose cache holds so many tokens."""
    model = write_tiny_gguf(folder / "tiny.gguf")
    config = write_config(
        folder,
        model={"path": str(model), "threads": 1, "context_tokens": CONTEXT, "sequences": 16},
        engine={"kv_tokens": kv_tokens},
    )
    with engine_process(config, folder) as engine:
        daemon = Daemon.connect(engine)
        ready = daemon.ready()
        assert (ready.context_tokens, ready.sequences) == (CONTEXT, 16)
        outcomes = daemon.ask(*works, limits=Limits(CONTEXT, 16, 60.0))
        daemon.close()
    return outcomes, daemon.steps


@pytest.mark.model
def test_short_prompts_share_a_cache_of_two_contexts(tmp_path: Path) -> None:
    root = "the template of all of them, which is there once <|input|>"
    short = [work(f"{n}", f"{n}", root=root, max_tokens=12) for n in range(16)]
    outcomes, steps = answered(tmp_path, *short, kv_tokens=2 * CONTEXT)
    assert {outcome.finish for outcome in outcomes} <= {"stop", "length"}
    assert max(len(step.shares) for step in steps) == 16


@pytest.mark.model
def test_who_finds_no_seat_waits_for_one(tmp_path: Path) -> None:
    long = [work(f"{n}", f"{n}", max_tokens=CONTEXT - 20) for n in range(4)]
    outcomes, steps = answered(tmp_path, *long, kv_tokens=2 * CONTEXT)
    assert {outcome.finish for outcome in outcomes} <= {"stop", "length"}
    assert max(len(step.shares) for step in steps) == 2
