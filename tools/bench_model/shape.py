"""The shapes of models, by name.

Source: config.json of Qwen2.5-0.5B and Qwen2.5-1.5B. `tiny` is for tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import gguf


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a Qwen2 model.

    Attributes:
        width: of the residual stream.
        inner: of the feed-forward layers.
        heads, kv_heads: of attention; `width / heads` is the width of one.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    context_tokens: int
    vocab_tokens: int
    rope_base: float
    norm_eps: float = 1e-6

    @property
    def head_width(self) -> int:
        """Values of one head."""
        return self.width // self.heads


SHAPES = {
    "tiny": Shape(2, 384, 128, 8, 1, 2048, 4096, 1e4),
    "qwen2.5-0.5b": Shape(24, 896, 4864, 14, 2, 32_768, 151_936, 1e6),
    "qwen2.5-1.5b": Shape(28, 1536, 8960, 12, 2, 131_072, 151_936, 1e6),
}


def add_to(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """Write it into a GGUF."""
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocab_tokens)
