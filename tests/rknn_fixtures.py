"""A classifier for the fake of rknn-toolkit-lite2, and the configuration of an engine over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.engine_fixtures import write_config

FAKE = Path(__file__).parent / "fake_rknn"
LABELS = ("arrival", "departure", "damage")
WORDS = ("truck", "left", "##s", "crush", "##ed", "door", "pallet", "at", *"0123456789", *"axhi:")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
SPEAKS_FOR = {"truck": 0, "left": 1, "crush": 2}


def write_vocabulary(path: Path) -> Path:
    path.write_text("\n".join(VOCABULARY) + "\n")
    return path


def write_classifier(path: Path, *, fault: str = "", platforms: tuple[str, ...] = ()) -> Path:
    """Write a model that the fake understands."""
    words = {str(VOCABULARY.index(word)): place for word, place in SPEAKS_FOR.items()}
    table = {"labels": len(LABELS), "words": words, "platforms": platforms, "fault": fault}
    path.write_text(json.dumps(table))
    return path


def rknn_tables(folder: Path, model: Path | None = None, **keys: Any) -> dict[str, dict[str, Any]]:
    """Return the tables of a configuration that runs the fake."""
    path = model or write_classifier(folder / "events.rknn")
    return {
        "engine": {"backend": "rknn"},
        "model": {"path": str(path)},
        "rknn": {
            "tokenizer": str(write_vocabulary(folder / "vocab.txt")),
            "labels": list(LABELS),
            "input_tokens": 512,
            **keys,
        },
        "rkllm": {"lock": str(folder / "npu.lock")},
    }


def rknn_config(folder: Path, model: Path | None = None, **keys: Any) -> Path:
    return write_config(folder, **rknn_tables(folder, model, **keys))
