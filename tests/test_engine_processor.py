"""A processor without llama.cpp's instructions is told so in a sentence; nothing is loaded there.

Tried for real in the arm64 root: `tools/test-arm64` runs the engine as a Cortex-A53.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.doctor import processor
from edged.doctor.processor import Processor
from edged.doctor.root import Root
from edged.engine.processor import (
    AT_HWCAP,
    AUXV,
    BITS,
    PAIR,
    check_processor,
    hwcap,
    missing_features,
    needed_features,
    noted_features,
)
from edged.errors import EXIT_CONFIG, EXIT_ENGINE_UNUSABLE
from tests.engine_fixtures import write_config
from tools.wheelhouse.targets import TARGETS

ROOT = Path(__file__).parent.parent
A76, A53 = sum(1 << bit for bit in BITS.values()), 0b1111_1111  # fp to crc32
ENTRIES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2**64 - 1)), max_size=20)


def auxv(told: int) -> bytes:
    """Return what the kernel gives a process: page size, features, end."""
    return PAIR.pack(6, 4096) + PAIR.pack(AT_HWCAP, told) + PAIR.pack(0, 0)


@pytest.mark.parametrize("had", [*BITS, None])
def test_what_is_missing_is_what_is_needed_and_not_told(had: str | None, tmp_path: Path) -> None:
    (tmp_path / "auxv").write_bytes(auxv(0 if had is None else 1 << BITS[had]))
    missing = missing_features(tuple(BITS), tmp_path / "auxv")
    assert missing == tuple(name for name in BITS if name != had)


def test_where_the_kernel_tells_nothing_all_is_missing(tmp_path: Path) -> None:
    assert missing_features(tuple(BITS), tmp_path / "auxv") == tuple(BITS)


@given(ENTRIES, st.integers(0, 15))
def test_a_vector_cut_anywhere_is_read_as_far_as_it_goes(
    entries: list[tuple[int, int]], cut: int
) -> None:
    whole = b"".join(PAIR.pack(*entry) for entry in entries)
    kept = [value for kind, value in entries if kind == AT_HWCAP]
    assert hwcap(whole + bytes(cut)) == (kept[0] if kept else 0)


def test_the_kernel_tells_this_process_its_features() -> None:
    assert hwcap(AUXV.read_bytes()) > 0


@pytest.mark.parametrize(("told", "missing"), [(A76, ()), (A53, ("asimddp", "asimdhp", "atomics"))])
def test_a_core_has_what_its_maker_says(
    told: int, missing: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "auxv").write_bytes(auxv(told))
    needed = TARGETS["arm64"].features
    assert missing_features(needed, tmp_path / "auxv") == missing


def test_a_feature_that_has_no_bit_here_is_missing(tmp_path: Path) -> None:
    (tmp_path / "auxv").write_bytes(auxv(2**64 - 1))
    assert missing_features(("sme9",), tmp_path / "auxv") == ("sme9",)


def test_what_a_wheelhouse_may_note_has_its_bit() -> None:
    assert {name for target in TARGETS.values() for name in target.features} <= BITS.keys()


@pytest.mark.parametrize(
    ("wheel", "noted"),
    [
        ("Wheel-Version: 1.0\nBuild: 1.asimddp.atomics\nTag: x\n", ("asimddp", "atomics")),
        ("Wheel-Version: 1.0\nTag: py3-none-linux_aarch64\n", ()),
        ("Build: 1\n", ()),
        ("", ()),
    ],
)
def test_the_build_tag_names_the_features(wheel: str, noted: tuple[str, ...]) -> None:
    assert noted_features(wheel) == noted


def test_a_package_that_is_not_there_needs_nothing() -> None:
    assert needed_features("no-such-package") == ()


def test_what_was_compiled_here_runs_here() -> None:
    check_processor()


@pytest.mark.parametrize(
    ("found", "needs_llama", "level"),
    [
        (Processor(("asimddp",), ("asimddp",)), True, "error"),
        (Processor(("asimddp",), ("asimddp",)), False, "warning"),
        (Processor(("asimddp",), ()), True, "ok"),
        (Processor((), ()), True, "ok"),
    ],
)
def test_the_doctor_tells_it_as_an_error_where_llama_answers(
    found: Processor, needs_llama: bool, level: str
) -> None:
    assert processor.judge(found, needs_llama=needs_llama).level == level


def test_the_doctor_reads_the_vector_below_its_root(tmp_path: Path) -> None:
    assert processor.look(Root(tmp_path)).missing == needed_features()


@pytest.mark.model
@pytest.mark.parametrize(
    ("command", "code"), [("engine", EXIT_ENGINE_UNUSABLE), ("check", EXIT_CONFIG)]
)
def test_a_build_for_another_processor_is_refused_before_it_is_loaded(
    command: str, code: int, tmp_path: Path
) -> None:
    noted = tmp_path / "llama_cpp_python-0.3.36.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: llama-cpp-python\n")
    (noted / "WHEEL").write_text("Wheel-Version: 1.0\nBuild: 1.asimdxx\n")
    config = write_config(tmp_path)
    words = [command, "--config", str(config)] if command == "engine" else [command, str(config)]
    done = subprocess.run(
        [sys.executable, "-m", "edged", *words],
        env={"PATH": "", "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert "compiled for asimdxx, which this processor does not have" in done.stderr
    assert "build-wheelhouse arm64-v8.0" in done.stderr
