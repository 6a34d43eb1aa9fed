"""What the benchmark asks: cold roots are new, warm ones are not, nothing is asked twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.bench import engine, peers
from edged.bench.workload import (
    NAMES,
    QUICK_PROMPTS,
    WORKLOADS,
    Ask,
    Workload,
    chosen,
    lengthened,
    measured,
    warm_up,
)
from edged.errors import ConfigError

EACH = pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
REPETITIONS = range(7)


def roots(asks: list[Ask]) -> set[str]:
    return {ask.prompt.root for ask in asks}


@EACH
def test_a_cold_root_was_never_asked_before_and_a_warm_one_was(workload: Workload) -> None:
    seen: set[str] = set()
    for repetition in REPETITIONS:
        seen |= roots(warm_up(workload, repetition))
        fresh = roots(measured(workload, repetition)) - seen
        assert len(fresh) == (workload.templates if workload.is_cold else 0)
        seen |= fresh


def test_no_two_workloads_share_a_root() -> None:
    every = [roots(measured(item, n)) for item in WORKLOADS for n in REPETITIONS]
    cold_or_first = {root for found in every for root in found}
    expected = sum(item.templates * (len(REPETITIONS) if item.is_cold else 1) for item in WORKLOADS)
    assert len(cold_or_first) == expected


@EACH
def test_no_prompt_is_asked_twice(workload: Workload) -> None:
    texts = [ask.text for n in REPETITIONS for ask in measured(workload, n)]
    assert len(set(texts)) == len(texts)


@EACH
def test_templates_take_turns(workload: Workload) -> None:
    asks = measured(workload, 0)
    assert len(asks) == workload.prompts * workload.templates
    assert len(roots(asks[: workload.templates])) == workload.templates


@EACH
def test_each_repetition_s_prompts_are_equally_long(workload: Workload) -> None:
    assert len({len(ask.text) for n in REPETITIONS for ask in measured(workload, n)}) == 1


def test_names_choose_workloads_and_none_chooses_all() -> None:
    assert [item.name for item in chosen(["single", "json-cold"], is_quick=False)] == [
        "json-cold",
        "single",
    ]
    assert chosen([], is_quick=False) == list(WORKLOADS)


def test_a_quick_run_asks_little() -> None:
    assert {item.prompts for item in chosen([], is_quick=True)} == {QUICK_PROMPTS}


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 200))
def test_a_long_prompt_fills_its_room_and_no_more(room: int, least: int, step: int) -> None:
    long = next(item for item in WORKLOADS if item.is_long)
    steps = lengthened(long, room, [least, least + step]).long_words
    assert steps == 0 or least + steps * step <= room
    assert least + (steps + 1) * step > room


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("ollama", "llama-server:PATH, xllamacpp"),
        ("llama-server", "llama-server:PATH, xllamacpp"),
        ("llama-server:/nowhere", "tools/build_llama_server"),
        ("xllamacpp:x", "unknown"),
    ],
)
def test_a_peer_that_is_not_there_is_refused(words: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        peers.parse(words)


def test_each_peer_is_tried_with_as_many_slots_as_edged_and_with_fewer() -> None:
    slots = [peer.slots for peer in peers.parse("xllamacpp")]
    assert slots == list(peers.SLOTS)
    assert slots[-1] == order().setting.sequences


def order(*, names: tuple[str, ...] = (), repeat: int = 1) -> engine.Order:
    return engine.ordered(
        Path("m.gguf"), peer_words=[], names=names, repeat=repeat, threads=1, is_quick=True
    )


def test_an_unknown_workload_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="json: unknown; there are: json-cold"):
        order(names=("json",))


def test_nothing_to_repeat_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        order(repeat=0)
