"""`edged bench engine` through the real engine process, on a small scripted model."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.bench import script
from edged.bench.resident import has_wire
from edged.bench.workload import NAMES
from tools import make_bench_model

pytestmark = pytest.mark.model

ROOT = Path(__file__).parent.parent
DOCK_MINI = ROOT / "edged/models/dock-mini/dock-mini.gguf"


def bench(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Return the finished `edged bench engine`, and its report if it wrote one."""
    file = folder / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "edged", "bench", "engine", "--json", str(file), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    return done, json.loads(file.read_text()) if file.exists() else None


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "scripted.gguf"
    words = ["--shape", "tiny", "--scripted", "--vocabulary", str(DOCK_MINI), str(path)]
    assert make_bench_model.main(words) == 0
    return path


@pytest.fixture(scope="module")
def report(scripted: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bench")
    done, report = bench(folder, "--model", str(scripted), "--quick", "--repeat", "2")
    assert (done.returncode, done.stderr) == (0, "")
    return report


def available(report: Any) -> dict[str, Any]:
    """Return the workloads that this edged has."""
    return {name: part for name, part in report["workloads"].items() if "unit" in part}


@pytest.mark.slow
def test_a_scripted_model_gives_the_canonical_answer_in_every_workload(report: Any) -> None:
    assert {name: part["right"] for name, part in available(report).items()} == dict.fromkeys(
        available(report), 1.0
    )


def test_every_workload_is_in_the_report(report: Any) -> None:
    assert tuple(report["workloads"]) == NAMES
    missing = set(NAMES) - set(available(report))
    assert missing == (set() if has_wire() else {"compact-cold", "compact-warm"})


def test_every_figure_is_a_number_that_can_be(report: Any) -> None:
    for part in available(report).values():
        figures = [part["edged"], part["bound"], part["bound_share"]]
        assert all(math.isfinite(figure) and figure > 0 for figure in figures)
        assert part["spread"]["edged"][0] <= part["edged"] <= part["spread"]["edged"][1]
    assert 0 < report["overhead_share"] < 1
    cold, warm = (report["workloads"][name]["bound_share"] for name in ("json-cold", "json-warm"))
    assert report["compute_bound_share"] == min(cold, warm)
    assert 0 < report["rss_beyond_model_bytes"] < 2**30


def test_a_long_input_fills_the_context_but_for_its_answer(report: Any) -> None:
    tokens = report["workloads"]["long-input"]["tokens"]["edged"]
    room = report["setting"]["context_tokens"] - script.max_tokens("json")
    assert 0.8 * room < tokens["prompt"] <= room


@pytest.mark.slow
def test_the_shipped_model_runs_too_and_nobody_says_what_is_right(tmp_path: Path) -> None:
    done, report = bench(tmp_path, "--quick", "--repeat", "1", "--workload", "single")
    assert (done.returncode, done.stderr) == (0, "")
    assert report["workloads"]["single"]["right"] is None
    assert report["model"]["name"] == "dock-mini"


def test_a_model_scripted_for_other_answers_is_refused(scripted: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.gguf"
    old.write_bytes(scripted.read_bytes().replace(script.digest().encode(), b"0" * 16))
    done, report = bench(tmp_path, "--model", str(old), "--quick")
    assert (done.returncode, report) == (78, None)
    assert "make_bench_model" in done.stderr


@pytest.mark.slow
def test_a_peer_that_cannot_start_ends_it_in_words(scripted: Path, tmp_path: Path) -> None:
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    broken.chmod(0o755)
    words = ["--model", str(scripted), "--quick", "--workload", "single"]
    done, report = bench(tmp_path, *words, "--peer", f"llama-server:{broken}")
    assert (done.returncode, report) == (1, None)
    assert "llama-server did not come up: no such luck" in done.stderr
