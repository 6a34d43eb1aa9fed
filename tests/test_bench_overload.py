"""`edged bench delivery --overload`: its plan, figures of hand-made books, and all of it, small."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged import cli
from edged.bench.delivery.device import Heard
from edged.bench.delivery.overload import URGENT, USUAL, Books, Overload, sendings
from edged.bench.delivery.overload_report import figures, growth_share, lines
from edged.errors import ConfigError
from tests.broker import with_programs

ROOT = Path(__file__).parent.parent
MIB = 2**20


def test_the_urgent_one_asks_once_a_second_and_at_the_same_moments_under_load() -> None:
    alone = sendings(100.0, 0.0)
    loaded = sendings(100.0, 30.0)
    assert [int(one.at_s) for one in alone] == list(range(100))
    assert [one for one in loaded if one.client == URGENT] == alone


def test_the_others_ask_as_often_as_is_wanted_and_in_order() -> None:
    planned = sendings(600.0, 30.0)
    usual = [one for one in planned if one.client in USUAL]
    assert len(usual) / 600.0 == pytest.approx(30.0, rel=0.05)
    assert {one.client for one in usual} == set(USUAL)
    assert [one.at_s for one in planned] == sorted(one.at_s for one in planned)


def reply(event: str, **keys: Any) -> bytes:
    """Return a reply; an answer of 11 tokens, 20 ms each."""
    timing = {"ttft_s": 0.1, "total_s": 0.3}
    return json.dumps(
        {"event": event, "timing": timing, "usage": {"output_tokens": 11}} | keys
    ).encode()


def books(urgent_s: list[float], **ends: bytes) -> Books:
    """Return books of urgent prompts that took so long, and of usual ones with these ends."""
    found = Books(memory_bytes=[50 * MIB] * 8)
    answers = {(URGENT, str(number)): reply("done") for number in range(len(urgent_s))}
    for name, payload in (answers | {(USUAL[0], id): end for id, end in ends.items()}).items():
        took_s = urgent_s[int(name[1])] if name[0] == URGENT else 9.0
        found.asked[name] = 100.0
        found.ends[name] = [Heard("res", payload, False, 100.0 + took_s)]
    return found


ALONE = books([0.1] * 300)
REFUSAL = reply("refused", reason="quota", retry_after_s=3)


def met(loaded: Books, offered_per_s: float = 30.0) -> dict[str, bool]:
    """Return which of the figures that should reach something do."""
    found = lines(Overload(20.0, offered_per_s, ALONE, loaded))
    return {line.name: line.is_met for line in found if line.is_met is not None}


def test_a_board_that_reaches_all_is_told_so() -> None:
    loaded = books([0.149] * 300, a=reply("done"), b=REFUSAL)
    assert len(met(loaded)) == 7
    assert all(met(loaded).values())


def missed(loaded: Books, offered_per_s: float = 30.0) -> list[str]:
    """Return the names of the figures that are not met."""
    return [name for name, is_met in met(loaded, offered_per_s).items() if not is_met]


def test_each_figure_that_misses_is_told_so() -> None:
    usual = {"a": reply("done"), "b": REFUSAL}
    assert missed(books([0.151] * 300, **usual)) == ["urgent, loaded: p99"]
    assert missed(books([0.1] * 299, **usual)) == ["urgent prompts"]
    assert missed(books([0.1] * 300, **usual), 28.0) == ["load, of that"]
    bare = reply("refused", reason="quota")
    assert missed(books([0.1] * 300, a=usual["a"], b=bare)) == ["refusals without reason or time"]


def test_a_prompt_without_a_reply_and_one_with_two_ends_are_counted() -> None:
    loaded = books([0.1] * 300, a=reply("done"), b=REFUSAL)
    loaded.asked[USUAL[1], "lost"] = 1.0
    loaded.ends[USUAL[0], "b"].append(Heard("res", reply("done"), False, 2.0))
    assert missed(loaded) == ["prompts without a reply", "prompts with two ends"]
    told = figures(Overload(20.0, 30.0, ALONE, loaded))
    assert (told["without_reply"], told["with_two_ends"]) == (1, 1)
    assert told["ended"] == {"done": 301, "refused": 1}
    assert (told["step_s"], told["load_share"]) == (0.02, 1.5)


def test_what_the_board_itself_says_of_the_urgent_ones_is_told_beside_what_the_device_saw() -> None:
    told = figures(Overload(20.0, 30.0, ALONE, books([0.149] * 300, a=reply("done"), b=REFUSAL)))
    assert told["urgent_loaded"] == {
        "samples": 300,
        "median_s": 0.149,
        "p99_s": 0.149,
        "told_median_s": 0.3,
        "told_p99_s": 0.3,
    }


def test_memory_that_grows_is_told_and_what_it_takes_at_first_is_not() -> None:
    assert growth_share([10, 20, 50, 50, 50, 50, 50, 50]) == 0.0
    grown = [50 + number for number in range(40)]
    assert (
        growth_share(grown) == statistics.median(grown[30:]) / statistics.median(grown[10:20]) - 1
    )
    loaded = books([0.1] * 300, a=reply("done"), b=REFUSAL)
    loaded.memory_bytes = grown
    assert missed(loaded) == ["growth of memory"]


def test_an_even_disk_is_refused_for_the_figures_that_need_a_real_one() -> None:
    with pytest.raises(ConfigError, match="--even-disk: only with --overload"):
        cli.run(["bench", "delivery", "--even-disk"])


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.model
@pytest.mark.parametrize("even", [[], ["--even-disk"]], ids=["disk", "even disk"])
def test_all_of_it_small(tmp_path: Path, even: list[str]) -> None:
    file = tmp_path / "overload.json"
    arguments = ["--overload", "--quick", "--json", str(file), "--folder", str(tmp_path), *even]
    done = subprocess.run(
        [sys.executable, "-m", "edged", "bench", "delivery", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=with_programs(),
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(file.read_text())
    assert told["asked"] == sum(told["ended"].values())
    assert (told["without_reply"], told["with_two_ends"], told["refusals_unexplained"]) == (0, 0, 0)
    assert told["urgent_loaded"]["samples"] == 6
    assert told["load_share"] > 1
