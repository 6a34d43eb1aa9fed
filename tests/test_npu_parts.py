"""What decides about an NPU's backend and opens nothing: sidecar, environment, shapes, the tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config import Config, parse
from edged.engine.backend import Guard
from edged.engine.ggml.environment import cleaned, environment_of
from edged.engine.ggml.proof import ERROR_MAX, ERROR_MAX_4_BITS, error_max
from edged.engine.ggml.share import Share, share_of
from edged.engine.ggml.sidecar import BINDING, HEADERS, check_library, sidecar_path, write_sidecar
from edged.engine.ggml.warm import shapes
from edged.engine.gguf_file import read_header
from edged.engine.opened import n_batch
from edged.errors import ConfigError, EngineUnusable
from tests.tiny_gguf import write_tiny_gguf
from tools.npu_backend.build import ADDED, adapted, build
from tools.npu_backend.package import Refusal

ROOT = Path(__file__).parent.parent
FOUR_BITS = Share({"Q4_0": 10}, 10, 10)
SIXTEEN_BITS = Share({"F16": 10}, 10, 20)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file that stands for a library, with what would have been written beside it."""
    path, link = tmp_path / "libggml-npu.so", tmp_path / "librknnrt.so"
    path.write_bytes(b"\x7fELF")
    link.write_bytes(b"\x7fELF2")
    write_sidecar(path, HEADERS, [link], "ggml-rknpu2")
    return path


def rewrite(library: Path, **keys: Any) -> None:
    path = sidecar_path(library)
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_a_library_of_the_pinned_ggml_is_taken(library: Path) -> None:
    assert check_library(library).source == "ggml-rknpu2"


def test_the_pin_is_the_project_s() -> None:
    assert f'"llama-cpp-python=={BINDING}"' in (ROOT / "pyproject.toml").read_text()


def break_nothing_there(library: Path) -> None:
    library.unlink()


def break_no_sidecar(library: Path) -> None:
    sidecar_path(library).unlink()


def break_junk(library: Path) -> None:
    sidecar_path(library).write_text("{")


def break_other_keys(library: Path) -> None:
    rewrite(library, more=1)


def break_binding(library: Path) -> None:
    rewrite(library, binding="0.3.20")


def break_headers(library: Path) -> None:
    rewrite(library, headers="sha256:" + "0" * 64)


def break_library(library: Path) -> None:
    library.write_bytes(b"\x7fELF and more")


def break_runtime(library: Path) -> None:
    library.with_name("librknnrt.so").write_bytes(b"another")


def break_runtime_gone(library: Path) -> None:
    library.with_name("librknnrt.so").unlink()


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (break_nothing_there, "no such library"),
        (break_no_sidecar, "is missing"),
        (break_junk, "cannot be read"),
        (break_other_keys, "cannot be read"),
        (break_binding, "llama-cpp-python 0.3.20"),
        (break_headers, "headers of ggml"),
        (break_library, "libggml-npu.so"),
        (break_runtime, "librknnrt.so"),
        (break_runtime_gone, "librknnrt.so"),
    ],
)
def test_any_other_library_is_refused_with_what_to_do(
    library: Path, broken: Any, word: str
) -> None:
    broken(library)
    with pytest.raises(EngineUnusable, match=word) as refused:
        check_library(library)
    assert "tools/build-npu-backend" in str(refused.value)


def test_another_installed_binding_is_refused(library: Path) -> None:
    with pytest.raises(EngineUnusable, match=r"installed is 0\.4\.0"):
        check_library(library, "0.4.0")


def npu(**keys: Any) -> Config:
    return parse({"npu": keys}, "test")


def test_the_environment_names_the_board_and_the_recommended_mode() -> None:
    assert environment_of(npu().npu, "rk3576", FOUR_BITS) == {
        "RKNPU_DEVICE": "RK3576",
        "RKNPU_HYBRID": "W8A8_STANDARD",
    }


def test_what_is_not_wanted_is_left_out_and_never_0() -> None:
    assert environment_of(npu().npu, None, SIXTEEN_BITS) == {}
    assert environment_of(npu(hybrid="none").npu, None, FOUR_BITS) == {}


def test_what_is_configured_comes_first() -> None:
    keys = npu(device="RK3588", cores="0,2", hybrid="W8A8_HADAMARD")
    assert environment_of(keys.npu, "rk3576", FOUR_BITS) == {
        "RKNPU_DEVICE": "RK3588",
        "RKNPU_CORES": "0,2",
        "RKNPU_HYBRID": "W8A8_HADAMARD",
    }


