"""Tiny models of random weights, one of each kind of architecture that a fleet may bring.

Source: src/models/*.cpp of llama.cpp 0c1e57098 (llama-cpp-python 0.3.36): which keys and tensors
an architecture wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf

from tests.gguf_writing import RandomGguf

WIDTH, HEADS, INNER, CONTEXT = 64, 4, 128, 2048
# Shorter than the roots of the engine's tests, so that these leave the window.
WINDOW = 24
Writer = Callable[[RandomGguf, int], None]


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    seed: int = 1,
    layers: int = 2,
    chat_template: str = "",
    marks: Mapping[str, gguf.TokenType] | None = None,
) -> Path:
    """Write the model; the same arguments give the same file."""
    file = RandomGguf(path, architecture, seed, marks)
    file.keys({"context_length": CONTEXT, "embedding_length": WIDTH, "block_count": layers})
    file.keys({"attention.layer_norm_rms_epsilon": 1e-5})
    if chat_template:
        file.chat_template(chat_template)
    (_WRITERS | _REFUSED_WRITERS)[architecture](file, layers)
    return file.close()


def _llama(file: RandomGguf, layers: int) -> None:
    _attention_keys(file, kv_heads=HEADS, head_width=WIDTH // HEADS)
    _ends(file, has_head=True)
    for layer in range(layers):
        block = f"blk.{layer}"
        _block(file, block, WIDTH // HEADS, HEADS)


def _qwen2(file: RandomGguf, layers: int) -> None:
    """Grouped heads, and biases on q, k and v."""
    head_width, kv_heads = WIDTH // HEADS, 2
    _attention_keys(file, kv_heads=kv_heads, head_width=head_width)
    _ends(file, has_head=False)
    for layer in range(layers):
        block = f"blk.{layer}"
        _block(file, block, head_width, kv_heads)
        for name, heads in (("q", HEADS), ("k", kv_heads), ("v", kv_heads)):
            file.plain(f"{block}.attn_{name}.bias", heads * head_width, scale=0.3)


def _qwen3(file: RandomGguf, layers: int) -> None:
    """Grouped heads, wider than their share of the embedding, with norms of their own."""
    head_width, kv_heads = 32, 2
    _attention_keys(file, kv_heads=kv_heads, head_width=head_width)
    _ends(file, has_head=True)
    for layer in range(layers):
        block = f"blk.{layer}"
        _block(file, block, head_width, kv_heads)
        _head_norms(file, block, head_width)


def _gemma2(file: RandomGguf, layers: int) -> None:
    """Every other layer sees a window; scores and logits are capped."""
    head_width, kv_heads = 32, 2
    _attention_keys(file, kv_heads=kv_heads, head_width=head_width)
    file.keys({"attention.sliding_window": WINDOW})
    file.keys({"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})
    _ends(file, has_head=False)
    for layer in range(layers):
        block = f"blk.{layer}"
        _block(file, block, head_width, kv_heads)
        _post_norms(file, block)


def _gemma3(file: RandomGguf, layers: int) -> None:
    """Every other layer sees a window and turns its positions by a base of its own."""
    head_width, kv_heads = 32, 1
    _attention_keys(file, kv_heads=kv_heads, head_width=head_width)
    file.keys({"attention.sliding_window": WINDOW, "attention.sliding_window_pattern": 2})
    file.keys({"rope.freq_base": 1e6, "rope.freq_base_swa": 1e4})
    _ends(file, has_head=True)
    for layer in range(layers):
        block = f"blk.{layer}"
        _block(file, block, head_width, kv_heads)
        _head_norms(file, block, head_width)
        _post_norms(file, block)


def _gemma4(file: RandomGguf, layers: int) -> None:
    """The shape of Gemma 4 26B-A4B: experts beside a shared MLP, and two kinds of layers.

    Those with a window have many narrow KV heads, those without few wide ones that are K and V.
    """
    windowed = [layer % 2 == 0 for layer in range(layers)]
    kv_heads = [2 if is_windowed else 1 for is_windowed in windowed]
    widths = [32 if is_windowed else 64 for is_windowed in windowed]
    experts, inner = 4, 32
    _attention_keys(file, kv_heads=kv_heads, head_width=64)
    file.keys({f"attention.{name}_length_swa": 32 for name in ("key", "value")})
    file.keys({"rope.dimension_count_swa": 32, "rope.freq_base": 1e6, "rope.freq_base_swa": 1e4})
    file.keys({"attention.sliding_window": WINDOW, "attention.sliding_window_pattern": windowed})
    file.keys({"attention.shared_kv_layers": 0, "embedding_length_per_layer_input": 0})
    file.keys({"expert_count": experts, "expert_used_count": 2})
    file.keys({"expert_feed_forward_length": inner, "final_logit_softcapping": 30.0})
    _ends(file, has_head=True)
    file.constant("rope_freqs.weight", 32)
    for layer, (is_windowed, width) in enumerate(zip(windowed, widths, strict=True)):
        block = f"blk.{layer}"
        _block(file, block, width, kv_heads[layer], has_values=is_windowed)
        _head_norms(file, block, width)
        _post_norms(file, block)
        _experts(file, block, experts, inner)


def _mamba(file: RandomGguf, layers: int) -> None:
    """No attention at all: a recurrent state."""
    _state_keys(file)
    _ends(file, has_head=True)
    for layer in range(layers):
        _state_block(file, f"blk.{layer}")


def _jamba(file: RandomGguf, layers: int) -> None:
    """A hybrid: every other layer keeps a recurrent state instead of attending."""
    _attention_keys(file, kv_heads=[HEADS * (layer % 2) for layer in range(layers)], head_width=16)
    _state_keys(file)
    _ends(file, has_head=True)
    for layer in range(layers):
        block = f"blk.{layer}"
        if layer % 2:
            _block(file, block, WIDTH // HEADS, HEADS)
            continue
        _state_block(file, block)
        for name, width in (("dt", 4), ("b", 8), ("c", 8)):
            file.norm(f"{block}.ssm_{name}_norm", width)
        file.norm(f"{block}.ffn_norm", WIDTH)
        _mlp(file, block)


_WRITERS: dict[str, Writer] = {
    "llama": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma4": _gemma4,
}
_REFUSED_WRITERS: dict[str, Writer] = {"mamba": _mamba, "jamba": _jamba}
ARCHITECTURES = tuple(_WRITERS)
WINDOWED = ("gemma2", "gemma3", "gemma4")
# Their heads are as wide as a block of q8_0.
WIDE_HEADED = ("qwen3", *WINDOWED)
REFUSED = tuple(_REFUSED_WRITERS)


def _attention_keys(file: RandomGguf, *, kv_heads: int | list[int], head_width: int) -> None:
    file.keys({"feed_forward_length": INNER, "attention.head_count": HEADS})
    file.keys({"attention.head_count_kv": kv_heads, "rope.dimension_count": head_width})
    if head_width != WIDTH // HEADS:
        file.keys({f"attention.{name}_length": head_width for name in ("key", "value")})


def _ends(file: RandomGguf, *, has_head: bool) -> None:
    """Write what stands before and behind the layers."""
    file.weight("token_embd", file.n_tokens, WIDTH)
    if has_head:
        file.weight("output", file.n_tokens, WIDTH)
    file.norm("output_norm", WIDTH)


def _block(
    file: RandomGguf, block: str, head_width: int, kv_heads: int, *, has_values: bool = True
) -> None:
    """Write the parts of a layer that nearly all architectures have."""
    for name in ("attn_norm", "ffn_norm"):
        file.norm(f"{block}.{name}", WIDTH)
    file.weight(f"{block}.attn_q", HEADS * head_width, WIDTH)
    file.weight(f"{block}.attn_k", kv_heads * head_width, WIDTH)
    if has_values:
        file.weight(f"{block}.attn_v", kv_heads * head_width, WIDTH)
    # Flash attention rounds to 16 bits: with less of it in the sum, fewer near ties flip.
    file.weight(f"{block}.attn_output", WIDTH, HEADS * head_width, scale=0.5)
    _mlp(file, block)


def _mlp(file: RandomGguf, block: str) -> None:
    file.weight(f"{block}.ffn_gate", INNER, WIDTH)
    file.weight(f"{block}.ffn_up", INNER, WIDTH)
    file.weight(f"{block}.ffn_down", WIDTH, INNER)


def _head_norms(file: RandomGguf, block: str, head_width: int) -> None:
    for name in ("attn_q_norm", "attn_k_norm"):
        file.norm(f"{block}.{name}", head_width)


def _post_norms(file: RandomGguf, block: str) -> None:
    # Gemma scales its embeddings by 8 here: the layers must weigh as much to be heard.
    file.norm(f"{block}.post_attention_norm", WIDTH, value=4.0)
    file.norm(f"{block}.post_ffw_norm", WIDTH, value=12.0)


def _experts(file: RandomGguf, block: str, experts: int, inner: int) -> None:
    file.plain(f"{block}.ffn_gate_inp.weight", experts, WIDTH)
    file.constant(f"{block}.ffn_gate_inp.scale", WIDTH, value=4.0)
    for name in ("post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"):
        file.norm(f"{block}.{name}", WIDTH)
    file.weight(f"{block}.ffn_gate_up_exps", experts, 2 * inner, WIDTH)
    file.weight(f"{block}.ffn_down_exps", experts, WIDTH, inner)
    file.constant(f"{block}.ffn_down_exps.scale", experts)
    file.constant(f"{block}.layer_output_scale.weight", 1)


def _state_keys(file: RandomGguf) -> None:
    file.keys({"ssm.conv_kernel": 4, "ssm.inner_size": 2 * WIDTH, "ssm.state_size": 8})
    file.keys({"ssm.time_step_rank": 4})


def _state_block(file: RandomGguf, block: str) -> None:
    inner, state, rank, kernel = 2 * WIDTH, 8, 4, 4
    file.norm(f"{block}.attn_norm", WIDTH)
    file.weight(f"{block}.ssm_in", 2 * inner, WIDTH)
    file.plain(f"{block}.ssm_conv1d.weight", inner, kernel)
    file.plain(f"{block}.ssm_conv1d.bias", inner)
    file.weight(f"{block}.ssm_x", rank + 2 * state, inner)
    file.plain(f"{block}.ssm_dt.weight", inner, rank)
    file.plain(f"{block}.ssm_dt.bias", inner)
    file.constant(f"{block}.ssm_a", inner, state, value=-1.0)
    file.constant(f"{block}.ssm_d", inner)
    file.weight(f"{block}.ssm_out", WIDTH, inner)
