from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from edged.config import KvType
from edged.engine.gguf_file import GgufHeader, read_header
from edged.engine.llama import Llama, Shape
from edged.engine.memory import available_bytes, check_fits, forecast
from edged.engine.threads import compute_threads, fast_cores
from edged.errors import EngineUnusable
from tests.tiny_gguf import ARCHITECTURES, REFUSED, WIDE_HEADED, write_tiny_gguf

DOCK_MINI = Path(__file__).parent.parent / "edged/models/dock-mini/dock-mini.gguf"
KV_TYPES: tuple[KvType, KvType] = ("f16", "q8_0")
# Source: Qwen2.5-1.5B-Instruct, Q4_K_M: the metadata and size that its GGUF file has.
QWEN = GgufHeader(
    "qwen2",
    {
        "qwen2.block_count": 28,
        "qwen2.embedding_length": 1536,
        "qwen2.feed_forward_length": 8960,
        "qwen2.attention.head_count": 12,
        "qwen2.attention.head_count_kv": 2,
    },
    1_117_320_736,
)


def test_the_kv_cache_is_counted_by_layers_and_kv_heads() -> None:
    need = forecast(QWEN, n_cells=8192, n_batch=128, n_sequences=25)
    assert need.kv_bytes == 8192 * 28 * 2 * (128 + 128) * 2


def test_a_kv_cache_of_8_bits_takes_about_half() -> None:
    f16, q8_0 = (
        forecast(QWEN, n_cells=8192, n_batch=128, n_sequences=25, kv_type=kind) for kind in KV_TYPES
    )
    assert q8_0.kv_bytes / f16.kv_bytes == 34 / 64


def test_heads_that_8_bit_blocks_do_not_divide_are_refused(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(EngineUnusable, match=r"engine\.kv_type = q8_0 .* 32; .* 16; .* f16"):
        check_fits(read_header(path), path, n_cells=256, n_batch=8, n_sequences=2, kv_type="q8_0")


@pytest.mark.model
@pytest.mark.parametrize(
    ("architecture", "kv_type"),
    [(name, "f16") for name in ARCHITECTURES] + [(name, "q8_0") for name in WIDE_HEADED],
)
def test_the_forecast_is_what_llama_cpp_allocates(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, architecture: str, kv_type: KvType
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture=architecture, layers=4)
    header = read_header(path)
    for n_cells, n_batch, n_sequences in ((8192, 128, 25), (2048, 128, 25), (4096, 576, 81)):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "llama.cpp"):
            shape = Shape(n_cells, n_batch, n_sequences, 1, kv_type)
            Llama(path, shape, lambda share: True).close()
        need = forecast(
            header, n_cells=n_cells, n_batch=n_batch, n_sequences=n_sequences, kv_type=kv_type
        )
        # The log rounds to hundredths of a MiB.
        assert need.kv_bytes == pytest.approx(logged_bytes(caplog, "KV"), abs=2**14)
        buffers_bytes = logged_bytes(caplog, "compute") + logged_bytes(caplog, "output")
        assert need.compute_bytes == pytest.approx(buffers_bytes, rel=0.12)


def logged_bytes(caplog: pytest.LogCaptureFixture, what: str) -> float:
    sizes = re.findall(rf" {what} buffer size += +([0-9.]+) MiB", caplog.text)
    return 2**20 * sum(map(float, sizes))


@pytest.mark.parametrize("architecture", REFUSED)
def test_a_recurrent_or_hybrid_file_is_refused_by_name_before_it_is_loaded(
    tmp_path: Path, architecture: str
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture=architecture)
    with pytest.raises(EngineUnusable, match=f"architecture {architecture} .* recurrent"):
        check_fits(read_header(path), path, n_cells=256, n_batch=8, n_sequences=2)


@pytest.mark.model
@pytest.mark.parametrize(("architecture", "kind"), [("mamba", "recurrent"), ("jamba", "hybrid")])
def test_what_only_llama_cpp_knows_to_be_recurrent_is_refused_by_name_too(
    tmp_path: Path, architecture: str, kind: str
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture=architecture)
    with pytest.raises(EngineUnusable, match=f"{architecture} is a {kind} model"):
        Llama(path, Shape(256, 8, 2, 1), lambda share: True)


def test_a_model_that_fits_is_let_through() -> None:
    check_fits(QWEN, Path("m.gguf"), n_cells=256, n_batch=8, n_sequences=2)


@pytest.mark.parametrize("key", ["ssm.conv_kernel", "wkv.head_size", "shortconv.l_cache"])
def test_a_recurrent_model_is_refused_by_its_architecture(key: str) -> None:
    header = GgufHeader("lfm9", {f"lfm9.{key}": 4}, 1000)
    with pytest.raises(EngineUnusable, match="lfm9"):
        check_fits(header, Path("m.gguf"), n_cells=256, n_batch=8, n_sequences=2)


def test_a_model_over_the_memory_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineUnusable, match=r"model\.context_tokens"):
        check_fits(QWEN, Path("m.gguf"), n_cells=2**30, n_batch=128, n_sequences=25)


def test_the_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16000 kB\nMemAvailable:    8000 kB\n")
    assert available_bytes(meminfo) == 8000 * 1024
    assert available_bytes(tmp_path / "none") is None


def test_a_header_tells_architecture_and_size(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    header = read_header(path)
    assert header.architecture == "llama"
    assert header.number("block_count") == 2
    assert 0.5 * path.stat().st_size < header.tensor_bytes < path.stat().st_size


def test_of_a_vocabulary_the_header_keeps_the_size_alone() -> None:
    header = read_header(DOCK_MINI)
    assert header.keys["tokenizer.ggml.tokens"] == [""] * 4096
    assert header.keys["tokenizer.ggml.bos_token_id"] == 0


@pytest.mark.parametrize(
    ("clocks_khz", "threads"),
    [
        ([1_800_000] * 4, 4),
        ([1_800_000] * 4 + [2_400_000] * 4, 4),
        ([1_800_000] * 4 + [2_352_000, 2_400_000], 2),
        ([2_000_000] * 8, 4),
        ([None, None], 2),
        ([None], 1),
    ],
)
def test_compute_uses_the_fastest_cores(
    tmp_path: Path, clocks_khz: list[int | None], threads: int
) -> None:
    for core, clock_khz in enumerate(clocks_khz):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        if clock_khz is not None:
            (folder / "cpuinfo_max_freq").write_text(f"{clock_khz}\n")
    assert compute_threads(set(range(len(clocks_khz))), tmp_path) == threads


def test_little_cores_with_a_high_clock_are_not_the_fastest(tmp_path: Path) -> None:
    # An RK3576: four Cortex-A53 whose clock is within a tenth of the four Cortex-A72.
    for core in range(8):
        folder = tmp_path / f"cpu{core}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "cpufreq" / "cpuinfo_max_freq").write_text(
            f"{2_208_000 if core < 4 else 2_304_000}\n"
        )
        (folder / "cpu_capacity").write_text(f"{485 if core < 4 else 1024}\n")
    assert fast_cores(set(range(8)), tmp_path) == [4, 5, 6, 7]