def test_further_variables_are_passed_on() -> None:
    keys = npu(environment={"RKNPU_CPU_DECODE": "32", "RKNPU_GLUE": "1"})
    assert environment_of(keys.npu, None, SIXTEEN_BITS) == {
        "RKNPU_CPU_DECODE": "32",
        "RKNPU_GLUE": "1",
    }


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"environment": {"RKNPU_GLUE": "0"}}, "leave it out"),
        ({"environment": {"LD_PRELOAD": "x"}}, "names begin with"),
        ({"environment": {"RKNPU_CORES": "0"}}, "npu.cores"),
        ({"cores": "0;1"}, "npu.cores"),
        ({"batch_tokens": 300}, "power of two"),
    ],
)
def test_a_variable_that_would_do_something_else_is_refused(
    keys: dict[str, Any], word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        npu(**keys)


def test_what_a_shell_left_behind_is_taken_away() -> None:
    before = {"PATH": "/bin", "RKNPU_AS_GPU": "0", "GGML_RKNPU2_MEM_MB": "1", "ORK_OFF": "1"}
    assert cleaned(before, {"RKNPU_CORES": "0"}) == {"PATH": "/bin", "RKNPU_CORES": "0"}


@pytest.mark.parametrize(
    ("kind", "hybrid", "limit"),
    [
        ("Q8_0", None, ERROR_MAX),
        ("Q4_0", None, ERROR_MAX_4_BITS),
        ("Q4_0", "W8A8_STANDARD", ERROR_MAX),
        ("Q8_0", "W8A8_STANDARD,W4A4_HADAMARD", ERROR_MAX_4_BITS),
    ],
)
def test_four_bits_by_four_bits_may_differ_more(
    kind: str, hybrid: str | None, limit: float
) -> None:
    environment = {} if hybrid is None else {"RKNPU_HYBRID": hybrid}
    assert error_max(kind, environment) == limit


@given(
    bits=st.integers(0, 12),
    n_sequences=st.integers(1, 257),
)
def test_each_shape_that_a_batch_can_have_is_warmed(bits: int, n_sequences: int) -> None:
    n_batch = 1 << bits
    tokens, rows = set(), set()
    for runs in shapes(0, n_batch, n_sequences):
        Guard(n_batch, n_sequences, 1).check(runs)
        tokens.add(rounded(sum(len(run.tokens) for run in runs)))
        rows.add(rounded(sum(run.is_sampled for run in runs)))
    assert tokens == {rounded(count) for count in range(1, n_batch + 1)}
    assert rows == {rounded(count) for count in range(1, min(n_sequences, n_batch) + 1)}


def rounded(count: int) -> int:
    """Return the next power of two, as the backends round the rows of a product."""
    return 1 << (count - 1).bit_length()


@pytest.mark.parametrize(
    ("keys", "tokens"),
    [
        ({}, 512),
        ({"npu": {"batch_tokens": 64}}, 256),
        ({"model": {"sequences": 64}, "engine": {"chunk_tokens": 2048}}, 4096),
        ({"model": {"sequences": 1, "context_tokens": 256}}, 256),
    ],
)
def test_a_batch_on_the_npu_is_a_power_of_two_within_the_cache(
    keys: dict[str, Any], tokens: int
) -> None:
    table = {**keys, "npu": {"library": "/x.so", **keys.get("npu", {})}}
    assert n_batch(parse(table, "test")) == tokens


def test_the_embedding_is_looked_up_and_stays_on_the_cpu(tmp_path: Path) -> None:
    share = share_of(read_header(write_tiny_gguf(tmp_path / "m.gguf")).tensors)
    assert 0 < share.npu_share < 1


BUFFER = """\
    {
        /* .get_tensor    = */ get,
        /* .cpy_tensor    = */ NULL,
        /* .clear         = */ clear,
    };
    {
        /* .get_tensor_async   = */ NULL,
        /* .cpy_tensor_async   = */ NULL,
    };
"""


def test_a_tree_of_the_older_interface_gets_the_members_that_came_since() -> None:
    text = adapted(BUFFER)
    members = [line.split(".")[1].split()[0] for line in text.splitlines() if "/* ." in line]
    assert members == [
        "get_tensor",
        *ADDED["cpy_tensor"],
        "cpy_tensor",
        "clear",
        "get_tensor_async",
        *ADDED["cpy_tensor_async"],
        "cpy_tensor_async",
    ]
    assert adapted(text) == text


def test_a_folder_without_sources_or_without_a_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no \.cpp file"):
        build(tmp_path, tmp_path, tmp_path, tmp_path / "to")
    (tmp_path / "a.cpp").touch()
    with pytest.raises(Refusal, match="librknn_api"):
        build(tmp_path, tmp_path, tmp_path, tmp_path / "to")
