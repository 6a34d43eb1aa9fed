"""Writes a llama-architecture GGUF of random weights: small, with a byte-level vocabulary."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

SPECIAL = ("<|bos|>", "<|end|>", "<|input|>", "<|answer|>")
WORDS = ("er", "in", "an", "th", "the", "on", "re", "al", '":', '","', "true", "null")


def write_tiny_gguf(path: Path, *, seed: int = 1, layers: int = 2, chat_template: str = "") -> Path:
    """Write the model; the same seed gives the same file."""
    width, heads, inner, context = 64, 4, 128, 2048
    tokens, kinds, merges = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|bos|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(True)
    if chat_template:
        writer.add_chat_template(chat_template)
    random = np.random.default_rng(seed)

    def weight(name: str, *shape: int, scale: float = 2.0) -> None:
        values = random.standard_normal(shape, dtype=np.float32) * (scale / np.sqrt(shape[-1]))
        kind = gguf.GGMLQuantizationType.Q4_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    weight("token_embd.weight", len(tokens), width)
    weight("output.weight", len(tokens), width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(layers):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{name}.weight", np.ones(width, dtype=np.float32))
        for name in ("attn_q", "attn_k", "attn_v"):
            weight(f"{block}.{name}.weight", width, width)
        # Flash attention rounds to 16 bits: with less of it in the sum, fewer near ties flip.
        weight(f"{block}.attn_output.weight", width, width, scale=0.5)
        weight(f"{block}.ffn_gate.weight", inner, width)
        weight(f"{block}.ffn_up.weight", inner, width)
        weight(f"{block}.ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> tuple[list[str], list[int], list[str]]:
    """Return tokens, their types and the merges that make the longer ones."""
    letters = _byte_letters()
    tokens = list(letters)
    merges: list[str] = []
    for word in WORDS:
        shown = "".join(letters[byte] for byte in word.encode())
        for end in range(2, len(shown) + 1):
            if shown[:end] not in tokens:
                merges.append(f"{shown[: end - 1]} {shown[end - 1]}")
                tokens.append(shown[:end])
    normal, control = int(gguf.TokenType.NORMAL), int(gguf.TokenType.CONTROL)
    kinds = [normal] * len(tokens) + [control] * len(SPECIAL)
    return tokens + list(SPECIAL), kinds, merges


def _byte_letters() -> list[str]:
    """Return a printable letter for each byte, as GPT-2's vocabulary writes them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]
