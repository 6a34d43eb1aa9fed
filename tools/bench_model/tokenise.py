"""Text to tokens by llama.cpp itself, from a GGUF that holds nothing but a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import llama_cpp

from edged.engine.llama_vocabulary import LlamaVocabulary


def tokenised(path: Path, texts: Iterable[str]) -> list[tuple[int, ...]]:
    """Return the tokens of each text, without BOS.

    Raises:
        ValueError: llama.cpp cannot read the vocabulary.
    """
    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise ValueError(f"{path}: llama.cpp cannot read this vocabulary")
    try:
        words = LlamaVocabulary(llama_cpp.llama_model_get_vocab(model))
        return [tuple(words.tokenise(text, special=False)) for text in texts]
    finally:
        llama_cpp.llama_model_free(model)
