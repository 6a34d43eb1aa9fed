"""A backend beside the CPU's, compiled by our tool and used by llama.cpp: ggml-blas stands in.

What is shown is the way in, the proof and the counting. It says nothing of a Rockchip's NPU.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged import templates
from edged.engine import child
from edged.engine.frames import Broken, Limits, Work
from edged.engine.ggml.proof import prove
from edged.engine.ggml.sidecar import HEADERS, check_library
from edged.errors import EngineUnusable
from edged.evaluation.cases import SETS
from tests.engine_fixtures import Daemon, EngineProcess, engine_process, work, write_config
from tests.npu_fixtures import (
    FAULT,
    OPENED,
    crashing_library,
    older_tree,
    runtime_dir,
    stand_in,
    telling_stand_in,
)
from tests.tiny_gguf import write_tiny_gguf
from tools.npu_backend.build import build
from tools.npu_backend.package import Refusal, ggml_of_package, headers_digest

pytestmark = pytest.mark.model

ROOT = Path(__file__).parent.parent
DOCK_MINI = ROOT / "edged/models/dock-mini"
TEXTS = (
    "forklift hit pallet 48213 at dock 6, 12 cartons crushed",
    "pallet 1177 arrived at dock 3, all fine",
    "cold truck at door 9 shows 11 C, pallet 20881",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in(tmp_path_factory.getbasetemp())


def test_the_headers_of_the_source_package_are_those_that_edged_knows() -> None:
    assert headers_digest(ggml_of_package()) == HEADERS


def test_what_the_tool_builds_has_a_matching_sidecar(library: Path) -> None:
    assert list(check_library(library).links) == ["libedgedblas.so"]


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0", "Q6_K"])
def test_a_device_that_computes_what_the_cpu_does_passes(library: Path, kind: str) -> None:
    prove(library, kind, {})


@pytest.mark.parametrize(
    ("fault", "word"),
    [("garbage 0", "computes something else"), ("crash 0", "SIGSEGV"), ("hang 0", "does not come")],
)
def test_a_device_that_does_not_is_refused_with_what_to_do(
    library: Path, monkeypatch: pytest.MonkeyPatch, fault: str, word: str
) -> None:
    monkeypatch.setenv(FAULT, fault)
    if fault.startswith("hang"):
        monkeypatch.setattr(child, "ANSWER_S_MAX", 3.0)
    with pytest.raises(EngineUnusable, match=word) as refused:
        prove(library, "Q8_0", {})
    assert "; " in str(refused.value)


def test_a_library_of_an_older_ggml_that_claims_ours_is_refused_and_nothing_crashes(
    tmp_path: Path,
) -> None:
    library = crashing_library(tmp_path)
    check_library(library)
    with pytest.raises(EngineUnusable, match="SIGSEGV") as refused:
        prove(library, "Q8_0", {})
    assert "tools/build-npu-backend" in str(refused.value)


def test_a_library_that_is_none_is_refused(tmp_path: Path) -> None:
    junk = tmp_path / "libjunk.so"
    junk.write_bytes(b"junk")
    with pytest.raises(EngineUnusable, match="cannot be loaded"):
        prove(junk, "Q8_0", {})


def test_a_library_that_does_not_count_is_refused(tmp_path: Path) -> None:
    library = runtime_dir(tmp_path) / "lib/libedgedblas.so"
    with pytest.raises(EngineUnusable, match="does not count"):
        prove(library, "Q8_0", {})


def test_a_tree_of_the_older_interface_is_adapted_and_computes(tmp_path: Path) -> None:
    built = build(older_tree(tmp_path), runtime_dir(tmp_path), ggml_of_package(), tmp_path / "to")
    prove(built, "Q8_0", {})


def test_a_tree_that_does_not_compile_is_refused_with_the_compiler_s_words(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "bad.cpp").write_text("int main( { return 0; }\n")
    with pytest.raises(Refusal, match=r"bad\.cpp.*error(.|\n)*does not compile"):
        build(tree, runtime_dir(tmp_path), ggml_of_package(), tmp_path / "to")


def engine_config(folder: Path, library: Path | None, model: Path | None = None) -> Path:
    tables: dict[str, dict[str, Any]] = {"model": {"threads": 1}}
    if model is not None:
        tables["model"]["path"] = str(model)
    if library is not None:
        tables |= {"npu": {"library": str(library)}, "rkllm": {"lock": str(folder / "npu.lock")}}
    folder.mkdir(exist_ok=True)
    return write_config(folder, **tables)


def answers(engine: EngineProcess) -> tuple[list[str], Daemon]:
    """Return the answers to prompts alone and together, and the daemon that asked."""
    daemon = Daemon.connect(engine)
    template = templates.load(DOCK_MINI / "templates")["dock-event"]
    every = [
        Work(str(n), template.prompt(text), template.schema, wire=template.wire)
        for n, text in enumerate(TEXTS)
    ]
    alone = [daemon.ask(one)[0].text for one in every]
    together = [outcome.text for outcome in daemon.ask(*every)]
    return alone + together, daemon


def test_the_device_answers_as_the_cpu_does_and_its_products_are_counted(
    library: Path, tmp_path: Path
) -> None:
    with engine_process(engine_config(tmp_path / "cpu", None), tmp_path / "cpu") as engine:
        expected, daemon = answers(engine)
        daemon.close()
    with engine_process(engine_config(tmp_path / "npu", library), tmp_path / "npu") as engine:
        got, daemon = answers(engine)
        ready = next(frame for frame in daemon.frames if frame.kind == "ready")
        daemon.close()
    assert got == expected
    assert ready.npu is not None
    assert (ready.npu.device, 0 < ready.npu.weights_share <= 1) == ("BLAS", True)
    counted = [step.npu_matmuls or 0 for step in daemon.steps]
    assert counted == sorted(counted)
    assert counted[-1] > ready.npu.matmuls > 0


def test_no_shape_is_new_to_the_device_behind_the_load(library: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from edged import config;"
        "from edged.engine.load import load; from edged.engine.backend import Run;"
        "resident = load(config.load(Path(sys.argv[1])), lambda share: True);"
        "backend = resident.backend; before = backend.npu.counts();"
        "sizes = (1, 37, 100, 300);"
        "[(backend.decode([Run(0, 0, [5] * n, True)]), backend.drop(0)) for n in sizes];"
        "after = backend.npu.counts();"
        "assert after.matmuls > before.matmuls, 'not used';"
        "assert after.shapes == before.shapes, (before, after)"
    )
    config = engine_config(tmp_path / "npu", library, write_tiny_gguf(tmp_path / "m.gguf"))
    subprocess.run([sys.executable, "-c", script, str(config)], check=True)


@pytest.mark.slow
def test_the_device_is_opened_on_the_fast_cores_before_any_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, sys; from pathlib import Path; from edged import config;"
        "from edged.engine import open_llama; from edged.engine.ggml import open;"
        "fast = [min(os.sched_getaffinity(0))]; open.fast_cores = lambda: fast; seen = [];"
        "log = Path(sys.argv[2]);"
        "note = lambda share: seen.append(str(os.getpid()) in log.read_text().split()) or True;"
        "open_llama.open_llama(config.load(Path(sys.argv[1])), note);"
        "assert seen and all(seen), seen;"
        "assert os.sched_getaffinity(0) == set(fast)"
    )
    monkeypatch.setenv(OPENED, str(tmp_path / "opened"))
    library = telling_stand_in(tmp_path)
    config = engine_config(tmp_path / "npu", library, write_tiny_gguf(tmp_path / "m.gguf"))
    command = [sys.executable, "-c", script, str(config), str(tmp_path / "opened")]
    subprocess.run(command, check=True)


def test_a_device_that_crashes_in_its_trial_ends_the_load_with_a_sentence(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "crash 0")
    config = engine_config(tmp_path / "npu", library, write_tiny_gguf(tmp_path / "m.gguf"))
    with engine_process(config, tmp_path / "npu") as engine:
        daemon = Daemon.connect(engine)
        daemon.until(Broken)
        daemon.close()
        code, errors = engine.wait()
    assert (code, "SIGSEGV" in errors) == (69, True)


def test_a_device_that_crashes_while_it_serves_ends_the_engine_process_alone(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "crash 200")
    config = engine_config(tmp_path / "npu", library, write_tiny_gguf(tmp_path / "m.gguf"))
    with engine_process(config, tmp_path / "npu") as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        daemon.send(Limits(100_000, 8, 60.0))
        daemon.send(*[work(f"w{n}", f"{n} " * 200, max_tokens=2) for n in range(40)])
        code, _ = engine.wait()
        daemon.close()
    assert code == -signal.SIGSEGV


def test_a_second_engine_on_the_npu_is_refused(library: Path, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "m.gguf")
    first, second = tmp_path / "first", tmp_path / "second"
    lock = {"lock": str(tmp_path / "npu.lock")}
    tables: dict[str, dict[str, Any]] = {
        "model": {"path": str(model), "threads": 1},
        "npu": {"library": str(library)},
        "rkllm": lock,
    }
    for folder in (first, second):
        folder.mkdir()
        write_config(folder, **tables)
    with engine_process(first / "edged.toml", first) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        with engine_process(second / "edged.toml", second) as other:
            code, errors = other.wait()
        daemon.close()
    assert (code, f"process {engine.process.pid} holds the lock of the NPU" in errors) == (69, True)


def evaluated(config: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "edged", "eval", "--json", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def exact_matches(report: dict[str, Any]) -> dict[str, float]:
    """Return the share of exact answers of each template, form and set."""
    return {
        f"{name} {wire} {which}": scores[which]["exact_match"]
        for name, forms in report["templates"].items()
        for wire, scores in forms.items()
        for which in SETS
        if which in scores
    }


@pytest.mark.slow
def test_the_shipped_model_is_as_right_on_the_device_as_on_the_cpu(
    library: Path, tmp_path: Path
) -> None:
    expected = evaluated(engine_config(tmp_path / "cpu", None))
    got = evaluated(engine_config(tmp_path / "npu", library))
    assert got["model"]["npu"]["matmuls"] > 1000
    assert "npu" not in expected["model"]
    # The CPU rounds activations to 8 bits, the stand-in does not: an answer between two may fall
    # to either side.
    assert exact_matches(got) == pytest.approx(exact_matches(expected), abs=0.01)


def test_the_command_line_says_what_to_configure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.npu_backend.cli", "--to", str(tmp_path / "to")]
    command += [str(ggml_of_package() / "src/ggml-blas"), str(runtime_dir(tmp_path))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert f'[npu]\nlibrary = "{tmp_path}/to/libggml-npu.so"' in done.stdout
