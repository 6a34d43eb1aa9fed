"""Everything that reads what others wrote, on seeds and on inputs made of them.

`python -m tools.fuzz` runs many more of the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.gguf_file import GgufHeader
from edged.errors import EngineUnusable
from edged.spool.rows import Job
from edged.spool.table import Table
from tools.fuzz import daemon, guided, spool
from tools.fuzz.__main__ import TARGETS, main, run
from tools.fuzz.mutate import LENGTH_MAX, mutated, overwritten
from tools.fuzz.target import Target

NAMED = {one.name: one for one in TARGETS}
ROOT = Path(__file__).parent.parent
# One input takes some 10 ms.
SLOW = "spool"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_seed_keeps_the_rules(target: Target) -> None:
    seeds = target.seeds()
    assert len(seeds) >= 2
    for seed in seeds:
        target.check(seed)


@pytest.mark.parametrize("name", [name for name in NAMED if name != SLOW])
@given(st.randoms(use_true_random=False))
def test_every_input_made_of_seeds_keeps_the_rules(name: str, random: Random) -> None:
    target = NAMED[name]
    target.check(mutated(target.seeds(), target.pieces, random))


@pytest.mark.parametrize("name", [name for name in NAMED if name != SLOW])
@given(st.binary(max_size=200))
def test_any_bytes_keep_the_rules(name: str, data: bytes) -> None:
    NAMED[name].check(data)


@pytest.mark.slow
def test_a_spool_with_changed_bytes_is_served_or_refused() -> None:
    assert run(NAMED[SLOW], 200, seed=1).findings == {}


@pytest.mark.slow
@pytest.mark.broker
def test_a_real_daemon_answers_every_prompt_and_says_nothing_else() -> None:
    assert not daemon.fuzzed(600, seed=1)


def test_a_spool_that_nobody_changed_serves_all_its_prompts() -> None:
    assert spool.promised(spool.spools()[0]) == spool.WAITING
    assert spool.served_of(spool.spools()[0]) == spool.WAITING


def test_one_changed_byte_costs_no_prompt_of_another_page() -> None:
    whole, costs = spool.spools()[0], set[int]()
    for page in set(spool.pages(whole)) - spool.leading():
        data = bytearray(whole)
        data[page * spool.PAGE_BYTES] ^= 0xFF
        costs.add(spool.WAITING - spool.promised(bytes(data)))
        spool.check_spool(bytes(data))
    assert 0 in costs
    assert len(costs) > 1


def test_most_inputs_of_the_spool_serve_prompts() -> None:
    random, whole = Random(5), [spool.spools()[0]]
    served = [spool.served_of(overwritten(whole, [], random)) for _ in range(40)]
    assert sum(count > 0 for count in served) > 20


def test_a_spool_that_drops_every_prompt_in_silence_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Table, "unfinished", lambda table: [])
    assert len(run(NAMED["spool"], 3, seed=1).findings) == 1


@given(st.randoms(use_true_random=False))
def test_an_input_is_never_longer_than_the_bound(random: Random) -> None:
    assert len(mutated([b"x" * LENGTH_MAX, b""], [], random)) <= LENGTH_MAX


def test_a_broken_rule_is_found_and_its_input_kept() -> None:
    def check(data: bytes) -> None:
        assert b"9" not in data

    found = run(Target("payload", check), 200, seed=1).findings
    assert [where.partition(" ")[0] for where in found] == ["AssertionError"]
    assert all(b"9" in data for data in found.values())


def test_the_command_counts_what_it_ran(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--inputs", "30", "--target", "order"]) == 0
    assert capsys.readouterr().out.startswith("order: 30 inputs, 0 findings, ")


# By coverage. libFuzzer ends its process, so that each of these is one.

NO_ATHERIS = pytest.mark.skipif(not guided.is_available(), reason=guided.MISSING)
# Chance finds such an input after some 10^9 others.
MAZE = """
import sys
from pathlib import Path
import atheris
from tools.fuzz.guided import fuzz
from tools.fuzz.target import Target

@atheris.instrument_func
def check(data):
    if data[:1] == b"d":
        if data[1:2] == b"o":
            if data[2:3] == b"c":
                assert data[3:4] != b"k"

fuzz(Target("payload", check), 200_000, 1, Path(sys.argv[1]))
"""


@NO_ATHERIS
@pytest.mark.parametrize("name", ["payload", "order", "config"])
def test_inputs_that_coverage_guides_keep_the_rules(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--guided", "--inputs", "400", "--target", name, "--found", str(tmp_path)]
    assert main(arguments) == 0
    assert re.match(rf"{name}, guided: #\d+ DONE cov: \d+ ", capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []


@NO_ATHERIS
def test_coverage_leads_to_a_broken_rule_and_its_input_is_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAZE, str(tmp_path / "found")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode != 0
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.read_bytes().startswith(b"dock")


# What was found, each with its input.


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", "two"),
        ("block_count", 2**64 - 1),
        ("block_count", float("inf")),
        ("attention.head_count", ["a"]),
        ("embedding_length", -1),
    ],
)
def test_a_number_of_a_model_that_is_none_is_refused(key: str, value: object) -> None:
    header = GgufHeader("llama", {f"llama.{key}": value}, 0)
    with pytest.raises(EngineUnusable, match=f"damaged: llama.{key} = "):
        header.number(key)


def test_a_model_of_a_billion_layers_is_refused_before_they_are_counted() -> None:
    header = GgufHeader("llama", {"llama.block_count": 10**9}, 0)
    with pytest.raises(EngineUnusable, match="1000000000 layers"):
        header.numbers("attention.head_count_kv", header.number("block_count"))


@pytest.mark.parametrize(
    "text",
    [
        b'{"prompt":{"payload":7},"sampling":{}}',
        b'{"prompt":{"payload":"hi","messages":[{"role":"user"}]},"sampling":{}}',
        b'{"prompt":{"payload":"hi"},"sampling":{"temperature":NaN}}',
        b'{"prompt":{"payload":"hi"},"sampling":{},"wire":"yaml"}',
        b"\xff",
    ],
)
def test_a_stored_prompt_that_the_engine_could_not_read_counts_as_lost(text: bytes) -> None:
    assert Job.from_json(text) is None
