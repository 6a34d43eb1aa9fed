"""`edged doctor --model FILE`: what a board would make of a model, and whose figures these are."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main
from edged.config import Config
from edged.doctor import gguf_advice, rkllm_advice
from edged.doctor.advice import advise
from edged.doctor.finding import Finding
from edged.doctor.gguf_advice import OnNpu
from edged.doctor.published import FACTOR_MAX, FIGURES, expected
from edged.doctor.rkllm_name import NameSays, read_name
from edged.doctor.root import Root
from edged.engine.ggml.share import share_of
from edged.engine.gguf_file import Tensor, read_header
from tests.doctor_fixtures import board as golden
from tests.doctor_fixtures import config, levels, says, write
from tests.rknn_fixtures import write_vocabulary

SHIPPED = Path(__file__).parent.parent / "edged/models/dock-mini/dock-mini.gguf"
RK3588, RK3576 = "rock_5b", "sige5"
WIDTH, INNER = 256, 512
Kind = gguf.GGMLQuantizationType


def model(path: Path, kind: Kind, *, context: int = 4096, embedding: Kind = Kind.F16) -> Path:
    """Write a GGUF whose header is a small llama's; its weights are nought."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_head_count(4)
    shapes = {"blk.0.ffn_up.weight": (INNER, WIDTH), "blk.0.ffn_down.weight": (WIDTH, INNER)}
    for name, shape in shapes.items():
        add(writer, name, shape, kind)
    add(writer, "token_embd.weight", (512, WIDTH), embedding)
    writer.add_tensor("blk.0.ffn_norm.weight", np.zeros(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add(writer: gguf.GGUFWriter, name: str, shape: tuple[int, int], kind: Kind) -> None:
    weights, row_bytes = gguf.GGML_QUANT_SIZES[kind]
    rows, inputs = shape
    zeros = np.zeros((rows, inputs // weights * row_bytes), dtype=np.uint8)
    writer.add_tensor(name, zeros, raw_dtype=kind)


def rkllm(folder: Path, name: str, size_bytes: int = 1000) -> Path:
    path = folder / name
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def advice(file: Path, root: Root, **tables: object) -> list[Finding]:
    return list(advise(file, config(dict(tables)), root).findings)


ON_RKLLM = {"engine": {"backend": "rkllm"}}


def test_the_header_names_types_and_shapes(tmp_path: Path) -> None:
    header = read_header(model(tmp_path / "m.gguf", Kind.Q4_K))
    assert [(one.kind, one.shape) for one in header.tensors[:2]] == [
        ("Q4_K", (WIDTH, INNER)),
        ("Q4_K", (INNER, WIDTH)),
    ]


@pytest.mark.parametrize(
    ("kind", "share"),
    [(Kind.Q8_0, 2 / 3), (Kind.Q4_0, 2 / 3), (Kind.F16, 2 / 3), (Kind.Q6_K, 2 / 3)]
    + [(one, 0.0) for one in (Kind.Q4_K, Kind.Q5_K, Kind.BF16, Kind.F32)],
)
def test_the_npu_takes_plain_matrices_of_four_types(
    tmp_path: Path, kind: Kind, share: float
) -> None:
    header = read_header(model(tmp_path / "m.gguf", kind))
    assert share_of(header.tensors).npu_share == pytest.approx(share)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.ffn_up_exps.weight", (256, 512, 8)),
        ("blk.0.odd.weight", (250, 512)),
        ("blk.0.narrow.weight", (256, 40)),
        ("token_embd.weight", (256, 512)),
    ],
)
def test_the_npu_leaves_other_shapes_to_the_cpu(name: str, shape: tuple[int, ...]) -> None:
    assert share_of([Tensor(name, "Q8_0", shape, 0, 0)]).npu_weights == 0


def test_the_copy_in_the_npu_is_counted_in_its_own_type() -> None:
    wide = Tensor("a.weight", "F16", (256, 512), 0, 0)
    narrow = Tensor("b.weight", "Q4_0", (256, 512), 0, 0)
    assert share_of([wide, narrow]).npu_bytes == 256 * 512 * 3


@given(
    st.sampled_from([(one.soc, one.way, one.quantisation, one.size) for one in FIGURES]),
    st.floats(1 / FACTOR_MAX, FACTOR_MAX),
)
def test_a_published_speed_falls_as_the_model_grows(
    row: tuple[str, str, str, float], factor: float
) -> None:
    soc, way, kind, size = row
    own = [one for one in FIGURES if (one.soc, one.way, one.quantisation) == (soc, way, kind)]
    near = expected(soc, way, kind, size * factor, [one for one in own if one.size == size])  # type: ignore[arg-type]  # of the table
    (figure, *_) = [one for one in own if one.size == size]
    if near is not None:
        assert near.decode_tok_s * factor == pytest.approx(figure.decode_tok_s)


def test_a_row_of_the_table_is_told_as_it_is() -> None:
    for one in FIGURES:
        found = expected(one.soc, one.way, one.quantisation, one.size)
        assert found is not None
        assert found.decode_tok_s == pytest.approx(one.decode_tok_s)


def test_nothing_is_made_up_where_nothing_is_published() -> None:
    assert expected("rk3576", "cpu", "Q8_0", 1.0) is None
    assert expected("rk3588", "cpu", "Q8_0", 100.0) is None


def test_q4_k_is_told_to_stay_on_the_cpu(tmp_path: Path) -> None:
    found = advice(model(tmp_path / "m.gguf", Kind.Q4_K), golden(tmp_path, RK3588))
    assert levels(found, "npu") == ["ok", "warning"]
    assert "Q4_K has no place on the NPU: 67% of the weights" in says(found, "npu")


def test_published_figures_are_marked_so() -> None:
    share = share_of([Tensor("a.weight", "Q8_0", (1000, 1_000_000), 0, 0)])
    found = gguf_advice.judge_speed(share, "rk3588", OnNpu(), is_mixture=False)
    assert "19.5 tokens/s" in says(found, "speed")
    assert "published, not measured here" in says(found, "speed")
    assert "Cortex-A76" in says(found, "speed")
    assert "7.4 W above idle, published" in says(found, "watts")
    assert (levels(found, "quantise"), "28.3 instead of 19.5" in says(found, "quantise")) == (
        ["warning"],
        True,
    )


@pytest.mark.parametrize(
    ("kind", "hybrid", "told"),
    [
        ("Q8_0", "auto", "16.5 tokens/s"),
        ("F16", "auto", "10.8 tokens/s"),
        ("Q4_0", "auto", "16.5 tokens/s"),  # multiplied as 8 bits
        ("Q4_0", "W4A4_HADAMARD", "16.7 tokens/s"),
        ("Q4_0", "none", "16.7 tokens/s"),
        ("Q4_K", "auto", "28.3 tokens/s"),  # on the CPU
    ],
)
def test_the_figures_are_those_of_what_computes(kind: str, hybrid: str, told: str) -> None:
    share = share_of([Tensor("a.weight", kind, (1024, 976_563 // 32 * 32), 0, 0)])
    found = gguf_advice.judge_speed(share, "rk3588", OnNpu(True, hybrid), is_mixture=False)
    assert told in says(found, "speed")
    assert ("on the NPU" in says(found, "speed")) == (kind != "Q4_K")
    assert "not measured here" in says(found, "watts")


def test_what_has_16_bits_is_told_what_decodes_faster_on_the_npu() -> None:
    share = share_of([Tensor("a.weight", "F16", (1024, 976_544), 0, 0)])
    (told,) = [
        one
        for one in gguf_advice.judge_speed(share, "rk3588", OnNpu(True), is_mixture=False)
        if one.name == "quantise"
    ]
    assert (told.level, "Q8_0" in str(told.mend)) == ("warning", True)


def test_a_library_that_is_configured_takes_its_share(tmp_path: Path) -> None:
    file = model(tmp_path / "m.gguf", Kind.Q8_0)
    tables = {"npu": {"library": "/opt/edged/npu/libggml-npu.so"}}
    found = advice(file, golden(tmp_path, RK3588), **tables)
    assert "takes 67% of the weights" in says(found, "npu")
    assert "the CPU computes the rest" in says(found, "npu")


def test_a_model_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    root = golden(tmp_path, RK3588)
    write(root, "/proc/meminfo", "MemAvailable: 1000 kB\n")
    assert levels(advice(model(tmp_path / "m.gguf", Kind.Q8_0), root), "fit") == ["error"]


def test_a_context_longer_than_trained_is_a_warning(tmp_path: Path) -> None:
    file = model(tmp_path / "m.gguf", Kind.Q8_0, context=512)
    assert levels(advice(file, golden(tmp_path, RK3588)), "context") == ["warning"]


def test_a_file_for_the_other_backend_says_what_to_set(tmp_path: Path) -> None:
    found = advice(rkllm(tmp_path, "a.rkllm"), golden(tmp_path, RK3588))
    (line,) = [one for one in found if one.name == "backend"]
    assert (line.level, 'engine.backend = "rkllm"' in str(line.mend)) == ("error", True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Qwen2.5-1.5B-rk3588-w8a8_g128-opt-1-v1.2.1", NameSays("rk3588", "w8a8", "1.2.1")),
        ("qwen3-0.6b_W4A16_RK3576", NameSays("rk3576", "w4a16", None)),
        ("Llama-3.2-3B_toolkit-1.3.0", NameSays(None, None, "1.3.0")),
        ("Qwen2.5-1.5B", NameSays()),
    ],
)
def test_the_name_of_a_file_tells_what_it_was_made_for(name: str, told: NameSays) -> None:
    assert read_name(Path(f"{name}.rkllm")) == told


@pytest.mark.parametrize(
    ("board", "name", "line", "level", "words"),
    [
        (RK3588, "m-w4a16", "npu", "error", "quantized_dtype = w8a8"),
        (RK3588, "m-rk3576-w4a16", "npu", "error", "target_platform = RK3588"),
        (RK3576, "m-rk3588-w8a8", "npu", "error", "target_platform = RK3576"),
        (RK3576, "m-rk3576-w8a8", "quantise", "warning", "quantized_dtype = w4a16"),
        (RK3588, "m-rk3588-w8a8-v1.2.2", "toolkit", "warning", "rkllm-toolkit 1.3"),
        ("x86", "m-rk3588-w8a8", "npu", "error", "GGUF"),
    ],
)
def test_a_wrong_conversion_is_a_sentence_with_what_to_do(
    tmp_path: Path, board: str, name: str, line: str, level: str, words: str
) -> None:
    found = advice(rkllm(tmp_path, f"{name}.rkllm"), golden(tmp_path, board), **ON_RKLLM)
    (told,) = [one for one in found if one.name == line]
    assert (told.level, words in str(told.mend)) == (level, True)


def test_a_context_over_16_k_is_an_error_of_rkllm(tmp_path: Path) -> None:
    tables = {**ON_RKLLM, "model": {"context_tokens": 32_768}}
    found = advice(rkllm(tmp_path, "m-w8a8.rkllm"), golden(tmp_path, RK3588), **tables)
    assert levels(found, "context") == ["error"]


def test_the_right_conversion_is_told_its_published_speed(tmp_path: Path) -> None:
    file = rkllm(tmp_path, "m-rk3588-w8a8-v1.3.0.rkllm", 1_689_000_000)
    found = advice(file, golden(tmp_path, RK3588), **ON_RKLLM)
    assert {one.level for one in found} == {"ok"}
    assert "about 16.7 tokens/s" in says(found, "speed")
    assert says(found, "watts") == "nobody has published watts for this"


def classifier(folder: Path, name: str) -> tuple[Path, dict[str, object]]:
    """Write a .rknn file; return it and the tables of a configuration that can run it."""
    tables: dict[str, object] = {
        "engine": {"backend": "rknn"},
        "rknn": {"tokenizer": str(write_vocabulary(folder / "vocab.txt")), "labels": ["a", "b"]},
    }
    return rkllm(folder, name), tables


def test_a_classifier_that_goes_with_board_and_configuration_is_well(tmp_path: Path) -> None:
    file, tables = classifier(tmp_path, "events-rk3588.rknn")
    found = advice(file, golden(tmp_path, RK3588), **tables)
    assert {one.level for one in found} == {"ok"}
    assert "2 labels" in says(found, "classifier")


@pytest.mark.parametrize(
    ("board", "name", "left_out", "line", "words"),
    [
        (RK3576, "events-rk3588.rknn", "", "npu", "target_platform = rk3576"),
        ("x86", "events.rknn", "", "npu", "GGUF"),
        (RK3588, "events.rknn", "rknn", "classifier", "set both"),
        (RK3588, "events.rknn", "engine", "backend", 'engine.backend = "rknn"'),
    ],
)
def test_a_classifier_that_cannot_serve_is_a_sentence_with_what_to_do(
    tmp_path: Path, board: str, name: str, left_out: str, line: str, words: str
) -> None:
    file, tables = classifier(tmp_path, name)
    tables.pop(left_out, None)
    found = advice(file, golden(tmp_path, board), **tables)
    (told,) = [one for one in found if one.level == "error"]
    assert (told.name, words in str(told.mend)) == (line, True)


def test_a_classifier_over_the_memory_is_an_error(tmp_path: Path) -> None:
    file, tables = classifier(tmp_path, "events.rknn")
    root = golden(tmp_path, RK3588)
    write(root, "/proc/meminfo", "MemAvailable: 1000 kB\n")
    assert levels(advice(file, root, **tables), "fit") == ["error"]


NAMES = st.builds(
    NameSays,
    st.sampled_from([None, "rk3588", "rk3576", "rk3562"]),
    st.sampled_from([None, "w8a8", "w4a16", "w4a4"]),
    st.sampled_from([None, "1.1.4", "1.2.2", "1.3.0"]),
)


@given(
    NAMES,
    st.sampled_from([None, "rk3588", "rk3576"]),
    st.integers(1, 10**10),
    st.integers(128, 131_072),
)
def test_every_line_that_is_not_well_says_what_to_do(
    name: NameSays, soc: str | None, size_bytes: int, context_tokens: int
) -> None:
    looked = rkllm_advice.Looked(name, size_bytes, None, context_tokens)
    for one in rkllm_advice.judge(looked, soc):
        assert (one.level == "ok") == (one.mend is None), one


@pytest.mark.parametrize("content", [b"", b"junk", b"GGUF\x03"])
def test_a_file_that_is_no_model_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    report = advise(tmp_path / "m.gguf", Config(), Root(tmp_path))
    assert report.exit_code == 69
    assert sum(one.level == "error" for one in report.findings) == 1


def test_the_shipped_model_is_advised_on_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--model", str(SHIPPED), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {one["name"] for one in found} >= {"board", "backend", "fit"}
