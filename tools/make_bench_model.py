"""Write a GGUF for `edged bench engine`: the shape of a real model, with weights made here.

    python -m tools.make_bench_model --shape qwen2.5-0.5b --scripted OUT.gguf

`--scripted`: it gives the benchmark's canonical answers, at the cost of any model of its shape.
Without it all weights are random. `--vocabulary FILE` takes the vocabulary of another GGUF, such
as `ggml-vocab-qwen2.gguf` of llama.cpp's source package, in place of dock-mini's; what it lacks
in size is filled with made words. Needs the `bench` extra; a minute and 1 GB for half a billion
weights, 14 GB of disk for `gemma-4-26b-a4b`. Run from the repository root.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

from edged.bench import script
from edged.bench.engine import SCRIPT_KEY
from edged.bench.script import Form
from tools.bench_model import experts, steering, vocabulary
from tools.bench_model import shape as shapes
from tools.bench_model.experts import GEMMA_4_26B_A4B
from tools.bench_model.shape import SHAPES, Shape
from tools.bench_model.steering import Floats, Script
from tools.bench_model.vocabulary import Vocabulary

DOCK_MINI = Path("edged/models/dock-mini/dock-mini.gguf")
Q4_0 = gguf.GGMLQuantizationType.Q4_0
EXPERTS = "gemma-4-26b-a4b"
FORMS: tuple[Form, ...] = ("json", "compact", "text")


def main(argv: list[str] | None = None) -> int:
    """Write the model; return 0, or 1 with the reason on standard error."""
    given = _parser().parse_args(argv)
    try:
        if given.shape == EXPERTS:
            if given.scripted:
                raise ValueError(f"{EXPERTS} has no scripted weights; leave out --scripted")
            experts.write(given.out, GEMMA_4_26B_A4B, vocabulary.read(given.vocabulary))
        else:
            write(given.out, SHAPES[given.shape], given.vocabulary, is_scripted=given.scripted)
    except (OSError, ValueError) as error:
        print(f"make_bench_model: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--shape", choices=[*sorted(SHAPES), EXPERTS], default="qwen2.5-0.5b")
    parser.add_argument("--scripted", action="store_true", help="gives the canonical answers")
    parser.add_argument("--vocabulary", type=Path, default=DOCK_MINI, metavar="GGUF")
    return parser


def write(out: Path, shape: Shape, source: Path, *, is_scripted: bool, seed: int = 1) -> None:
    """Write the model; the same arguments give the same file.

    Raises:
        ValueError: the vocabulary does not fit, or the script contradicts itself in its tokens.
    """
    words = vocabulary.filled(vocabulary.read(source), shape.vocab_tokens)
    writer = gguf.GGUFWriter(out, "qwen2")
    writer.add_name(out.stem)
    if is_scripted:
        writer.add_string(SCRIPT_KEY, script.digest())
    shapes.add_to(writer, shape)
    vocabulary.add_to(writer, words)
    weights = _Weights(writer, shape, seed)
    if is_scripted:
        _add_scripted(weights, _scripts(words, shape))
    else:
        _add_random(weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class _Weights:
    """Adds tensors to the file."""

    def __init__(self, writer: gguf.GGUFWriter, shape: Shape, seed: int) -> None:
        self.shape = shape
        self._writer = writer
        self._random = np.random.default_rng(seed)

    def random(self, *size: int, scale: float = 1.0) -> Floats:
        """Return normal values; `scale` 1 keeps the size of what is multiplied with them."""
        values = self._random.standard_normal(size, dtype=np.float32)
        return values * np.float32(scale / np.sqrt(size[-1]))

    def add(self, name: str, values: Floats) -> Floats:
        """Add a matrix in 4 bits; return it as the model will see it."""
        packed = gguf.quants.quantize(values, Q4_0)
        self._writer.add_tensor(name, packed, raw_dtype=Q4_0)
        return np.asarray(gguf.quants.dequantize(packed, Q4_0), dtype=np.float32)

    def add_plain(self, name: str, values: Floats) -> None:
        """Add a vector as it is."""
        self._writer.add_tensor(name, values)

    def add_layer(self, layer: int, *, adds_nothing: bool) -> None:
        """Add a whole layer but, of the first, its attention."""
        shape, block = self.shape, f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            self.add_plain(f"{block}.{name}.weight", np.ones(shape.width, dtype=np.float32))
        self.add(f"{block}.ffn_gate.weight", self.random(shape.inner, shape.width))
        self.add(f"{block}.ffn_up.weight", self.random(shape.inner, shape.width))
        scale = 0.0 if adds_nothing else 1.0
        self.add(f"{block}.ffn_down.weight", self.random(shape.width, shape.inner, scale=scale))
        if layer:
            self.add_attention(layer, scale)

    def add_attention(self, layer: int, scale: float) -> None:
        """Add attention that is like any other, but for the size of what it adds."""
        shape, block = self.shape, f"blk.{layer}"
        inside, kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        for name, size in (("attn_q", inside), ("attn_k", kv), ("attn_v", kv)):
            self.add(f"{block}.{name}.weight", self.random(size, shape.width))
            self.add_plain(f"{block}.{name}.bias", np.zeros(size, dtype=np.float32))
        self.add(f"{block}.attn_output.weight", self.random(shape.width, inside, scale=scale))


def _add_random(weights: _Weights) -> None:
    shape = weights.shape
    size = np.float32(np.sqrt(shape.width))
    weights.add("token_embd.weight", weights.random(shape.vocab_tokens, shape.width) * size)
    weights.add("output.weight", weights.random(shape.vocab_tokens, shape.width, scale=4.0))
    weights.add_plain("output_norm.weight", np.ones(shape.width, dtype=np.float32))
    weights.add_attention(0, 1.0)
    for layer in range(shape.layers):
        weights.add_layer(layer, adds_nothing=False)


def _add_scripted(weights: _Weights, scripts: list[Script]) -> None:
    shape = weights.shape
    # Values of about 1, as behind the norms: all tokens of a context then weigh alike in the sum.
    size = np.float32(np.sqrt(shape.width))
    embedding = weights.add(
        "token_embd.weight", weights.random(shape.vocab_tokens, shape.width) * size
    )
    value, output = _add_look_back(weights)
    following = steering.successors(scripts)
    states = [steering.hidden(shape, one, embedding, value, output) for one in following]
    tokens, rows = steering.head_rows(following, states)
    head = weights.random(shape.vocab_tokens, shape.width, scale=steering.NOISE)
    head[tokens] = rows
    weights.add("output.weight", head)
    weights.add_plain("output_norm.weight", np.ones(shape.width, dtype=np.float32))
    for layer in range(shape.layers):
        weights.add_layer(layer, adds_nothing=True)


def _add_look_back(weights: _Weights) -> tuple[Floats, Floats]:
    """Add the first layer's attention; return its attn_v and attn_output."""
    shape = weights.shape
    inside, kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    query, key = steering.query_and_key_bias(shape)
    zeros = {"attn_q": (inside, query), "attn_k": (kv, key)}
    for name, (size, bias) in zeros.items():
        weights.add(f"blk.0.{name}.weight", np.zeros((size, shape.width), dtype=np.float32))
        weights.add_plain(f"blk.0.{name}.bias", bias)
    value = weights.add("blk.0.attn_v.weight", weights.random(kv, shape.width))
    weights.add_plain("blk.0.attn_v.bias", np.zeros(kv, dtype=np.float32))
    # Each head's code alone is to be as large as the token's own embedding.
    output = weights.random(shape.width, inside, scale=float(np.sqrt(shape.heads)))
    output[:, len(steering.BACK) * shape.head_width :] = 0
    return value, weights.add("blk.0.attn_output.weight", output)


def _scripts(words: Vocabulary, shape: Shape) -> list[Script]:
    """Return the canonical answers as this vocabulary's tokens, each with its end."""
    # Only here: random weights need no llama.cpp.
    from tools.bench_model.tokenise import tokenised

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        writer = gguf.GGUFWriter(path, "qwen2")
        shapes.add_to(writer, shape)
        vocabulary.add_to(writer, words)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        texts = [text for form in FORMS for text in (script.suffix(form), script.answer(form))]
        tokens = tokenised(path, texts)
    return [
        Script(before, (*answer, words.end))
        for before, answer in zip(tokens[::2], tokens[1::2], strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
