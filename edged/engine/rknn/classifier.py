"""A text and some labels become the likeliest label: vocabulary, model, labels.

In:  a text, the labels that its schema allows.     Out: a label and its probability among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.config import Config, CoreMask
from edged.engine.rknn.lite import Lite
from edged.engine.rknn.tokenizer import WordPiece
from edged.errors import EngineUnusable


@dataclass(frozen=True, slots=True)
class Recipe:
    """What belongs to the classifier beside its file.

    Attributes:
        labels: of the model's outputs, in their order.
        input_tokens: length of its inputs.
        has_mask: whether its second input is the attention mask.
    """

    model: Path
    words: WordPiece
    labels: tuple[str, ...]
    input_tokens: int
    has_mask: bool
    cores: CoreMask

    def inputs(self, text: str) -> list[NDArray[np.float32]]:
        """Return the model's inputs, each one row; the text fits, as was checked before."""
        numbers = self.words.encode(text)
        ids = np.array([self.words.padded(numbers, self.input_tokens)], dtype=np.float32)
        if not self.has_mask:
            return [ids]
        mask = np.zeros_like(ids)
        mask[0, : len(numbers)] = 1
        return [ids, mask]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A label and its probability among those that were allowed."""

    label: str
    probability: float


def recipe_of(config: Config) -> Recipe:
    """Return what the configuration says of the classifier.

    Raises:
        EngineUnusable: no model, no vocabulary or no labels are named.
    """
    path, rknn = config.model.path, config.rknn
    if path is None or path.suffix != ".rknn" or not path.is_file():
        raise EngineUnusable(
            f"engine.backend = rknn runs a .rknn file, and model.path is {path or 'not set'}; set "
            "model.path to a classifier that rknn-toolkit2 converted for this board"
        )
    if rknn.tokenizer is None or not rknn.labels:
        raise EngineUnusable(
            "rknn.tokenizer and rknn.labels are not set, and a .rknn file tells neither its "
            "vocabulary nor its labels; set both (see docs/npu.md)"
        )
    if len(set(rknn.labels)) != len(rknn.labels):
        raise EngineUnusable("rknn.labels names a label twice; name each output's own")
    words = WordPiece.load(rknn.tokenizer, lowers=rknn.lowercase)
    return Recipe(path, words, rknn.labels, rknn.input_tokens, rknn.mask, rknn.core_mask)


def choose(lite: Lite, recipe: Recipe, text: str, allowed: Sequence[str]) -> Chosen:
    """Return the likeliest of the labels that are allowed.

    Raises:
        LiteFailed: the runtime does not compute.
    """
    logits = lite.logits(recipe.inputs(text), len(recipe.labels))
    places = [place for place, label in enumerate(recipe.labels) if label in allowed]
    weights = np.exp(logits[places] - logits[places].max())
    best = int(weights.argmax())
    return Chosen(recipe.labels[places[best]], float(weights[best] / weights.sum()))
