"""Writes GGUF files of random weights with a small byte-level vocabulary, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

SPECIAL = ("<|bos|>", "<|end|>", "<|input|>", "<|answer|>")
WORDS = ("er", "in", "an", "th", "the", "on", "re", "al", '":', '","', "true", "null")
Value = bool | int | float | list[int] | list[bool]


class RandomGguf:
    """A GGUF file under way; the same seed and calls give the same bytes.

    Args:
        path: where to.
        architecture: llama.cpp's name of it.
        seed: of the weights.
        marks: further special tokens, and what kind the file calls them.
    """

    def __init__(
        self,
        path: Path,
        architecture: str,
        seed: int,
        marks: Mapping[str, gguf.TokenType] | None = None,
    ) -> None:
        self._path = path
        self._architecture = architecture
        self._writer = gguf.GGUFWriter(path, architecture)
        self._writer.add_name("tiny")
        self._random = np.random.default_rng(seed)
        self.n_tokens = self._add_vocabulary(marks or {})

    def keys(self, table: dict[str, Value]) -> None:
        """Add metadata of the architecture."""
        for name, value in table.items():
            key = f"{self._architecture}.{name}"
            match value:
                case bool():
                    self._writer.add_bool(key, value)
                case int():
                    self._writer.add_uint32(key, value)
                case float():
                    self._writer.add_float32(key, value)
                case _:
                    self._writer.add_array(key, value)

    def chat_template(self, template: str) -> None:
        """Add the template of a conversation."""
        self._writer.add_chat_template(template)

    def weight(self, name: str, *shape: int, scale: float = 2.0) -> None:
        """Add a random matrix in 4 bits; `scale` is what it does to the length of a vector."""
        kind = gguf.GGMLQuantizationType.Q4_0
        values = self._normal(shape) * (scale / np.sqrt(shape[-1]))
        self._writer.add_tensor(
            f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind
        )

    def plain(self, name: str, *shape: int, scale: float = 1.0) -> None:
        """Add a random tensor in 32 bits under its full name."""
        self._writer.add_tensor(name, self._normal(shape) * np.float32(scale))

    def constant(self, name: str, *shape: int, value: float = 1.0) -> None:
        """Add a tensor of one value under its full name."""
        self._writer.add_tensor(name, np.full(shape, value, dtype=np.float32))

    def norm(self, name: str, width: int, value: float = 1.0) -> None:
        """Add the weights of a norm."""
        self.constant(f"{name}.weight", width, value=value)

    def close(self) -> Path:
        """Write the file."""
        self._writer.write_header_to_file()
        self._writer.write_kv_data_to_file()
        self._writer.write_tensors_to_file()
        self._writer.close()
        return self._path

    def _normal(self, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return self._random.standard_normal(shape, dtype=np.float32)

    def _add_vocabulary(self, marks: Mapping[str, gguf.TokenType]) -> int:
        tokens, kinds, merges = _vocabulary()
        tokens += marks
        kinds += [int(kind) for kind in marks.values()]
        writer = self._writer
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_token_merges(merges)
        writer.add_bos_token_id(tokens.index("<|bos|>"))
        writer.add_eos_token_id(tokens.index("<|end|>"))
        writer.add_add_bos_token(True)
        return len(tokens)


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
