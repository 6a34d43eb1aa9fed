"""The benchmark's arithmetic: medians, pairs, bounds, what counts as right, how it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.bench import report, script
from edged.bench.inside import Inside
from edged.bench.overhead import buffer_bytes
from edged.bench.report import Need, Spread
from edged.bench.system import Answer, PeerFailed, Run, counted_rss_bytes, is_right
from edged.bench.table import table
from edged.bench.workload import WORKLOADS, Ask, as_json, measured
from tools.fill_benchmarks import DELIVERY, filled

INSIDE = Inside(prefill_tokens_per_s=1000, row_s=0.001, overhead_share=0.05, buffers_bytes=0)
ROOT = Path(__file__).parent.parent


def run(system: str, rate: float, repetition: int = 0, *, variant: str = "", right: int = 4) -> Run:
    answers = (Answer("x", 100, 21, 60, 11),) * 4
    return Run(system, variant, "json-cold", repetition, 4 / rate, 2.0, right, answers)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Spread(3, 3, 3)),
        ([1.0, 9.0, 2.0], Spread(2, 1, 9)),
        ([1.0, 2.0, 4.0, 8.0], Spread(3, 1, 8)),
    ],
)
def test_a_spread_is_a_median_and_its_extremes(values: list[float], expected: Spread) -> None:
    assert Spread.of(values) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([2.0], [1.0], 2.0),
        ([2.0, 4.0, 9.0], [1.0, 2.0, 3.0], 2.0),
        # The machine was slow in the second repetition, for both: the ratio does not see it.
        ([6.0, 0.6, 6.0], [3.0, 0.3, 3.0], 2.0),
    ],
)
def test_a_ratio_is_taken_pair_by_pair(
    ours: list[float], theirs: list[float], expected: float
) -> None:
    pairs = [
        [run(name, rate, repetition) for repetition, rate in enumerate(rates)]
        for name, rates in (("edged", ours), ("peer", theirs))
    ]
    assert report.pair_ratio(*pairs).median == pytest.approx(expected)


def test_pairs_are_found_in_any_order() -> None:
    ours = [run("edged", 2, 0), run("edged", 30, 1)]
    theirs = [run("peer", 10, 1), run("peer", 1, 0)]
    assert report.pair_ratio(ours, theirs) == Spread.of([2, 3])


def test_a_peer_is_reported_by_its_best_variant() -> None:
    slow = [run("peer", 1, n, variant="np 8") for n in range(3)]
    fast = [run("peer", 2, n, variant="np 16") for n in range(3)]
    best = report.best_variants([*slow, *fast, run("edged", 5)])
    assert {name: runs[0].variant for name, runs in best.items()} == {"peer": "np 16", "edged": ""}
    assert best["peer"] == fast


@pytest.mark.parametrize(
    ("roots", "expected"),
    [
        # Each prompt has 40 tokens of its own and an answer of 21, of which 11 were forced.
        (0, Need(kv_tokens=4 * (40 + 20), rows=4 * 10)),
        (1, Need(kv_tokens=60 + 4 * (40 + 20), rows=4 * 10)),
        (4, Need(kv_tokens=4 * 60 + 4 * (40 + 20), rows=4 * 10)),
    ],
)
def test_a_cold_root_must_be_computed_once_and_a_warm_one_never(roots: int, expected: Need) -> None:
    assert report.need(run("edged", 1).answers, roots) == expected


def test_the_bound_is_prefill_at_pp512_and_a_row_for_each_sampled_token() -> None:
    assert Need(kv_tokens=2000, rows=500).bound(10, INSIDE) == pytest.approx(10 / 2.5)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 1000))
def test_more_to_do_never_raises_the_bound(kv_tokens: int, rows: int, answers: int) -> None:
    bound = Need(kv_tokens, rows).bound(answers, INSIDE)
    assert Need(kv_tokens + 1, rows).bound(answers, INSIDE) < bound
    assert Need(kv_tokens, rows + 1).bound(answers, INSIDE) < bound


@pytest.mark.parametrize(
    ("workloads", "expected"),
    [
        ({"json-cold": 0.8, "json-warm": 0.7, "single": 0.1}, 0.7),
        ({"json-cold": 0.6, "json-warm": 0.7}, 0.6),
        ({"json-cold": 0.6}, None),
        ({}, None),
    ],
)
def test_the_share_of_the_bound_is_the_lower_of_cold_and_warm(
    workloads: dict[str, float], expected: float | None
) -> None:
    parts = {name: {"bound_share": share} for name, share in workloads.items()}
    assert report.compute_bound_share(parts) == expected


def test_a_workload_s_part_has_what_a_machine_reads() -> None:
    runs = [run("edged", 4), run("peer", 2, variant="np 8"), run("peer", 1, variant="np 16")]
    part = report.workload_report(runs, 1, INSIDE, is_scripted=True)
    assert part["unit"] == "answers/s"
    assert (part["edged"], part["peers"], part["ratio"]) == (4, {"peer": 2}, {"peer": 2})
    assert part["cpu_seconds_per_answer"] == {"edged": 0.5, "peer": 0.5}
    assert part["right"] == 1.0


def test_right_is_the_share_of_the_worst_system() -> None:
    runs = [run("edged", 4), run("peer", 2, right=3)]
    assert report.workload_report(runs, 1, INSIDE, is_scripted=True)["right"] == 0.75


def test_a_model_without_a_script_has_no_right_answers() -> None:
    assert report.workload_report([run("edged", 4)], 1, INSIDE, is_scripted=False)["right"] is None


def test_prompts_of_unequal_tokens_are_not_compared() -> None:
    longer = Run("peer", "", "json-cold", 0, 1, 1, 4, (Answer("x", 101, 21),) * 4)
    with pytest.raises(PeerFailed, match=r"edged has 100 tokens .* peer 101"):
        report.check_same_prompts([run("edged", 1), longer])


def test_equal_prompts_are() -> None:
    report.check_same_prompts([run("edged", 1), run("peer", 2), run("edged", 1, 1)])


def asked(name: str) -> Ask:
    return measured(next(item for item in WORKLOADS if item.name == name), 0)[0]


RECORD = script.answer("json")


@pytest.mark.parametrize(
    ("workload", "text", "expected"),
    [
        ("json-cold", RECORD, True),
        ("json-cold", json.dumps(json.loads(RECORD)), True),
        ("json-cold", RECORD.replace("true", "1"), False),
        ("json-cold", RECORD.replace("12", "13"), False),
        ("json-cold", RECORD[:-1], False),
        ("json-cold", "", False),
        ("compact-cold", script.answer("compact"), True),
        ("compact-cold", RECORD, True),
        ("compact-cold", RECORD.replace("12", "13"), False),
        ("text-cold", script.SENTENCE[:40], True),
        ("text-cold", script.SENTENCE[:40] + "?", False),
        ("text-cold", "", False),
    ],
)
def test_an_answer_is_right_when_it_is_the_canonical_one(
    workload: str, text: str, expected: bool
) -> None:
    assert is_right(asked(workload), Answer(text, 1, 1)) == expected


def test_a_peer_is_asked_for_the_record_where_edged_writes_bare_values() -> None:
    ask = asked("compact-cold")
    assert as_json(ask).prompt.suffix == script.suffix("json")
    assert is_right(as_json(ask), Answer(RECORD, 1, 1))
    assert as_json(asked("text-cold")) == asked("text-cold")


def test_llama_cpp_s_own_buffers_are_summed_and_the_mapped_file_is_not() -> None:
    lines = [
        "load_tensors:   CPU_Mapped model buffer size =   700.00 MiB",
        "load_tensors:   CPU_REPACK model buffer size =   1.50 MiB",
        "load_tensors: loading model tensors",
        "llama_kv_cache:        CPU KV buffer size =     8.00 MiB",
    ]
    assert buffer_bytes(lines) == 9.5 * 2**20


def test_resident_memory_leaves_out_one_mapped_file() -> None:
    smaps = [
        "7f00-7f01 r--p 00000000 fe:00 17 /models/m.gguf",
        "Rss:                 800 kB",
        "Pss:                 400 kB",
        "7f02-7f03 rw-p 00000000 00:00 0 ",
        "Rss:                   7 kB",
        "7f04-7f05 r-xp 00000000 fe:00 18 /lib/not/models/m.gguf.so",
        "Rss:                   3 kB",
        "VmFlags: rd ex mr mw me",
    ]
    assert counted_rss_bytes(smaps, "/models/m.gguf") == 10 * 1024


REPORT: dict[str, Any] = {
    "machine": {"cpu": "2 x CPU", "system": "Linux"},
    "build": {"edged": "0", "llama-cpp-python": "1", "llguidance": "2", "peers": {"peer": "v9"}},
    "model": {"name": "m", "bytes": 2**20, "digest": "sha256:0"},
    "setting": {"threads": 2, "context_tokens": 1024, "sequences": 8, "kv_tokens": 8192},
    "repeat": 5,
    "inside": {"prefill_tokens_per_s": 683.0, "row_s": 0.00046},
    "workloads": {
        "json-cold": report.workload_report(
            [run("edged", 4), run("peer", 2, variant="np 8")], 1, INSIDE, is_scripted=True
        ),
        "compact-cold": {"not available": "why"},
    },
    "compute_bound_share": 0.85,
    "overhead_share": 0.02,
    "rss_beyond_model_bytes": 2**20,
}


def test_a_person_reads_each_figure() -> None:
    lines = table(REPORT).splitlines()
    row = next(line for line in lines if "json-cold" in line)
    for cell in ("4.00 (4.00 to 4.00)", "2.00 (2.00 to 2.00), np 8", "2.00 ", "1.000", "0.500"):
        assert cell in row
    assert any("compact-cold" in line and "not available" in line for line in lines)
    assert any("peer v9" in line for line in lines)


def test_all_lines_of_the_table_have_the_same_cells() -> None:
    rows = [line for line in table(REPORT).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1


BEGIN, END = "<!-- engine: begin -->", "<!-- engine: end -->"


def test_results_take_the_place_of_the_old_ones() -> None:
    page = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    once = filled(page, "new")
    assert once == f"above\n{BEGIN}\nnew\n{END}\nbelow\n"
    assert filled(once, "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_one_place_for_results_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        filled(page, "new")


def test_the_page_of_benchmarks_can_be_filled() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert table(REPORT) in filled(page, table(REPORT))
    both = filled(filled(page, table(REPORT)), "how it is delivered", DELIVERY)
    assert "how it is delivered" in both
    assert table(REPORT) in both
