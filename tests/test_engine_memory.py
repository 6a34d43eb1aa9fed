from __future__ import annotations

from pathlib import Path

import pytest

from edged.engine.gguf_file import GgufHeader, read_header
from edged.engine.memory import available_bytes, check_fits, forecast
from edged.engine.threads import compute_threads
from edged.errors import EngineUnusable
from tests.tiny_gguf import write_tiny_gguf

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
    assert forecast(QWEN, n_cells=8192, n_batch=128).kv_bytes == 8192 * 28 * 2 * (128 + 128) * 2


def test_a_model_that_fits_is_let_through() -> None:
    check_fits(QWEN, Path("m.gguf"), n_cells=256, n_batch=8)


@pytest.mark.parametrize("key", ["ssm.conv_kernel", "wkv.head_size", "shortconv.l_cache"])
def test_a_recurrent_model_is_refused_by_its_architecture(key: str) -> None:
    header = GgufHeader("lfm9", {f"lfm9.{key}": 4}, 1000)
    with pytest.raises(EngineUnusable, match="lfm9"):
        check_fits(header, Path("m.gguf"), n_cells=256, n_batch=8)


def test_a_model_over_the_memory_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineUnusable, match=r"model\.context_tokens"):
        check_fits(QWEN, Path("m.gguf"), n_cells=2**30, n_batch=128)


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
