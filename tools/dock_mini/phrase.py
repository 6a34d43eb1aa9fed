"""Phrases: texts with alternatives and slots, each with an id and the split it belongs to.

`(a|b|)` is a free choice, nested as needed; `{slot}` is filled by the template's own code; `<` and
`>` stand for round brackets. A phrase is seen in training, or when the confidence is calibrated, or
held out for evaluation; never in two of them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from . import calibration_dock_event, calibration_faults, calibration_notes

_CHOICE = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")

# Phrase group -> its patterns for the calibration split.
_CALIBRATION = (
    calibration_dock_event.PATTERNS | calibration_faults.PATTERNS | calibration_notes.PATTERNS
)


class Split(StrEnum):
    """Which part of the phrasings and of the values a row is drawn from.

    The model is trained on the first, its confidence is fitted on the second, and the third is what
    both are measured on.
    """

    TRAIN = "train"
    CALIBRATION = "calibration"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Phrase:
    """One way to say one thing.

    Attributes:
        id: unique over the package, for example `dock-event/de/damage/held_out/1`.
        split: the only split that may use it.
        text: the text with its alternatives and slots.
    """

    id: str
    split: Split
    text: str


@dataclass(frozen=True, slots=True)
class Phrases:
    """All ways to say one thing, in every split."""

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def calibration(self) -> tuple[str, ...]:
        """The patterns of the calibration split; they stand together, by group."""
        return _CALIBRATION[self.name]

    def patterns(self, split: Split) -> tuple[str, ...]:
        """The patterns of one split."""
        every = {
            Split.TRAIN: self.train,
            Split.CALIBRATION: self.calibration,
            Split.HELD_OUT: self.held_out,
        }
        return every[split]

    def __iter__(self) -> Iterator[Phrase]:
        for split in Split:
            for number, text in enumerate(self.patterns(split)):
                yield Phrase(f"{self.name}/{split}/{number}", split, text)

    def draw(self, split: Split, rng: random.Random) -> str:
        """A phrase of `split`, its alternatives chosen, its slots still open.

        Two patterns can expand to the same words; those of the held-out ones are never trained.
        """
        if split is not Split.TRAIN:
            return expand(rng.choice(self.patterns(split)), rng)
        while (text := expand(rng.choice(self.train), rng)).lower() in _expansions(self.held_out):
            pass
        return text


@cache
def _expansions(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(text.lower() for pattern in texts for text in expansions(pattern))


def expansions(text: str) -> Iterator[str]:
    """Every text that `expand` can make of this one."""
    match = _CHOICE.search(text)
    if match is None:
        yield _tidied(text)
        return
    for choice in match.group(1).split("|"):
        yield from expansions(text[: match.start()] + choice + text[match.end() :])


def expand(text: str, rng: random.Random) -> str:
    """Resolve every `(a|b)` from the inside out; single spaces, no space at the ends."""
    while match := _CHOICE.search(text):
        choice = rng.choice(match.group(1).split("|"))
        text = text[: match.start()] + choice + text[match.end() :]
    return _tidied(text)


def _tidied(text: str) -> str:
    return " ".join(text.replace("<", "(").replace(">", ")").split(" ")).strip()


def fill(text: str, slot: Callable[[str], str]) -> str:
    """Replace every `{name}` by `slot("name")`, left to right; double spaces become one."""
    return re.sub(r" {2,}", " ", _SLOT.sub(lambda match: slot(match.group(1)), text)).strip()


def slots(text: str) -> frozenset[str]:
    """The names of the slots in an expanded text."""
    return frozenset(_SLOT.findall(text))


def every_phrase(groups: Iterable[Phrases]) -> list[Phrase]:
    """The phrases of all groups, for audits."""
    return [phrase for group in groups for phrase in group]


def weighted(options: Sequence[tuple[str, float]], rng: random.Random) -> str:
    """One of the names, drawn by its weight."""
    return rng.choices([name for name, _ in options], [weight for _, weight in options])[0]
